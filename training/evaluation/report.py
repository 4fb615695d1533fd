"""What an evaluation leaves in a folder: tables, pictures and evaluation.json, all or none."""

import csv
from pathlib import Path

import numpy as np

from r21d_keras.zoo.durable import partial_name, put

from ..config import ConfigError
from ..model_dir import ModelDir
from ..pictures import draw_confusion
from ..reliability_picture import draw_reliability
from .tally import Tally

LABELS_JOINED_BY = "|"
"""Between the names in predictions.csv where a video has several labels."""

NAMES = "surrogateescape"
"""How names of videos that are not UTF-8 stand in predictions.csv: with the bytes they have."""


class Report:
    """The files of an evaluation, written beside those of an earlier one until all are whole.

    A context: use `add` for each video, then `finish`; what is not finished is gone at its end.

    Args:
        folder: where they go; it is made where it is not there.
        classes: their names.
        several_labels: whether a video may have more than one.

    Raises:
        ConfigError: class names that a file with several labels cannot tell apart.
    """

    def __init__(self, folder: ModelDir, classes: tuple[str, ...], several_labels: bool = False):
        wrong = [name for name in classes if LABELS_JOINED_BY in name]
        if several_labels and wrong:
            raise ConfigError(
                f"Class {wrong[0]!r} has {LABELS_JOINED_BY!r} in it, which stands between the "
                "labels of a video in predictions.csv. Rename it."
            )
        self._folder, self._classes = folder, classes
        self._pending: list[Path] = []

    def __enter__(self):
        """Opens the file of predictions, so that a folder that cannot be written is known early."""
        self._folder.root.mkdir(parents=True, exist_ok=True)
        path = self.new(self._folder.predictions)
        self._file = open(path, "w", newline="", encoding="utf-8", errors=NAMES)
        self._rows = csv.writer(self._file)
        self._rows.writerow(["video", "label", "predicted", *self._classes])
        return self

    def __exit__(self, *_):
        """Removes what was not finished."""
        self._file.close()
        for path in self._pending:
            partial_name(path).unlink(missing_ok=True)

    def add(self, name: str, labels: tuple[int, ...], predicted: int, mean: np.ndarray) -> None:
        """Writes a video's row of predictions.csv: label(s), best class, probabilities (K,)."""
        label = LABELS_JOINED_BY.join(self._classes[label] for label in labels)
        # Nine digits give back a float32, and tell apart what averages of them differ by.
        scores = [f"{score:.9g}" for score in mean]
        self._rows.writerow([name, label, self._classes[predicted], *scores])

    def new(self, path: Path) -> Path:
        """Where to write what is to become `path` when all is finished."""
        self._pending.append(path)
        return partial_name(path)

    def finish(self, tally: Tally, text: str) -> None:
        """Puts all files in place; `text` is evaluation.json's, which comes last."""
        self._file.close()
        _write_table(tally.class_table(), self.new(self._folder.per_class))
        accuracy = tally.hits / tally.videos
        draw_reliability(tally.calibration, accuracy, self.new(self._folder.reliability))
        if tally.one_label:
            draw_confusion(tally.confusion, self._classes, self.new(self._folder.confusion))
        self.new(self._folder.evaluation).write_text(text, "utf-8")
        if not tally.one_label:
            self._folder.confusion.unlink(missing_ok=True)  # an earlier evaluation's
        for path in self._pending:
            put(partial_name(path), path)


def _write_table(rows: list[dict], path: Path) -> None:
    """Rows as CSV; shares with four digits, nothing for None."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        for row in rows:
            table.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
