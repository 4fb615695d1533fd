"""What happens at the end of each epoch, as keras.callbacks: history, pictures, weights, state."""

import csv
import io
import pathlib
import sys
import time

import keras

from .config import ConfigError
from .loop import Loop
from .model_dir import ModelDir, save_weights, write_text
from .state.checkpoints import RunState

COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "learning_rate",
    "val_loss",
    "val_accuracy",
    "seconds",
)
PICTURE_S = 30.0  # seconds between two drawings of the curves


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


class HistoryFile(Timed):
    """A row of COLUMNS an epoch in history.csv; rows of epochs that are trained again go."""

    def __init__(self, path: pathlib.Path, first_epoch: int):
        super().__init__()
        self.path, self.rows = path, []
        if first_epoch:
            self.rows = [row for row in read_history(path) if int(row["epoch"]) <= first_epoch]
            if len(self.rows) != first_epoch:
                raise ConfigError(_INCOMPLETE.format(path, first_epoch))

    def on_epoch_end(self, epoch, logs=None):
        """Adds the row; the file is replaced as a whole."""
        values = {name: f"{value:.8g}" for name, value in (logs or {}).items()}
        self.rows.append({"epoch": str(epoch + 1), **values, "seconds": f"{self.seconds:.3f}"})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


def read_history(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a history.csv, one an epoch, by column.

    Raises:
        ConfigError: if there is no such file, or it is no history.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing, the history of a run. {_ADVICE}") from None
    if not all((row.get("epoch") or "").isdecimal() for row in rows):
        raise ConfigError(f"{path} is no history of a run: expected {','.join(COLUMNS)}. {_ADVICE}")
    return rows


_ADVICE = "Put it back as it was; or give another --model_dir to train anew."
_INCOMPLETE = "{} has not one row for each of the {} epochs that the run has done. " + _ADVICE


class Curves(keras.callbacks.Callback):
    """Draws history.csv into curves.png, at the end and now and then before."""

    def __init__(self, folder: ModelDir):
        super().__init__()
        self.folder, self.drawn_s = folder, time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Draws if the last picture is old."""
        if time.monotonic() - self.drawn_s > PICTURE_S:
            self._draw()

    def on_train_end(self, logs=None):
        """Draws all of it."""
        self._draw()

    def _draw(self):
        from .pictures import draw_curves  # matplotlib takes a second to import

        draw_curves(self.folder.history, self.folder.curves)
        self.drawn_s = time.monotonic()


class KeepState(keras.callbacks.Callback):
    """Keeps the best weights by val_accuracy, then the state. To be the last but for pictures."""

    def __init__(self, loop: Loop, state: RunState, folder: ModelDir):
        super().__init__()
        self.loop, self.state, self.folder = loop, state, folder

    def on_epoch_end(self, epoch, logs=None):
        """Saves what is better than before, and where the run stands."""
        accuracy = (logs or {}).get("val_accuracy", -1.0)
        if accuracy > float(self.state.best_accuracy):
            self.state.best_accuracy.assign(accuracy)
            with self.loop.final_weights() as model:
                save_weights(model, self.folder.weights("best"))
        self.state.save(epoch + 1)


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
        print(
            f"Epoch {epoch + 1}/{self.params['epochs']}  {values}  {self.seconds:.1f} s  "
            f"{self.clips_per_epoch / self.seconds:.1f} clips/s",
            flush=True,
        )
