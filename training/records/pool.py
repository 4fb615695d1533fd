"""Videos encoded by several processes, in order, whatever becomes of one of them.

Each process has a pipe of its own, whose other end nobody else holds: one that dies, were it in the
middle of a record, ends its pipe, and is seen and replaced. Nothing is shared that it could block.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import connection

from ..data.decoder import VideoError
from .plan import Encoder, Item

# Videos that are handed out for each process: enough that one long video, whose turn it is, does
# not make the others wait, and few enough to bound what is held in memory.
AHEAD = 4
CRASHED = "crashes the process that decodes it; it is damaged. Replace it."
ENDS_S = 5.0  # within which a process has ended whose pipe has; only its exit code waits for it
READY = None  # what a process says before its first video

Encoded = tuple[bytes, dict] | str
"""A record with what is said of it, or the reason why the video cannot be read."""


def encode_all(
    items: Iterable[Item], encoder: Encoder, processes: int
) -> Iterator[tuple[Item, Encoded]]:
    """Each of the items with its record, in order.

    One process is this one; more are new ones, which end when this one does, however it ends, and
    when the iterator is closed. A video that crashes its process is tried once more, alone; if it
    does so again it is as bad as one that cannot be read.

    Raises:
        RuntimeError: processes end before they have a video.
        Exception: what the encoder raises but for VideoError.
    """
    if processes == 1:
        yield from ((item, _encode(encoder, item)) for item in items)
        return
    with contextlib.closing(_Crew(encoder, processes)) as crew:
        yield from crew.encode(iter(items))


@dataclass(eq=False)
class _Job:
    item: Item
    result: Encoded | None = None
    crashed: bool = False


@dataclass(eq=False)
class _Worker:
    process: multiprocessing.process.BaseProcess
    pipe: connection.Connection
    job: _Job | None = None
    ready: bool = False


class _Crew:
    """Processes and what they are at."""

    def __init__(self, encoder: Encoder, processes: int):
        # New processes, not forked ones: a fork takes over locks that other threads hold.
        self._context = multiprocessing.get_context("spawn")
        self._encoder, self._processes = encoder, processes
        self._workers: list[_Worker] = []
        self._jobs: deque[_Job] = deque()  # in order; one leaves when it is yielded
        self._alone: deque[_Job] = deque()  # those that were in a process that crashed

    def encode(self, rest: Iterator[Item]) -> Iterator[tuple[Item, Encoded]]:
        while True:
            self._hand_out(rest)
            if not self._jobs:
                return
            if self._jobs[0].result is None:
                self._receive(None)
                continue
            job = self._jobs.popleft()
            self._receive(0.0)  # so that nobody is idle while this one is written
            self._hand_out(rest)
            yield job.item, job.result

    def close(self) -> None:
        """Ends the processes at once, whatever they are at."""
        while self._workers:
            self._end(self._workers[-1])

    def _hand_out(self, rest: Iterator[Item]) -> None:
        while self._alone and self._alone[0].result is not None:
            self._alone.popleft()
        if self._alone:  # who is alone when its process crashes has crashed it
            if not any(worker.job for worker in self._workers):
                self.close()  # one that was idle may be dead too, and is none to try it in
                self._give(self._alone[0])
            return
        while len(self._jobs) < self._processes * AHEAD:
            if sum(bool(worker.job) for worker in self._workers) == self._processes:
                return
            item = next(rest, None)
            if item is None:
                return
            self._jobs.append(_Job(item))
            self._give(self._jobs[-1])

    def _give(self, job: _Job) -> None:
        worker = next((each for each in self._workers if not each.job), None) or self._begin()
        worker.job = job
        with contextlib.suppress(OSError):  # it is dead, which is seen when its answer is awaited
            worker.pipe.send(job.item)

    def _begin(self) -> _Worker:
        pipe, its_end = self._context.Pipe()
        with its_end:  # closed here, it is the process's alone
            process = self._context.Process(target=_work, args=(its_end, self._encoder))
            process.daemon = True
            process.start()
        self._workers.append(_Worker(process, pipe))
        return self._workers[-1]

    def _receive(self, timeout_s: float | None) -> None:
        """Takes what there is, of one process at least unless the time is over."""
        busy = {worker.pipe: worker for worker in self._workers if worker.job}
        for pipe in connection.wait(list(busy), timeout_s):
            try:
                answer = pipe.recv()
            except (EOFError, OSError):  # the second in the middle of an answer
                self._died(busy[pipe])
                continue
            if answer is READY:
                busy[pipe].ready = True
            elif isinstance(answer, Exception):
                raise answer
            else:
                busy[pipe].job.result, busy[pipe].job = answer, None

    def _died(self, worker: _Worker) -> None:
        worker.process.join(ENDS_S)
        self._end(worker)
        if not worker.ready:
            raise RuntimeError(
                "A process that was to decode videos ended as it began, with exit code "
                f"{worker.process.exitcode}. --processes=1 does without."
            )
        if worker.job.crashed:
            worker.job.result = CRASHED
        else:
            worker.job.crashed = True
            self._alone.append(worker.job)

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _work(pipe: connection.Connection, encoder: Encoder) -> None:
    """What a new process does. It leaves Ctrl-C to its parent, and ends when that does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, OSError):  # the parent has closed the pipe
        pipe.send(READY)
        while True:
            pipe.send(_answer(encoder, pipe.recv()))


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _answer(encoder: Encoder, item: Item) -> Encoded | Exception:
    try:
        return _encode(encoder, item)
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # some cannot be sent
            return RuntimeError(traceback.format_exc())
        return error


def _encode(encoder: Encoder, item: Item) -> Encoded:
    try:
        return encoder(item)
    except VideoError as error:
        return error.reason
