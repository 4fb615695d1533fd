"""Models that are ready to be shown videos: of a run, of a SavedModel, of the zoo."""

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from r21d_keras import list_variants
from r21d_keras.zoo.builders import BUILDERS
from r21d_keras.zoo.labels import load_labels
from r21d_keras.zoo.preprocessing import Preprocessing
from r21d_keras.zoo.published import Weights
from r21d_keras.zoo.weights import weights_named

from .config import WEIGHTS
from .data.frames import center_crop
from .data.pipeline import normalise
from .evaluation.scoring import ClipScorer, clip_scorer
from .export import METADATA
from .model_dir import ModelDir, load_run


@dataclass(frozen=True)
class Predictor:
    """A model with all that is needed to show it a video.

    scorer: takes uint8 RGB clips (N, T, H, W, 3), resized and not yet cropped.
    """

    classes: tuple[str, ...]
    clip_frames: int
    short_video: str
    preprocessing: Preprocessing
    scorer: ClipScorer


def load_predictor(model: str | os.PathLike, weights: str | None = None) -> Predictor:
    """A Predictor from a run, a SavedModel that `export` wrote, or published weights.

    Args:
        model: the folder, whose content tells which of the two it is, or a name of `r21d zoo list`.
        weights: one of config.WEIGHTS, for a run alone; None: the first of them.

    Raises:
        ValueError: if it is none of these, weights that take optical flow, or no run and `weights`
            are given.
        DownloadError: published weights that cannot be got.
    """
    folder = Path(model)
    if not folder.exists() and str(model).partition(".")[0] in list_variants():
        _only_for_runs(weights)
        return _from_zoo(weights_named(str(model)))
    if ModelDir(folder).config.is_file():
        return _from_run(folder, weights or WEIGHTS[0])
    _only_for_runs(weights)
    if (folder / "saved_model.pb").is_file():
        return _from_saved_model(folder)
    versions = sorted(str(path.parent) for path in folder.glob("*/saved_model.pb"))
    advice = f"Did you mean {versions[-1]}?" if versions else "Train or export one first."
    raise ValueError(
        f"{folder} holds neither a run (config.json) nor a SavedModel (saved_model.pb); expected "
        "the --model_dir of `r21d train`, the --out of `r21d export`, or VARIANT.TAG of "
        f"`r21d zoo list`. {advice}"
    )


def predictor_of(row: Weights, model: keras.Model) -> Predictor:
    """A Predictor from published weights and the network with them, ending in probabilities."""
    labels = load_labels(row.labels) if row.labels else _numbered(row.num_classes)
    scorer = _cropped(clip_scorer(model), row.preprocessing)
    return Predictor(labels, row.input_shape[0], "loop", row.preprocessing, scorer)


def _only_for_runs(weights: str | None) -> None:
    if weights is not None:
        raise ValueError(f"weights={weights!r} is for the folder of a run alone. Leave it out.")


def _from_run(folder: Path, weights: str) -> Predictor:
    config, classes, model = load_run(folder, weights)
    scorer = _cropped(clip_scorer(model), config.preprocessing)
    return Predictor(classes, config.clip_frames, config.short_video, config.preprocessing, scorer)


def _from_saved_model(folder: Path) -> Predictor:
    if not (folder / METADATA).is_file():
        raise ValueError(
            f"{folder} is a SavedModel without {METADATA}, so its frame rate and clip length are "
            "unknown. Expected one that `r21d export` wrote; export the run again."
        )
    about = json.loads((folder / METADATA).read_text("utf-8"))
    # The signature holds only a weak reference: the loaded object must outlive it.
    scorer = partial(_call_signature, tf.saved_model.load(str(folder)))
    return Predictor(
        tuple(about["classes"]),
        about["clip_frames"],
        about["short_video"],
        Preprocessing(**{name: _tupled(value) for name, value in about["preprocessing"].items()}),
        scorer,
    )


def _call_signature(loaded, clips: np.ndarray) -> np.ndarray:
    answer = loaded.signatures["serving_default"](clips=tf.constant(clips))
    return answer["probabilities"].numpy()


def _tupled(value):
    return tuple(value) if isinstance(value, list) else value


def _from_zoo(row: Weights) -> Predictor:
    if row.preprocessing.takes_flow:
        raise ValueError(
            f"{row.name} takes optical flow; expected weights for RGB video. "
            "`r21d zoo list --channels=3` names them."
        )
    return predictor_of(row, BUILDERS[row.variant](weights=row.tag))


def _numbered(num_classes: int) -> tuple[str, ...]:
    """Labels for a classifier whose own were never published."""
    return tuple(f"class {index}" for index in range(num_classes))


def _cropped(run: ClipScorer, numbers: Preprocessing) -> ClipScorer:
    """`run`, which takes float32 clips, for uint8 clips that are resized and not yet cropped."""
    return lambda clips: run(normalise(center_crop(clips, numbers.crop_size), numbers))
