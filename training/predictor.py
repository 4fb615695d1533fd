"""Models that are ready to be shown videos: of a run, of an export, of the zoo."""

import math
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np

from r21d_keras import list_variants
from r21d_keras.zoo.builders import BUILDERS
from r21d_keras.zoo.labels import class_names
from r21d_keras.zoo.preprocessing import Preprocessing
from r21d_keras.zoo.published import Weights
from r21d_keras.zoo.weights import weights_named

from .config import WEIGHTS
from .data.frames import center_crop
from .data.pipeline import normalise
from .evaluation.scoring import ClipScorer, clip_scorer
from .flow.methods import check_method, clip_flow
from .flow.streams import PUBLISHED_METHOD, frames_shown
from .formats.runtimes import Session, open_session
from .formats.table import FORMATS
from .model_dir import load_run
from .remote.copies import fetched
from .run_folder import ModelDir, run_files
from .serving.about import preprocessing_of, read_about
from .serving.asked import in_parts
from .serving.local_transport import LocalTransport
from .serving.names import CLIPS, FILES, LAST_FILES, METADATA, PROBABILITIES, SERVING_DEFAULT
from .serving.transport import ServerError
from .serving.versions import versions_in


@dataclass(frozen=True)
class Predictor:
    """A model with all that is needed to show it a video.

    clip_frames: of a video that make a clip; of the video, so that flow has one less.
    scorer: takes uint8 RGB clips (N, clip_frames, H, W, 3), resized and not yet cropped.
    """

    classes: tuple[str, ...]
    clip_frames: int
    short_video: str
    preprocessing: Preprocessing
    scorer: ClipScorer


def load_predictor(model: str | os.PathLike, weights: str | None = None) -> Predictor:
    """A Predictor from a run, a version that `r21d export` wrote, or published weights.

    Args:
        model: the folder, here or at a URL, whose content tells which of the two it is, and of an
            export the format, or a name of `r21d zoo list`.
        weights: one of config.WEIGHTS, for a run alone; None: the first of them.

    Raises:
        ValueError: if it is none of these, no run and `weights` are given, or flow that cannot be
            computed here.
        DownloadError: published weights that cannot be got.
    """
    if not Path(model).exists() and str(model).partition(".")[0] in list_variants():
        _only_for_runs(weights)
        return _from_zoo(weights_named(str(model)))
    with fetched(model, (*run_files(weights or WEIGHTS[0]), *FILES)) as folder:
        return _from_folder(folder, weights)


def _from_folder(folder: Path, weights: str | None) -> Predictor:
    if ModelDir(folder).config.is_file():
        return _from_run(folder, weights or WEIGHTS[0])
    _only_for_runs(weights)
    for name, row in FORMATS.items():
        if (folder / row.files[0]).is_file():
            return _from_export(folder, name)
    versions = versions_in(folder)
    advice = f"Did you mean {versions[-1]}?" if versions else "Train or export one first."
    raise ValueError(
        f"{folder} holds neither a run (config.json) nor an export ({', '.join(LAST_FILES)}); "
        "expected the --model_dir of `r21d train`, a version of `r21d export`, or VARIANT.TAG of "
        f"`r21d zoo list`. {advice}"
    )


def predictor_of(row: Weights, model: keras.Model) -> Predictor:
    """A Predictor from published weights and the network with them, ending in probabilities."""
    numbers = row.preprocessing
    scorer = _cropped(_normalised(clip_scorer(model), numbers), numbers, PUBLISHED_METHOD)
    return Predictor(
        class_names(row), frames_shown(row.input_shape[0], numbers), "loop", numbers, scorer
    )


def _only_for_runs(weights: str | None) -> None:
    if weights is not None:
        raise ValueError(f"weights={weights!r} is for the folder of a run alone. Leave it out.")


def _from_run(folder: Path, weights: str) -> Predictor:
    config, classes, model = load_run(folder, weights)
    numbers = config.preprocessing
    scorer = _cropped(_normalised(clip_scorer(model), numbers), numbers, config.flow_method)
    shown = frames_shown(config.clip_frames, numbers)
    return Predictor(classes, shown, config.short_video, numbers, scorer)


def _from_export(folder: Path, name: str) -> Predictor:
    if not (folder / METADATA).is_file():
        raise ValueError(
            f"{folder} is an export without {METADATA}, so its frame rate and clip length are "
            "unknown. Expected one that `r21d export` wrote; export the run again."
        )
    about = read_about(folder)
    if name == "tf":
        scorer = partial(_ask, LocalTransport(folder), about.get("limits", {}))
    else:
        scorer = partial(_call_session, open_session(folder, name))
    numbers = preprocessing_of(about)
    # A SavedModel of RGB takes whole frames, all others crops: flow is of cropped frames.
    if name != "tf" or numbers.takes_flow:
        scorer = _cropped(scorer, numbers, about.get("flow_method", ""))
    shown = frames_shown(about["clip_frames"], numbers)
    return Predictor(tuple(about["classes"]), shown, about["short_video"], numbers, scorer)


def _call_session(session: Session, clips: np.ndarray) -> np.ndarray:
    return session(clips)[PROBABILITIES]


def _ask(model: LocalTransport, limits: dict, clips: np.ndarray) -> np.ndarray:
    """As many clips at a time as the model answers: of large ones fewer than a video has."""

    def ask(part):
        return model.predict(SERVING_DEFAULT, {CLIPS: part}, math.inf)

    try:
        return in_parts(ask, clips, limits)[PROBABILITIES]
    except ServerError as error:
        refused = error.code == "INVALID_ARGUMENT"
        told = "the model refuses it" if refused else f"TensorFlow fails ({error.code})"
        raise ServerError(error.code, error.detail, f"{told}: {error.fault}") from None


def _from_zoo(row: Weights) -> Predictor:
    return predictor_of(row, BUILDERS[row.variant](weights=row.tag))


def _normalised(run: ClipScorer, numbers: Preprocessing) -> ClipScorer:
    """`run`, which takes normalised clips, for clips as they are."""
    return lambda clips: run(normalise(clips, numbers))


def _cropped(run: ClipScorer, numbers: Preprocessing, flow_method: str) -> ClipScorer:
    """`run` for uint8 RGB clips that are resized and not yet cropped.

    Where it takes flow, that of the crops is computed by `flow_method`.
    """
    if not numbers.takes_flow:
        return lambda clips: run(center_crop(clips, numbers.crop_size))
    check_method(flow_method, numbers.crop_size)
    return lambda clips: run(clip_flow(center_crop(clips, numbers.crop_size), flow_method))
