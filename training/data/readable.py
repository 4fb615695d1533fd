"""Which of many video files cannot be read."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from absl import logging

from .disk import PROGRESS_S
from .video import VideoError, probe

BATCH = 4096  # files handed to the threads at once: for all of Kinetics it would be gigabytes


def unreadable(
    paths: Sequence[str], num_threads: int, done: Callable[[], None] | None = None
) -> list[tuple[str, str]]:
    """(path, reason) of each file that cannot be read, in the order of `paths`.

    Args:
        paths: the files.
        num_threads: how many are opened at once.
        done: called after each file; None logs how far the check has come now and then.
    """
    bad, began_s = [], time.monotonic()
    said_s = began_s
    reasons = in_threads(_reason, paths, num_threads)
    for count, (path, reason) in enumerate(zip(paths, reasons, strict=True), start=1):
        if reason:
            bad.append((path, reason))
        if done:
            done()
        elif time.monotonic() - said_s > PROGRESS_S:
            said_s = time.monotonic()
            left_s = (said_s - began_s) / count * (len(paths) - count)
            told = count, len(paths), left_s
            logging.info("Checked %d of %d videos, about %.0f s left.", *told)
    return bad


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
