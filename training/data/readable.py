"""Which of many video files cannot be read."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from ..records.progress import Progress
from .listings import SHOWN
from .video import VideoError, probe

BATCH = 4096  # files handed to the threads at once: for all of Kinetics it would be gigabytes


def unreadable(paths: Sequence[str], num_threads: int) -> list[tuple[str, str]]:
    """(path, reason) of each file that cannot be read, in the order of `paths`.

    `num_threads` files are open at once; how far it has come is shown.
    """
    bad = []
    with Progress("Checked", len(paths)) as progress:
        for path, reason in zip(paths, in_threads(_reason, paths, num_threads), strict=True):
            if reason:
                bad.append((path, reason))
            progress.step()
    return bad


def refusal(bad: Sequence[tuple[str, str]], count: int) -> str:
    """What to say of (path, reason) of those of `count` videos that cannot be read."""
    shown = "\n  ".join(f"{path}: {reason}" for path, reason in bad[:SHOWN])
    more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
    return (
        f"{len(bad)} of {count} videos cannot be read:\n  {shown}{more}\n"
        "Replace them, or leave them out with --on_bad_video=skip."
    )


def in_threads(function: Callable, items: Sequence, num_threads: int) -> Iterator:
    """What `function` makes of each item, in their order, however many there are."""
    rest = iter(items)
    with ThreadPoolExecutor(num_threads) as pool:
        while batch := list(islice(rest, BATCH)):
            yield from pool.map(function, batch)


def _reason(path: str) -> str:
    try:
        probe(path)
    except VideoError as error:
        return error.reason
    return ""
