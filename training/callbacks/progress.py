"""What the terminal shows of a run."""

import sys

import keras

from ..history import COLUMNS
from .timed import Timed


class Progress(Timed):
    """A progress bar on a terminal, a line an epoch elsewhere."""

    def __init__(self, clips_per_epoch: int):
        super().__init__()
        self.clips_per_epoch, self.bar = clips_per_epoch, None

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock and, on a terminal, the bar."""
        super().on_epoch_begin(epoch, logs)
        if sys.stdout.isatty():
            print(f"Epoch {epoch + 1}/{self.params['epochs']}")
            self.bar = keras.utils.Progbar(self.params["steps"], stateful_metrics=COLUMNS)

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar, but to the end of it only when the epoch has ended."""
        super().on_train_batch_end(batch, logs)
        if self.bar:
            self.bar.update(batch + 1, list((logs or {}).items()), finalize=False)

    def on_epoch_end(self, epoch, logs=None):
        """Ends the bar, or prints the line."""
        values = [(name, logs[name]) for name in COLUMNS if name in (logs or {})]
        if self.bar:
            self.bar.update(self.params["steps"], values, finalize=True)
            return
        values = "  ".join(f"{name} {value:.4g}" for name, value in values)
        print(f"Epoch {epoch + 1}/{self.params['epochs']}  {values}{self._speed()}", flush=True)

    def _speed(self) -> str:
        if not self.seconds:
            return ""
        here = 1.0 - (self.first_step or 0) / self.params["steps"]  # not what was done before
        speed = here * self.clips_per_epoch / self.seconds
        return f"  {self.seconds:.1f} s  {speed:.1f} clips/s"
