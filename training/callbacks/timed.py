"""The clock of an epoch."""

import time

import keras


class Timed(keras.callbacks.Callback):
    """Knows the seconds of an epoch's training, validation and callbacks not counted.

    Attributes:
        seconds: from the beginning of the epoch to the end of its last training step.
    """

    def __init__(self):
        super().__init__()
        self.start_s, self.seconds = 0.0, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.start_s = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Reads the clock."""
        self.seconds = time.monotonic() - self.start_s
