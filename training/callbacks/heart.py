"""progress.json while a run lasts: where it stands, and that it lives."""

import dataclasses
import os
import socket
import threading
import time

from absl import logging

from ..heartbeat import (
    BEAT_S,
    FINISHED,
    STOPPED,
    TRAINING,
    VALIDATING,
    Heartbeat,
    write_heartbeat,
)
from ..loop import Loop
from ..run_folder import ModelDir
from .paced import Paced

REASON = 500  # characters: TensorFlow's errors can be pages


class Heart(Paced):
    """Writes progress.json every BEAT_S seconds while it is entered, and how that ended.

    A thread does it, so that it beats on through a long step, and while all stands still: what has
    not moved for how long is told apart from what lives.

    Args:
        validates: whether there are videos to validate on.
    """

    def __init__(self, loop: Loop, folder: ModelDir, clips_per_epoch: int, validates: bool):
        super().__init__(loop, clips_per_epoch)
        self.folder, self.validates = folder, validates
        now_s = time.time()
        self._beat = Heartbeat(
            host=socket.gethostname(),
            pid=os.getpid(),
            began_at=now_s,
            beat_at=now_s,
            moved_at=now_s,
            epoch=min(loop.place.epochs + 1, loop.config.epochs),
            epochs=loop.config.epochs,
            step=loop.place.steps,
            steps_per_epoch=self.steps,
            replicas=loop.strategy.num_replicas_in_sync,
        )
        self._end_at: float | None = None  # when the run will be done
        self._steps_end_s = 0.0  # time.monotonic() at the last step of an epoch
        self._ends_s: dict[bool, float] = {}  # seconds at the end of an epoch: validated or not
        self._lock, self._over, self._failed = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._beat_on, daemon=True, name="r21d heart")

    def __enter__(self):
        """Begins to beat."""
        self._write()
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        """Says how the run has ended."""
        self._over.set()
        self._thread.join()
        reason = "" if error is None else " ".join(str(error).split())[:REASON] or kind.__name__
        self._end_at = None
        self._moved(phase=STOPPED if error else FINISHED, reason=reason)
        self._write()

    def on_epoch_begin(self, epoch, logs=None):
        """Knows how long the end of the epoch before has taken, and tells of the new one."""
        if self._steps_end_s:
            self._ends_s[self._validated(epoch - 1)] = time.monotonic() - self._steps_end_s
        self._moved(epoch=epoch + 1, step=self.loop.place.steps, metrics={})
        self._write()

    def on_train_batch_end(self, batch, logs=None):
        """Moves on, by as many steps as were in the call."""
        super().on_train_batch_end(batch, logs)
        epoch, pace = self._beat.epoch, self.pace
        left_s, is_least = self._left(epoch, batch + 1)
        self._end_at = None if left_s is None else time.time() + left_s
        ended = batch + 1 == self.steps
        if ended:
            self._steps_end_s = time.monotonic()
        phase = VALIDATING if ended and self._validated(epoch - 1) else TRAINING
        news = ended or phase != self._beat.phase  # it need not wait for the next beat
        self._moved(
            phase=phase,
            step=batch + 1,
            usual_s=pace.longest_call_s,
            clips_per_second=pace.clips_per_second,
            input_wait=pace.input_wait,
            left_is_least=is_least,
            metrics={name: float(value) for name, value in (logs or {}).items()},
        )
        if news:
            self._write()

    def on_epoch_end(self, epoch, logs=None):
        """Tells it at once."""
        self._moved(phase=TRAINING)
        self._write()

    def validated(self):
        """To be called at each batch of the validation."""
        self._moved()

    def _validated(self, epoch: int) -> bool:
        """Whether there is a validation after the epoch, counted from 0."""
        every, last = self.loop.config.validate_every, epoch + 1 == self.loop.config.epochs
        return bool(self.validates and every and (last or (epoch + 1) % every == 0))

    def _left(self, epoch: int, step: int) -> tuple[float | None, bool]:
        """Seconds to the end from a step of an epoch, counted from 1, and whether they miss any."""
        if self.pace.seconds_per_step is None:
            return None, False
        steps = (self._beat.epochs - epoch + 1) * self.steps - step
        kinds = [self._validated(e) for e in range(epoch - 1, self._beat.epochs)]
        ends_s = sum(self._ends_s.get(kind, 0.0) for kind in kinds)
        unknown = any(kind and kind not in self._ends_s for kind in kinds)
        return steps * self.pace.seconds_per_step + ends_s, unknown

    def _moved(self, **changes) -> None:
        with self._lock:
            self._beat = dataclasses.replace(self._beat, moved_at=time.time(), **changes)

    def _beat_on(self) -> None:
        while not self._over.wait(BEAT_S):
            self._write()

    def _write(self) -> None:
        with self._lock:
            now_s = time.time()
            left_s = None if self._end_at is None else max(0.0, self._end_at - now_s)
            self._beat = dataclasses.replace(self._beat, beat_at=now_s, seconds_left=left_s)
            try:
                write_heartbeat(self.folder, self._beat)
                self._failed = False
            except OSError as error:  # the run does not need it; it fails by itself if it has to
                if not self._failed:
                    logging.warning("`r21d status` will be out of date: %s", error)
                self._failed = True
