"""The same shards by an Apache Beam pipeline, where one machine is too small (extra `beam`).

Each shard is an element, so that the workers of any runner share them out; they need this package,
the videos under the same paths, and the folder of the records, which may be on any file system
that Beam knows (gs://, s3://, hdfs://, or a mounted one).
"""

import glob
import hashlib
import json
from collections.abc import Sequence
from functools import partial

from absl import logging

from ..data.decoder import VideoError
from ..data.readable import refusal
from ..data.video import probe
from ..options import ConfigError
from . import manifest as manifests
from .folder import PLAN, difference, holds_others, is_ours, journals, parse_plan
from .plan import Encoder, Plan, Shard
from .prepare import ON_BAD_VIDEO
from .shards import journal_text, parse_journal
from .tfrecord import OVERHEAD_BYTES, write_record


def prepare_by_beam(
    plan: Plan, out: str, *, on_bad_video: str = ON_BAD_VIDEO[0], arguments: Sequence[str] = ()
) -> manifests.Manifest:
    """Writes what `prepare` writes, byte for byte, by a Beam pipeline.

    Run again after it failed it makes the shards that are not there yet; run again when all is
    done it looks whether they are there, and makes those anew that are not.

    Args:
        plan: what to write.
        out: a folder in any file system that Beam knows.
        on_bad_video: one of ON_BAD_VIDEO. "check" opens all files in a pipeline of its own first.
            With "stop" the shard of a bad video is not made; the others are.
        arguments: options of the pipeline, such as ["--runner=FlinkRunner"].

    Raises:
        ConfigError: Beam is not installed; a folder that holds something else.
        VideoError, ValueError: videos that cannot be read, unless they are to be skipped.
    """
    if on_bad_video not in ON_BAD_VIDEO:
        raise ConfigError(f"on_bad_video={on_bad_video!r}: expected {', '.join(ON_BAD_VIDEO)}.")
    _, files = _beam()
    out = out.rstrip("/")
    done = _begin(files, out, plan)
    if done:
        return done
    _take_bad(files, out, plan)  # of a run that was killed
    if on_bad_video == "check":
        _run(_check_shard, "Check", out, plan.shards, arguments)
        bad = _take_bad(files, out, plan)
        if bad:
            raise ValueError(refusal(bad, len(plan.items)))
    write = partial(_write_shard, encoder=plan.encoder, skip=on_bad_video == "skip")
    _run(write, "Write", out, plan.shards, arguments)
    for path, reason in _take_bad(files, out, plan):
        raise VideoError(
            path,
            f"{reason} Shards without such videos are done and kept: run the same command again "
            "to go on, with --on_bad_video=skip to leave this one out.",
        )
    paths = [f"{out}/{shard.journal_name}" for shard in plan.shards]
    made = manifests.manifest_of(plan, [parse_journal(_read(files, path)) for path in paths])
    _write(files, f"{out}/{manifests.NAME}", manifests.to_json(made).encode())
    files.delete([*paths, f"{out}/{PLAN}"])
    return made


def _run(function, name: str, out: str, shards: Sequence[Shard], arguments: Sequence[str]) -> None:
    """Calls function(out, shard) for each shard, wherever the runner does."""
    beam, _ = _beam()
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
        elements = pipeline | "Shards" >> beam.Create(list(shards))
        # Without it one worker would get all of them.
        _ = elements | "Share out" >> beam.Reshuffle() | name >> beam.Map(partial(function, out))


def _beam():
    try:
        import apache_beam
        from apache_beam.io.filesystems import FileSystems
    except ImportError:
        raise ConfigError(
            "--runner=beam needs Apache Beam, which is not installed: pip install "
            "'r21d_keras[beam]'. --runner=local does without."
        ) from None
    return apache_beam, FileSystems


def _begin(files, out: str, plan: Plan) -> manifests.Manifest | None:
    """Makes the folder ready; the manifest if all is done already."""
    wanted = json.loads(json.dumps(plan.fingerprint()))
    made, begun = None, None
    if files.exists(f"{out}/{manifests.NAME}"):
        made = manifests.from_json(_read(files, f"{out}/{manifests.NAME}").decode(), out)
        begun = dict(made.plan)
    elif files.exists(f"{out}/{PLAN}"):
        begun = parse_plan(_read(files, f"{out}/{PLAN}"), f"{out}/{PLAN}")
    elif files.exists(out):
        _check_empty(files, out)
    if begun not in (None, wanted):
        raise ConfigError(difference(out, begun, wanted))
    kept = list(journals(plan, made, partial(_size, files, out))) if made else []
    if made and len(kept) == len(plan.shards):
        return made
    if not files.exists(out):
        files.mkdirs(out)
    _write(files, f"{out}/{PLAN}", json.dumps(wanted, indent=1).encode())
    for name, text in kept:
        _write(files, f"{out}/{name}", text.encode())
    return None


def _check_empty(files, out: str) -> None:
    (found,) = files.match([f"{glob.escape(out)}/**"])
    names = sorted(entry.path.removeprefix(out).lstrip("/") for entry in found.metadata_list)
    strange = [name for name in names if not is_ours(name)]
    if strange:
        raise ConfigError(holds_others(out, strange[0]))


def _size(files, out: str, name: str) -> int | None:
    """Bytes of a file in the folder; None where there is none."""
    path = f"{out}/{name}"
    return files.get_filesystem(path).size(path) if files.exists(path) else None


def _bad_name(out: str, shard: Shard) -> str:
    """Where a worker says which videos of a shard cannot be read: pairs (path, reason)."""
    return f"{out}/.{shard.name}.bad.json"


def _tell_bad(files, out: str, shard: Shard, bad: list[tuple[str, str]]) -> None:
    _write(files, _bad_name(out, shard), json.dumps(bad).encode())


def _take_bad(files, out: str, plan: Plan) -> list[tuple[str, str]]:
    """What the workers have said of bad videos; the files that say so are removed."""
    paths = [path for path in (_bad_name(out, s) for s in plan.shards) if files.exists(path)]
    bad = [tuple(pair) for path in paths for pair in json.loads(_read(files, path))]
    if paths:
        files.delete(paths)
    return bad


def _is_done(files, out: str, shard: Shard) -> bool:
    """Whether a shard is as its journal says, which comes after it."""
    path = f"{out}/{shard.journal_name}"
    sums = parse_journal(_read(files, path))[1] if files.exists(path) else {}
    return bool(sums) and _size(files, out, shard.name) == sums["bytes"]


def _check_shard(out: str, shard: Shard) -> None:
    """Opens the videos of one shard that is not done, and says which cannot be read."""
    _, files = _beam()
    if _is_done(files, out, shard):
        return
    bad = []
    for item in shard.items:
        try:
            probe(item.path)
        except VideoError as error:
            bad.append((item.path, error.reason))
    if bad:
        _tell_bad(files, out, shard, bad)


def _write_shard(out: str, shard: Shard, encoder: Encoder, skip: bool) -> None:
    """Encodes the videos of one shard and writes it, then its journal: who has both is done."""
    _, files = _beam()
    if _is_done(files, out, shard):
        return
    path, journal = f"{out}/{shard.name}", f"{out}/{shard.journal_name}"
    entries, offset, part = [], 0, f"{out}/.{shard.name}.part"
    with _Summed(files.create(part)) as file:
        for item in shard.items:
            try:
                record, info = encoder(item)
            except VideoError as error:
                if not skip:
                    _tell_bad(files, out, shard, [(item.path, error.reason)])
                    return
                logging.warning("skipped %s", error)
                entries.append({"skipped": error.reason})
                continue
            write_record(file, record)
            entries.append({"offset": offset, "length": len(record), **info})
            offset += len(record) + OVERHEAD_BYTES
    if files.exists(path):  # of a worker that stopped before it wrote the journal
        files.delete([path])
    files.rename([part], [path])
    sums = {"bytes": offset, "sha256": file.sha256.hexdigest()}
    _write(files, journal, journal_text(entries, sums).encode())


class _Summed:
    """A file that is written, and its SHA-256."""

    def __init__(self, file):
        self._file, self.sha256 = file, hashlib.sha256()

    def write(self, octets: bytes) -> None:
        self._file.write(octets)
        self.sha256.update(octets)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file.close()


def _read(files, path: str) -> bytes:
    with files.open(path) as file:
        return file.read()


def _write(files, path: str, octets: bytes) -> None:
    with files.create(path) as file:
        file.write(octets)
