"""A folder of records from its first file to its manifest."""

import json
import pathlib

from absl import logging

from r21d_keras.zoo.durable import put_text

from ..options import ConfigError
from .manifest import Manifest, manifest_of, read_manifest
from .plan import Plan
from .shards import ShardWriter, journal_text

PLAN = ".plan.json"
"""There from the first file until the manifest says the same."""


def begin(out: pathlib.Path, plan: Plan) -> list[ShardWriter]:
    """Makes a folder ready to be written, where it was left if it was begun before.

    Raises:
        ConfigError: it was begun with another plan, or holds something else.
    """
    wanted = json.loads(json.dumps(plan.fingerprint()))
    manifest = read_manifest(out)
    begun = dict(manifest.plan) if manifest else _read_plan(out)
    if begun is None:
        strange = sorted(path.name for path in out.iterdir() if not _is_ours(path))
        if strange:
            raise ConfigError(
                f"{out} holds files that `r21d prepare` did not begin, {strange[0]} among them. "
                "Give a new or empty folder as --out."
            )
    elif begun != wanted:
        raise ConfigError(difference(out, begun, wanted))
    for leftover in out.glob(".partial.*"):  # of a process that was killed
        leftover.unlink()
    put_text(out / PLAN, json.dumps(wanted, indent=1))
    if manifest:
        _to_journals(out, plan, manifest)
    writers = [ShardWriter(out, shard) for shard in plan.shards]
    _tell_skipped(out, writers)
    return writers


def finish(out: pathlib.Path, plan: Plan, writers: list[ShardWriter]) -> Manifest:
    """Writes the manifest of shards that are all finished, and removes what it replaces."""
    manifest = manifest_of(plan, [(writer.entries, writer.sums) for writer in writers])
    manifest.write(out)
    for writer in writers:
        writer.forget()
    (out / PLAN).unlink()
    return manifest


def _is_ours(path: pathlib.Path) -> bool:
    return path.name == ".lock" or path.name.startswith(".partial.")


def _read_plan(out: pathlib.Path) -> dict | None:
    path = out / PLAN
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def difference(out: str | pathlib.Path, begun: dict, wanted: dict) -> str:
    """What to say of a folder that was begun with another plan."""
    keys = sorted(key for key in begun | wanted if begun.get(key) != wanted.get(key))
    shown = ", ".join(f"{key}={begun.get(key)} (now {wanted.get(key)})" for key in keys)
    if keys == ["videos_sha256"]:
        shown = "other videos, labels or splits"
    return f"{out} was begun with {shown}. Give the same options again, or a new folder as --out."


def _to_journals(out: pathlib.Path, plan: Plan, manifest: Manifest) -> None:
    """Writes the journals of the shards that are as the manifest has them; others begin anew."""
    known = {record.name: record.as_entry() for record in manifest.records}
    known |= {row["name"]: {"skipped": row["reason"]} for row in manifest.skipped}
    for shard, sums in zip(plan.shards, manifest.shards, strict=True):
        path = out / shard.name
        if path.is_file() and path.stat().st_size == sums["bytes"]:
            entries = [known[item.name] for item in shard.items]
            put_text(out / shard.journal_name, journal_text(entries, sums))
        else:
            logging.warning("%s is not as it was written; it is made anew.", path)


def _tell_skipped(out: pathlib.Path, writers: list[ShardWriter]) -> None:
    lacking = [w for w in writers if any("skipped" in entry for entry in w.entries)]
    if lacking:
        logging.warning(
            "%s: videos that could not be read before stay left out. To try them again, remove %s.",
            out,
            ", ".join(writer.shard.name for writer in lacking),
        )
