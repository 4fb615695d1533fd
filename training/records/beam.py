"""The same shards by an Apache Beam pipeline, where one machine is too small (extra `beam`).

Each shard is an element, so that the workers of any runner share them out; they need this package,
the videos under the same paths, and the folder of the records, which may be on any file system
that Beam knows (gs://, s3://, hdfs://, or a mounted one).
"""

import hashlib
import json
from collections.abc import Sequence
from functools import partial

from absl import logging

from ..data.decoder import VideoError
from ..options import ConfigError
from . import manifest as manifests
from .folder import PLAN, difference
from .plan import Encoder, Plan, Shard
from .shards import journal_text, parse_journal
from .tfrecord import OVERHEAD_BYTES, write_record


def prepare_by_beam(
    plan: Plan, out: str, *, on_bad_video: str = "stop", arguments: Sequence[str] = ()
) -> manifests.Manifest:
    """Writes what `prepare` writes, byte for byte, by a Beam pipeline.

    Run again after it failed it makes the shards that are not there yet.

    Args:
        plan: what to write.
        out: a folder in any file system that Beam knows.
        on_bad_video: "skip" leaves files out that cannot be read; otherwise they are an error when
            their turn comes, which the runner may try several times.
        arguments: options of the pipeline, such as ["--runner=FlinkRunner"].

    Raises:
        ConfigError: Beam is not installed; a folder that holds something else.
        VideoError: a video that cannot be read. Runners may wrap it in an error of theirs.
    """
    beam, files = _beam()
    out = out.rstrip("/")
    done = _begin(files, out, plan)
    if done:
        return done
    write = partial(_write_shard, out, plan.encoder, on_bad_video)
    from apache_beam.options.pipeline_options import PipelineOptions

    with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
        shards = pipeline | "Shards" >> beam.Create(list(plan.shards))
        # Without it one worker would get all of them.
        _ = shards | "Share out" >> beam.Reshuffle() | "Write" >> beam.Map(write)
    journals = [f"{out}/{shard.journal_name}" for shard in plan.shards]
    made = manifests.manifest_of(plan, [parse_journal(_read(files, path)) for path in journals])
    _write(files, f"{out}/{manifests.NAME}", manifests.to_json(made).encode())
    files.delete([*journals, f"{out}/{PLAN}"])
    return made


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
    done, begun = None, wanted
    if files.exists(f"{out}/{manifests.NAME}"):
        done = manifests.from_json(_read(files, f"{out}/{manifests.NAME}").decode(), out)
        begun = dict(done.plan)
    elif files.exists(f"{out}/{PLAN}"):
        begun = json.loads(_read(files, f"{out}/{PLAN}"))
    if begun != wanted:
        raise ConfigError(difference(out, begun, wanted))
    if not done:
        if not files.exists(out):
            files.mkdirs(out)
        _write(files, f"{out}/{PLAN}", json.dumps(wanted, indent=1).encode())
    return done


def _write_shard(out: str, encoder: Encoder, on_bad_video: str, shard: Shard) -> None:
    """Encodes the videos of one shard and writes it, then its journal: who has both is done."""
    _, files = _beam()
    path, journal = f"{out}/{shard.name}", f"{out}/{shard.journal_name}"
    if files.exists(path) and files.exists(journal):
        return
    entries, offset, part = [], 0, f"{out}/.{shard.name}.part"
    with _Summed(files.create(part)) as file:
        for item in shard.items:
            try:
                record, info = encoder(item)
            except VideoError as error:
                if on_bad_video != "skip":
                    raise
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
