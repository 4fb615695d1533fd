"""How fast training goes, for TensorBoard."""

import time

import tensorflow as tf

from ..loop import Loop
from ..run_folder import ModelDir
from .paced import Paced

EVERY_S = 10.0  # seconds between two points, besides that of each epoch's last step


class Scalars(Paced):
    """Writes clips_per_second, input_wait, learning_rate and replicas by optimizer step.

    They are a run of their own in TensorBoard, `speed`, as those of keras.callbacks.TensorBoard go
    by epoch.
    """

    def __init__(self, loop: Loop, folder: ModelDir, clips_per_epoch: int):
        super().__init__(loop, clips_per_epoch)
        self.folder, self._writer, self._written_s = folder, None, 0.0

    def on_train_begin(self, logs=None):
        """Makes the file."""
        self._writer = tf.summary.create_file_writer(str(self.folder.events / "speed"))

    def on_train_batch_end(self, batch, logs=None):
        """Writes a point, if the last one is old or the epoch has ended."""
        super().on_train_batch_end(batch, logs)
        if batch + 1 < self.steps and time.monotonic() - self._written_s < EVERY_S:
            return
        step = int(self.loop.steps_done.numpy())
        values = {
            "clips_per_second": self.pace.clips_per_second,
            "input_wait": self.pace.input_wait,
            "learning_rate": float(self.loop.schedule(step - 1)),
            "replicas": self.loop.strategy.num_replicas_in_sync,
        }
        with self._writer.as_default(step):
            for name, value in values.items():
                if value is not None:
                    tf.summary.scalar(name, value)
        self._writer.flush()
        self._written_s = time.monotonic()

    def on_train_end(self, logs=None):
        """Closes the file."""
        self._writer.close()
