"""How far many videos have come, and how long the rest will take."""

import datetime
import sys
import time

from absl import logging

from ..data.disk import PROGRESS_S


class Progress:
    """A bar on a terminal, else a line in the log now and then; both with the time left."""

    def __init__(self, what: str, total: int, done: int = 0, unit: str = "video"):
        """`what` has been done to `done` of `total` units already: "Prepared"."""
        from tqdm import tqdm

        self.total, self.done = total, done
        self._what, self._unit, self._first = what, unit, done
        self._began_s = self._said_s = time.monotonic()
        self._bar = tqdm(
            desc=what, total=total, initial=done, unit=unit, disable=not sys.stderr.isatty()
        )

    def step(self) -> None:
        """One more video."""
        self.done += 1
        self._bar.update()
        now_s = time.monotonic()
        if self._bar.disable and now_s - self._said_s > PROGRESS_S:
            self._said_s = now_s
            rate = (self.done - self._first) / (now_s - self._began_s)
            left = datetime.timedelta(seconds=round((self.total - self.done) / rate))
            told = self._what, self.done, self.total, self._unit, rate, left
            logging.info("%s %d of %d %ss, %.1f a second, %s left.", *told)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()
