"""Videos encoded by several processes, in order, whatever becomes of one of them."""

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from ..data.decoder import VideoError
from .plan import Encoder, Item

# Videos that are handed out for each process: enough that one long video, whose turn it is, does
# not make the others wait, and few enough to bound what is held in memory.
AHEAD = 4
CRASHED = "crashes the process that decodes it; it is damaged. Replace it."

Encoded = tuple[bytes, dict] | str
"""A record with what is said of it, or the reason why the video cannot be read."""


def encode_all(
    items: Iterable[Item], encoder: Encoder, processes: int
) -> Iterator[tuple[Item, Encoded]]:
    """Each of the items with its record, in order.

    One process is this one; more are new ones, which end when this one does, however it ends. A
    video that crashes its decoder is found, and is as bad as one that cannot be read.
    """
    encode = functools.partial(_encode, encoder)
    if processes == 1:
        yield from ((item, encode(item)) for item in items)
        return
    rest = iter(items)
    while True:
        waiting: deque[tuple[Item, Future | None]] = deque()
        try:
            with _pool(processes) as pool:
                yield from _in_order(pool, rest, waiting, encode, processes * AHEAD)
                return
        except BrokenProcessPool:  # one of those waiting has crashed its process
            suspects = [item for item, _ in waiting]
        yield from _one_by_one(suspects, encode)


def _in_order(pool, rest, waiting, encode, most: int) -> Iterator[tuple[Item, Encoded]]:
    """Keeps `waiting` filled; an item leaves it once its result is there."""
    while True:
        for item in rest:
            waiting.append((item, None))  # before it is submitted, which may raise
            waiting[-1] = item, pool.submit(encode, item)
            if len(waiting) >= most:
                break
        if not waiting:
            return
        item, future = waiting[0]
        result = future.result()
        waiting.popleft()
        yield item, result


def _one_by_one(items: Iterable[Item], encode) -> Iterator[tuple[Item, Encoded]]:
    """Who is alone in the process that crashes has crashed it."""
    left = deque(items)
    while left:
        with _pool(1) as pool:
            pool.submit(os.getpid).result()  # raises where it is not the video that is at fault
            try:
                while left:
                    result = pool.submit(encode, left[0]).result()
                    yield left.popleft(), result
                return
            except BrokenProcessPool:
                pass
        yield left.popleft(), CRASHED


def _encode(encoder: Encoder, item: Item) -> Encoded:
    try:
        return encoder(item)
    except VideoError as error:
        return error.reason


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end at once when this context does, or this process."""
    # New processes, not forked ones: a fork takes over locks that other threads hold.
    context = multiprocessing.get_context("spawn")
    alive, lifeline = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(alive,))
    try:
        yield pool
    finally:
        lifeline.close()
        pool.shutdown(cancel_futures=True)
        alive.close()


def _begin(alive) -> None:
    """In a new process: leaves Ctrl-C to the parent, and ends when the lifeline does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()


def _end_with(alive) -> None:
    alive.poll(None)  # nothing is ever sent: it returns when the other end is closed
    os._exit(1)
