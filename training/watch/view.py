"""Networks for video that goes on: a probability of each class for windows that slide over it.

Windows that overlap may share the features that they have in common, as in a dense test
(evaluation/protocols.py); `View.exactness` says what that means for a network.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np

from r21d_keras import get_variant, list_variants
from r21d_keras.zoo.builders import BUILDERS
from r21d_keras.zoo.labels import class_names
from r21d_keras.zoo.preprocessing import Preprocessing
from r21d_keras.zoo.weights import weights_named

from ..config import WEIGHTS, ConfigError
from ..data.frames import center_crop
from ..evaluation.network import Network
from ..evaluation.protocols import Protocol, exactness, settled
from ..evaluation.scoring import ClipScorer
from ..flow.methods import check_method, clip_flow
from ..flow.streams import PUBLISHED_METHOD, frames_shown
from ..model_dir import load_run
from ..predictor import Predictor, load_predictor
from ..remote.copies import fetched
from ..run_folder import ModelDir, run_files
from .answering import Alone, Answering, Shared


@dataclass(frozen=True, kw_only=True)
class View:
    """A network that watches.

    length: frames of a window. every: frames from one window to the next. short_video: what fills
    one of a video that is shorter. exactness: how windows compare with clips one by one. alone:
    answers for clips (B, length, H, W, 3), uint8 RGB, resized and not yet cropped.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    length: int
    every: int
    short_video: str
    exactness: str
    alone: ClipScorer
    answering: Answering


@dataclass(frozen=True)
class _Kind:
    """What Network and Protocol ask of the configuration of a run, for published weights too."""

    variant: str
    clip_frames: int
    preprocessing: Preprocessing
    short_video: str
    flow_method: str

    @property
    def crop_size(self) -> int:
        return self.preprocessing.crop_size


def load_view(
    model: str | os.PathLike,
    weights: str | None = None,
    every: int | None = None,
    overlap: str = "auto",
) -> View:
    """A View by a run, a version that `r21d export` wrote, or published weights.

    Args:
        model: as for `load_predictor`.
        weights: one of config.WEIGHTS, for a run alone.
        every: frames from window to window; half a window where it is None.
        overlap: one of protocols.OVERLAP.

    Raises:
        ConfigError: what this network cannot do.
        ValueError: as `load_predictor`.
    """
    if not Path(model).exists() and str(model).partition(".")[0] in list_variants():
        if weights is None:
            return _by_network(*_published(str(model)), every, overlap)
    else:
        with fetched(model, run_files(weights or WEIGHTS[0])) as folder:
            if ModelDir(folder).config.is_file():
                return _by_network(*_of_run(folder, weights or WEIGHTS[0]), every, overlap)
    return view_of(load_predictor(model, weights), every, overlap)


def view_of(predictor: Predictor, every: int | None = None, overlap: str = "auto") -> View:
    """A View by a Predictor, which computes every window for itself.

    Raises:
        ConfigError: overlap="share".
    """
    if overlap == "share":
        raise ConfigError(
            "overlap=share: exports and servers take whole clips. Leave it out, or give the run or "
            "the published weights."
        )
    length, every = predictor.clip_frames, every or max(1, predictor.clip_frames // 2)
    return View(
        classes=predictor.classes,
        preprocessing=predictor.preprocessing,
        length=length,
        every=every,
        short_video=predictor.short_video,
        exactness="exact: each window is computed for itself",
        alone=predictor.scorer,
        answering=Alone(predictor.scorer, length, every),
    )


def _of_run(folder: Path, weights: str) -> tuple[_Kind, tuple[str, ...], keras.Model]:
    config, classes, model = load_run(folder, weights, any_length=True)
    kind = _Kind(
        config.variant,
        config.clip_frames,
        config.preprocessing,
        config.short_video,
        config.flow_method,
    )
    return kind, classes, model


def _published(name: str) -> tuple[_Kind, tuple[str, ...], keras.Model]:
    row = weights_named(name)
    frames, *rest = row.input_shape
    kind = _Kind(row.variant, frames, row.preprocessing, "loop", PUBLISHED_METHOD)
    fixed = get_variant(row.variant).fixes_clip_length
    shape = (frames if fixed else None, *rest)
    return kind, class_names(row), BUILDERS[row.variant](weights=row.tag, input_shape=shape)


def _by_network(kind: _Kind, classes, model: keras.Model, every: int | None, overlap: str) -> View:
    numbers, network = kind.preprocessing, Network(model, kind)
    if numbers.takes_flow:
        check_method(kind.flow_method, numbers.crop_size)
    asked = Protocol(name="dense", overlap=overlap, stride=every)
    if every is not None and every > kind.clip_frames and overlap != "share":
        protocol = replace(asked, overlap="recompute")  # a test would miss the frames between
    else:
        protocol = settled(asked, kind, network.reach)

    def seen(frames: np.ndarray) -> np.ndarray:
        frames = center_crop(frames, numbers.crop_size)
        return clip_flow(frames, kind.flow_method) if numbers.takes_flow else frames

    def alone(clips: np.ndarray) -> np.ndarray:
        return network.clips(seen(clips))

    length = frames_shown(kind.clip_frames, numbers)
    if protocol.overlap == "share":
        network.prepare_blocks()
        answering = Shared(network, seen, kind.clip_frames, protocol.stride, length)
    else:
        answering = Alone(alone, length, protocol.stride)
    return View(
        classes=classes,
        preprocessing=numbers,
        length=length,
        every=protocol.stride,
        short_video=kind.short_video,
        exactness=exactness(protocol, kind, network.reach),
        alone=alone,
        answering=answering,
    )
