"""What an evaluation said of each video, read back from its folder."""

import csv
import json
import os
import pathlib
from dataclasses import dataclass

import numpy as np

from ..config import ConfigError
from ..model_dir import ModelDir
from .report import LABELS_JOINED_BY, NAMES


@dataclass(frozen=True)
class Predictions:
    """What an evaluation says of V videos, the i-th of them `names[i]`.

    about: what evaluation.json has. labels: of each video all that it has, as indices into
    `classes`. scores: probabilities (V, K), float64.
    """

    folder: pathlib.Path
    about: dict
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[tuple[int, ...], ...]
    scores: np.ndarray

    @property
    def several_labels(self) -> bool:
        """Whether a video may have more than one label."""
        return "confusion" not in self.about


def read_predictions(folder: str | os.PathLike) -> Predictions:
    """The predictions in a folder that `r21d evaluate` wrote, in the order of their file.

    Raises:
        ConfigError: the folder holds no evaluation, or files that are not as they were written.
    """
    place = ModelDir(pathlib.Path(folder))
    for path in (place.evaluation, place.predictions):
        if not path.is_file():
            raise ConfigError(
                f"{folder} holds no evaluation: {path.name} is missing. Expected the --out, or "
                "--model_dir, of `r21d evaluate`."
            )
    try:
        about = json.loads(place.evaluation.read_text("utf-8"))
        classes = tuple(about["classes"])
        with open(place.predictions, newline="", encoding="utf-8", errors=NAMES) as file:
            header, *rows = csv.reader(file)
        if header != ["video", "label", "predicted", *classes]:
            raise ValueError("its columns are not the classes of evaluation.json")
        scores = np.array([row[3:] for row in rows], np.float64).reshape(len(rows), len(classes))
        number = {name: label for label, name in enumerate(classes)}
        several = "confusion" not in about
        texts = [row[1].split(LABELS_JOINED_BY) if several else [row[1]] for row in rows]
        labels = tuple(tuple(number[name] for name in text) for text in texts)
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ConfigError(
            f"{place.predictions}: cannot be read ({type(error).__name__}: {error}). Evaluate "
            "again."
        ) from None
    if not np.isfinite(scores).all() or len({row[0] for row in rows}) < len(rows) or not rows:
        raise ConfigError(
            f"{place.predictions}: expected a row of finite numbers for each video, once. Evaluate "
            "again."
        )
    return Predictions(place.root, about, classes, tuple(row[0] for row in rows), labels, scores)
