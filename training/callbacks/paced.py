"""The speed of training, call by call."""

import time

import keras

from ..loop import Loop
from ..pace import Pace


class Paced(keras.callbacks.Callback):
    """Knows how fast training goes.

    Attributes:
        pace: of the last minute of training.
        steps: in an epoch. clips: in an epoch.
    """

    def __init__(self, loop: Loop, clips_per_epoch: int):
        super().__init__()
        self.loop, self.clips, self.pace = loop, clips_per_epoch, Pace()
        self.steps = -(-clips_per_epoch // loop.config.global_batch_size)
        self._step, self._start_s, self._waited_s = 0, 0.0, 0.0

    def on_train_batch_begin(self, batch, logs=None):
        """Starts the clock of a call, whose first step this is."""
        self._step, self._waited_s = batch, self.loop.waited_s
        self._start_s = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Counts the call, whose last step this was."""
        seconds = time.monotonic() - self._start_s
        size, steps = self.loop.config.global_batch_size, batch + 1 - self._step
        clips = min((batch + 1) * size, self.clips) - self._step * size  # the last batch is short
        self.pace.add(seconds, steps, clips, self.loop.waited_s - self._waited_s)
