"""Frames on their way from the thread that reads to the one that answers, in bounded memory."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

WAKE_S = 0.2
"""Seconds after which one who waits for frames looks around: Ctrl-C, the end, a source lost."""


class Feed:
    """Frames in order, the latest of them: those of a live source that nobody took in time are
    dropped, and who reads another source waits until there is room.

    Args:
        room: frames that are held at most.
        waiting: called with the seconds since the last frame while nothing comes, on the thread
            that answers; False ends the watch, and it may raise.
        late_s: frames of a live source that came so long ago are not taken any more.
    """

    def __init__(self, room: int, waiting: Callable[[float], bool], late_s: float = math.inf):
        self._room, self._waiting, self._late_s = room, waiting, late_s
        self._changed = threading.Condition()
        self._frames: deque[np.ndarray] = deque()
        self._arrivals: deque[float] = deque(maxlen=4 * room)
        self._next = 0  # number of the frame that comes next, over all segments
        self._coming: deque[Segment] = deque()
        self._current: Segment | None = None  # the one that is read
        self._over, self._error = False, None
        self._heard_s = time.monotonic()
        self.closed = threading.Event()
        """Set when nobody takes frames any more."""

    def begin(self, segment: "Segment") -> None:
        """Lets `segment` begin with the next frame, and the one before end."""
        with self._changed:
            self._end_current()
            self._heard_s = time.monotonic()
            segment.feed, segment.first = self, self._next
            self._current = segment
            self._coming.append(segment)
            self._changed.notify_all()

    def end(self) -> None:
        """Ends the segment that is read, if any: nothing comes of it any more."""
        with self._changed:
            self._end_current()
            self._changed.notify_all()

    @property
    def is_reading(self) -> bool:
        """Whether a segment is read, and more of it is to come."""
        return self._current is not None

    def put(self, pixels: np.ndarray) -> bool:
        """Adds a frame, uint8 RGB (H, W, 3), to the segment; False where nobody wants more."""
        with self._changed:
            self._heard_s = time.monotonic()
            while not self._current.live and len(self._frames) >= self._room:
                if self.closed.is_set():
                    return False
                self._changed.wait(WAKE_S)
                self._heard_s = time.monotonic()  # it is the network that is waited for
            self._frames.append(pixels)
            self._arrivals.append(self._heard_s)
            self._next += 1
            if len(self._frames) > self._room:
                self._frames.popleft()
            self._changed.notify_all()
        return not self.closed.is_set()

    def heard(self) -> None:
        """Notes that the source is alive, though it has no frame."""
        self._heard_s = time.monotonic()

    def finish(self, error: BaseException | None = None) -> None:
        """Says that nothing comes any more; `error` is raised where the frames are taken."""
        with self._changed:
            self._end_current()
            self._over, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Says that nobody takes frames any more."""
        with self._changed:
            self.closed.set()
            self._changed.notify_all()

    def segments(self) -> Iterator["Segment"]:
        """Each segment once it has begun, until the source is over or the watch is."""
        while True:
            with self._changed:
                while not self._coming:
                    if self._over:
                        if self._error is not None:
                            raise self._error
                        return
                    if not self._wait():
                        return
                segment = self._coming.popleft()
                self._forget(segment.first)
            yield segment
            if self.closed.is_set():
                return

    def take(self, segment: "Segment", start: int, count: int, step: int):
        """As Segment.take."""
        with self._changed:
            while True:
                oldest = self._next - len(self._frames) - segment.first
                stop = segment.length
                newest = self._next - segment.first if stop is None else stop
                due = start + count <= newest
                late = segment.live and due and self._age_s(segment, start + count) > self._late_s
                if start < oldest or late:
                    segment.cut = True
                    missed = max(1, math.ceil((oldest - start) / step))
                    start += step * max(missed, (newest - count - start) // step)
                    continue
                self._forget(segment.first + min(start, newest))
                if due:
                    at = segment.first + start - (self._next - len(self._frames))
                    segment.cut = False
                    self._note_arrivals(segment, start, count)
                    return start, np.stack(list(islice(self._frames, at, at + count)))
                if stop is not None or not self._wait():
                    return None

    def rest(self, segment: "Segment", start: int) -> np.ndarray | None:
        """As Segment.rest."""
        with self._changed:
            at = segment.first + start - (self._next - len(self._frames))
            if segment.length is None or at < 0 or start >= segment.length:
                return None
            return np.stack(list(islice(self._frames, at, at + segment.length - start)))

    def arrived_s(self, number: int) -> float:
        """When frame `number` came; of one that is long gone, when the oldest that is known did."""
        with self._changed:
            place = number - (self._next - len(self._arrivals))
            return self._arrivals[max(0, place)]

    def _note_arrivals(self, segment: "Segment", start: int, count: int) -> None:
        """Keeps when frames came that are taken: asked for once the network has answered."""
        kept = {n: at for n, at in segment.came.items() if n >= start - self._room}
        fresh = {n: self.arrived_s(segment.first + n) for n in range(start, start + count)}
        segment.came = kept | fresh

    def _age_s(self, segment: "Segment", end: int) -> float:
        return time.monotonic() - self.arrived_s(segment.first + end - 1)

    def _wait(self) -> bool:
        self._changed.wait(WAKE_S)
        if self._waiting(time.monotonic() - self._heard_s):
            return True
        self.closed.set()
        return False

    def _forget(self, number: int) -> None:
        while self._frames and self._next - len(self._frames) < number:
            self._frames.popleft()
        self._changed.notify_all()

    def _end_current(self) -> None:
        if self._current is not None:
            self._current.length = self._next - self._current.first
            self._current = None


@dataclass(eq=False)
class Segment:
    """Frames that follow each other without a gap, at the network's rate.

    name: of the file or stream. live: whether it goes on whether or not its frames are taken.
    origin_s: seconds of its first frame, since the file or the watch began. aspect: width over
    height of what the source shows. length: frames of it in all; None until it has ended. cut:
    whether frames were dropped since some were last taken. came: when those that were taken lately
    were decoded, by number.
    """

    name: str
    live: bool
    origin_s: float
    aspect: float
    length: int | None = None
    cut: bool = False
    feed: Feed | None = field(default=None, repr=False)
    first: int = 0
    came: dict[int, float] = field(default_factory=dict, repr=False)

    def take(self, start: int, count: int, step: int) -> tuple[int, np.ndarray] | None:
        """The number of the first frame, `start`, and `count` frames from there (n, H, W, 3).

        Waits for them. Where they have been dropped or are late, `start` grows by a multiple of
        `step`, to the newest frames that are all there. What is before it is forgotten. None: the
        segment or the watch ends before.
        """
        return self.feed.take(self, start, count, step)

    def rest(self, start: int) -> np.ndarray | None:
        """The frames from `start` to the end of a segment that has ended, if they are there."""
        return self.feed.rest(self, start)

    def arrived_s(self, frame: int) -> float:
        """When frame number `frame` was decoded, seconds of time.monotonic."""
        at = self.came.get(frame)
        return self.feed.arrived_s(self.first + frame) if at is None else at
