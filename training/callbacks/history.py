"""Writes history.csv."""

import csv
import io
import pathlib

from ..config import ConfigError
from ..history import ADVICE, COLUMNS, read_history
from ..run_folder import write_text
from .timed import Timed


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


_INCOMPLETE = "{} has not one row for each of the {} epochs that the run has done. " + ADVICE
