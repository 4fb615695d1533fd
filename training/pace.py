"""How fast a run goes, by its last minute of training."""

import collections
from typing import NamedTuple

RECENT_S = 60.0  # seconds of training that the figures are of


class _Call(NamedTuple):
    seconds: float
    steps: int
    clips: int
    waited_s: float


class Pace:
    """Speed over the last RECENT_S seconds that were spent in training steps.

    The first call of a process does not count: most of it TensorFlow spends on tracing and planning
    what is done in all others.
    """

    def __init__(self):
        self._calls: collections.deque[_Call] = collections.deque()
        self._total_s, self._first = 0.0, True

    def add(self, seconds: float, steps: int, clips: int, waited_s: float) -> None:
        """Counts a call: how long it took, what it did, how much of it was waiting for clips."""
        if self._first:
            self._first = False
            return
        self._calls.append(_Call(seconds, steps, clips, waited_s))
        self._total_s += seconds
        while len(self._calls) > 1 and self._total_s - self._calls[0].seconds >= RECENT_S:
            self._total_s -= self._calls.popleft().seconds

    @property
    def clips_per_second(self) -> float | None:
        """Training clips a second; None before the second call, as all here."""
        return self._ratio("clips", "seconds")

    @property
    def seconds_per_step(self) -> float | None:
        """Of an optimizer step."""
        return self._ratio("seconds", "steps")

    @property
    def input_wait(self) -> float | None:
        """Share of the time, in [0, 1], spent waiting for clips."""
        share = self._ratio("waited_s", "seconds")
        return None if share is None else min(max(share, 0.0), 1.0)

    @property
    def longest_call_s(self) -> float | None:
        """Seconds of the slowest of these calls."""
        return max((call.seconds for call in self._calls), default=None)

    def _ratio(self, over: str, under: str) -> float | None:
        total = sum(getattr(call, under) for call in self._calls)
        return sum(getattr(call, over) for call in self._calls) / total if total else None
