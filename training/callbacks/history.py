"""history.csv: a row an epoch."""

import csv
import io
import pathlib

from ..config import ConfigError
from ..model_dir import write_text
from .timed import Timed

COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "learning_rate",
    "val_loss",
    "val_accuracy",
    "seconds",
)


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
