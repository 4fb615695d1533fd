"""A data set decoded once into shards of records, by many processes, whatever may stop them."""

import contextlib
import errno
import os
import pathlib
from collections.abc import Iterator

from absl import logging
from filelock import FileLock, Timeout

from ..data.counted import counted
from ..data.decoder import VideoError
from ..data.readable import refusal, unreadable
from ..options import ConfigError
from .folder import begin, finish
from .manifest import Manifest
from .plan import Plan
from .pool import Encoded, encode_all
from .progress import Progress
from .shards import ShardWriter

ON_BAD_VIDEO = ("check", "skip", "stop")
"""As TrainConfig's: files that cannot be read are an error at once, left out, or an error then."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def prepare(
    plan: Plan,
    out: str | os.PathLike,
    *,
    processes: int = 0,
    on_bad_video: str = ON_BAD_VIDEO[0],
) -> Manifest:
    """Writes all shards of a plan and manifest.json into the folder `out`.

    Called again after it was stopped, by whatever, it goes on with the next video and ends with
    the same bytes. Called again when all is done it does nothing but look whether the shards are
    there, and writes those anew that are not.

    Args:
        plan: what to write, of `make_plan`.
        out: a new folder, or one that was begun with the same plan.
        processes: how many decode videos; 0: one a CPU core.
        on_bad_video: one of ON_BAD_VIDEO.

    Raises:
        ConfigError: a folder that holds something else, or in which another process writes.
        VideoError, ValueError: videos that cannot be read, unless they are to be skipped.
        OSError: the disk is full, or the folder cannot be written.
    """
    if on_bad_video not in ON_BAD_VIDEO:
        raise ConfigError(f"on_bad_video={on_bad_video!r}: expected {', '.join(ON_BAD_VIDEO)}.")
    out, processes = pathlib.Path(out), processes or os.cpu_count() or 1
    writers = []
    with _sole_writer(out), _told_if_full(out, writers):
        writers += begin(out, plan)
        try:
            _write(writers, plan, out, processes, on_bad_video)
            return finish(out, plan, writers)
        finally:
            for writer in writers:
                writer.close()


def _write(writers, plan: Plan, out: pathlib.Path, processes: int, on_bad_video: str) -> None:
    pending = [(writer, item) for writer in writers for item in writer.rest]
    if on_bad_video == "check":
        _check([item.path for _, item in pending], processes)
    done = len(plan.items) - len(pending)
    if done and pending:
        logging.info("%s: %d of %d videos are done; going on.", out, done, len(plan.items))
    results = encode_all((item for _, item in pending), plan.encoder, processes)
    with Progress("Prepared", len(plan.items), done) as progress, contextlib.closing(results):
        for writer in writers:
            for _ in writer.rest:
                item, encoded = next(results)
                if isinstance(encoded, str) and on_bad_video != "skip":
                    raise VideoError(item.path, f"{encoded} {_kept(progress.done)}")
                _add(writer, encoded)
                progress.step()
            if not writer.finished:
                writer.finish()


def _add(writer: ShardWriter, encoded: Encoded) -> None:
    if isinstance(encoded, str):
        writer.skip(encoded)
    else:
        writer.add(*encoded)


def _check(paths: list[str], processes: int) -> None:
    """Finds unreadable files before hours go into the readable ones."""
    bad = unreadable(paths, processes)
    if bad:
        raise ValueError(refusal(bad, len(paths)))


def _kept(done: int) -> str:
    return (
        f"{counted(done, 'videos are done and kept')}: run the same command again to go on, with "
        "--on_bad_video=skip to leave this one out."
    )


@contextlib.contextmanager
def _told_if_full(out: pathlib.Path, writers: list[ShardWriter]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(
            f"{out} takes no more ({error.strerror}). {_progress(writers)}Make room and run the "
            "same command again."
        ) from error


def _progress(writers: list[ShardWriter]) -> str:
    """How many videos are done, and how much the rest wants by the size of these."""
    entries = [entry for writer in writers for entry in writer.entries]
    lengths = [entry["length"] for entry in entries if "length" in entry]
    if not lengths:
        return ""
    left = sum(len(writer.rest) for writer in writers)
    done = counted(len(entries), f"of {len(entries) + left} videos are done and kept")
    return f"{done}; the rest wants about {left * sum(lengths) / len(lengths) / 1e6:,.1f} MB. "


@contextlib.contextmanager
def _sole_writer(out: pathlib.Path) -> Iterator[None]:
    """Makes the folder and keeps other processes from writing into it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"Another process is preparing {out}. Wait until it has ended, or give another --out."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"--out={str(out)!r} cannot be made or written to ({error.strerror}); give another."
        ) from None
    try:
        yield
    finally:
        lock.release()
