"""history.csv of a run: a row an epoch."""

import csv
import pathlib

from .config import ConfigError

COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "learning_rate",
    "val_loss",
    "val_accuracy",
    "seconds",
)
ADVICE = "Put it back as it was; or give another --model_dir to train anew."


def read_history(path: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a history.csv, one an epoch, by column.

    Raises:
        ConfigError: if there is no such file, or it is no history.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise ConfigError(f"{path} is missing, the history of a run. {ADVICE}") from None
    if not all((row.get("epoch") or "").isdecimal() for row in rows):
        raise ConfigError(f"{path} is no history of a run: expected {','.join(COLUMNS)}. {ADVICE}")
    return rows
