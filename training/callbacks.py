"""What happens at the end of each epoch, as keras.callbacks: history, pictures, weights, state."""

import csv
import io
import pathlib
import sys
import time

import keras

from .loop import Loop
from .model_dir import ModelDir, save_weights, write_text
from .resume import RunState

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


class HistoryFile(keras.callbacks.Callback):
    """A row of COLUMNS an epoch in history.csv; rows of epochs that are trained again go."""

    def __init__(self, path: pathlib.Path, first_epoch: int):
        super().__init__()
        self.path, self.rows, self.start_s = path, [], 0.0
        if path.is_file():
            self.rows = [row for row in read_history(path) if int(row["epoch"]) <= first_epoch]

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self.start_s = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        """Adds the row; the file is replaced as a whole."""
        values = {name: f"{value:.8g}" for name, value in (logs or {}).items()}
        seconds = f"{time.monotonic() - self.start_s:.3f}"
        self.rows.append({"epoch": str(epoch + 1), **values, "seconds": seconds})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write_text(self.path, text.getvalue())


def read_history(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a history.csv, one an epoch, by column."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


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


class Progress(keras.callbacks.Callback):
    """A progress bar on a terminal, a line an epoch elsewhere."""

    def __init__(self, clips_per_epoch: int):
        super().__init__()
        self.clips_per_epoch, self.bar, self.start_s = clips_per_epoch, None, 0.0

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock and, on a terminal, the bar."""
        self.start_s = time.monotonic()
        if sys.stdout.isatty():
            print(f"Epoch {epoch + 1}/{self.params['epochs']}")
            self.bar = keras.utils.Progbar(self.params["steps"], stateful_metrics=COLUMNS)

    def on_train_batch_end(self, batch, logs=None):
        """Moves the bar, but to the end of it only when the epoch has ended."""
        if self.bar:
            self.bar.update(batch + 1, list((logs or {}).items()), finalize=False)

    def on_epoch_end(self, epoch, logs=None):
        """Ends the bar, or prints the line."""
        values = [(name, logs[name]) for name in COLUMNS if name in (logs or {})]
        if self.bar:
            self.bar.update(self.params["steps"], values, finalize=True)
            return
        seconds = time.monotonic() - self.start_s
        values = "  ".join(f"{name} {value:.4g}" for name, value in values)
        print(
            f"Epoch {epoch + 1}/{self.params['epochs']}  {values}  {seconds:.1f} s  "
            f"{self.clips_per_epoch / seconds:.1f} clips/s",
            flush=True,
        )
