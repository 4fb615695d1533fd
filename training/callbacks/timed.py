"""The clock of an epoch."""

import time

import keras


class Timed(keras.callbacks.Callback):
    """Knows the seconds of an epoch's training, validation and callbacks not counted.

    Attributes:
        seconds: from the beginning of the epoch to the end of its last training step; 0 where an
            earlier process has done all of them.
        first_step: that this process did of the epoch, counted from 0; None before it.
    """

    def __init__(self):
        super().__init__()
        self.start_s, self.seconds, self.first_step = 0.0, 0.0, None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.start_s, self.seconds, self.first_step = time.monotonic(), 0.0, None

    def on_train_batch_begin(self, batch, logs=None):
        """Knows where in the epoch this process begins."""
        if self.first_step is None:
            self.first_step = batch

    def on_train_batch_end(self, batch, logs=None):
        """Reads the clock."""
        self.seconds = time.monotonic() - self.start_s
