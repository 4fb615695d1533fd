"""A folder of records from its first file to its manifest."""

import json
import pathlib
from collections.abc import Callable, Iterator

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
        strange = sorted(path.name for path in out.iterdir() if not is_ours(path.name))
        if strange:
            raise ConfigError(holds_others(out, strange[0]))
    elif begun != wanted:
        raise ConfigError(difference(out, begun, wanted))
    for leftover in out.glob(".partial.*"):  # of a process that was killed
        leftover.unlink()
    put_text(out / PLAN, json.dumps(wanted, indent=1))
    if manifest:

        def size_of(name: str) -> int | None:
            return (out / name).stat().st_size if (out / name).is_file() else None

        for name, text in journals(plan, manifest, size_of):
            put_text(out / name, text)
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


def is_ours(name: str) -> bool:
    """Whether a file of this name may be in a folder before anything is written."""
    return name == ".lock" or name.startswith(".partial.")


def holds_others(out: str | pathlib.Path, name: str) -> str:
    """What to say of a folder with a file that is none of ours."""
    return (
        f"{out} holds files that `r21d prepare` did not begin, {name} among them. Give a new or "
        "empty folder as --out."
    )


def parse_plan(octets: bytes, path: str | pathlib.Path) -> dict:
    """What the file at `path` says that a folder was begun with.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        plan = json.loads(octets)
        if not isinstance(plan, dict):
            raise ValueError("it is no JSON object")
    except ValueError as error:
        raise ConfigError(
            f"{path} is damaged ({error}): what the folder was begun with is lost. Remove the "
            "folder and prepare again, or give a new one as --out."
        ) from None
    return plan


def _read_plan(out: pathlib.Path) -> dict | None:
    path = out / PLAN
    return parse_plan(path.read_bytes(), path) if path.is_file() else None


def difference(out: str | pathlib.Path, begun: dict, wanted: dict) -> str:
    """What to say of a folder that was begun with another plan."""
    if not begun:
        return (
            f"{out} has the manifest that `r21d prepare --scan` makes: its records are of another "
            "program, and are ready as they are. Give a new folder as --out to prepare others."
        )
    keys = sorted(key for key in begun | wanted if begun.get(key) != wanted.get(key))
    shown = ", ".join(f"{key}={begun.get(key)} (now {wanted.get(key)})" for key in keys)
    if keys == ["videos_sha256"]:
        shown = "other videos, labels or splits"
    return f"{out} was begun with {shown}. Give the same options again, or a new folder as --out."


def journals(
    plan: Plan, manifest: Manifest, size_of: Callable[[str], int | None]
) -> Iterator[tuple[str, str]]:
    """Names and texts of the journals of those shards that are as a manifest has them.

    Others are to be made anew. `size_of` gives the bytes of a file by its name, None if absent.
    """
    known = {record.name: record.as_entry() for record in manifest.records}
    known |= {row["name"]: {"skipped": row["reason"]} for row in manifest.skipped}
    for shard, sums in zip(plan.shards, manifest.shards, strict=True):
        if size_of(shard.name) == sums["bytes"]:
            yield shard.journal_name, journal_text([known[i.name] for i in shard.items], sums)
        else:
            logging.warning("%s is not as it was written; it is made anew.", shard.name)


def _tell_skipped(out: pathlib.Path, writers: list[ShardWriter]) -> None:
    lacking = [w for w in writers if any("skipped" in entry for entry in w.entries)]
    if lacking:
        logging.warning(
            "%s: videos that could not be read before stay left out. To try them again, end this "
            "and remove %s.",
            out,
            ", ".join(writer.file_name for writer in lacking),
        )
