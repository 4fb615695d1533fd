"""Networks to take features from: published, of a file, or of a run; and what they are shown."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass

import keras
from absl import logging

from r21d_keras import get_variant
from r21d_keras.zoo.origin import origin
from r21d_keras.zoo.preprocessing import Preprocessing
from r21d_keras.zoo.sources import find_source
from r21d_keras.zoo.weights_h5 import load_h5

from .config import WEIGHTS, ConfigError, validate
from .feature_options import FeatureOptions
from .flow.streams import PUBLISHED_METHOD, STREAMS
from .model_dir import build_model
from .remote.copies import kept, told_of
from .run_folder import ModelDir, run_files

CLIP_FRAMES = 16  # section 4.1 of the paper, for files that do not say


@dataclass(frozen=True, kw_only=True)
class FeatureSource:
    """A network and how video becomes its input.

    model: takes float32 clips (B, T, S, S, C), gives logits where it has a classifier; its weights
    are those of `name` once `load` was called. flow_method: one of flow.methods.METHODS, where it
    takes flow.
    """

    name: str
    model: keras.Model
    load: Callable[[], None]
    clip_frames: int
    preprocessing: Preprocessing
    short_video: str = "loop"
    flow_method: str = ""


def from_zoo(
    variant: str, weights: str, options: FeatureOptions, convention: str | None = None
) -> FeatureSource:
    """The network of a published checkpoint or of a file; nothing is downloaded before `load`.

    Args:
        variant: name of the network.
        weights: a tag of `zoo.list_weights(variant)`, or the path of a file. A file that is no
            published one, nor converted from one, is taken to want clips of 16 frames with
            Kinetics' numbers; the log says so.
        options: which may change clip length, crop and frame rate.
        convention: as for `zoo.r2plus1d_18`.

    Raises:
        ValueError: weights that are not known or do not fit; a crop that does not fit.
        FileNotFoundError: no such file.
    """
    source = find_source(variant, weights, convention)
    trained = source.clip or (None, None, None, 3)
    row = origin(variant, weights)
    usual = {len(numbers.mean): numbers for numbers in STREAMS.values()}  # by channels
    if row is None and trained[3] not in usual:
        raise ValueError(
            f"{source.name} takes clips of {trained[3]} channels; expected 3, RGB, or 2, optical "
            "flow. Choose other weights: `r21d zoo list` has some."
        )
    if row is None:
        logging.info(
            "%s: video is prepared as for Kinetics, by %s.", source.name, usual[trained[3]]
        )
    numbers = _changed(row.preprocessing if row else usual[trained[3]], options)
    frames = options.clip_frames or trained[0] or (row.input_shape[0] if row else CLIP_FRAMES)
    _check_length(variant, trained[0], frames)
    shape = (frames, numbers.crop_size, numbers.crop_size, len(numbers.mean))
    pooling = "avg" if source.num_classes is None else None  # so that "avgpool" is always there
    model = source.network(variant, shape, pooling=pooling, classifier_activation=None)
    return FeatureSource(
        name=source.name,
        model=model,
        load=lambda: source.load(model),
        clip_frames=frames,
        preprocessing=numbers,
        flow_method=PUBLISHED_METHOD if numbers.takes_flow else "",
    )


def from_run(
    model_dir: str | os.PathLike, options: FeatureOptions, which: str = WEIGHTS[0]
) -> FeatureSource:
    """The network of a run in its folder `model_dir`; `which` is one of config.WEIGHTS.

    Raises:
        ConfigError: no run, one without these weights, or options that do not fit it.
    """
    folder = ModelDir(kept(model_dir, run_files(which)))  # the weights are read later
    with told_of(folder.root, os.fspath(model_dir)):
        config, classes = folder.read_run()
        path = folder.weights(which)
        if not path.is_file():
            raise ConfigError(f"{path} does not exist. Continue the run with `r21d train` first.")
    asked = {name: getattr(options, name) for name in ("clip_frames", "crop_size", "frame_rate")}
    changed = dataclasses.replace(config, **{name: v for name, v in asked.items() if v is not None})
    validate(changed)
    _check_length(config.variant, config.clip_frames, changed.clip_frames)
    model = build_model(changed, len(classes))
    return FeatureSource(
        name=str(path),
        model=model,
        load=lambda: load_h5(model, path),
        clip_frames=changed.clip_frames,
        preprocessing=changed.preprocessing,
        short_video=changed.short_video,
        flow_method=changed.flow_method if changed.stream == "flow" else "",
    )


def _check_length(variant: str, trained: int | None, asked: int) -> None:
    if get_variant(variant).fixes_clip_length and trained not in (None, asked):
        raise ConfigError(
            f"clip_frames={asked}: {variant} takes clips of the length that it was trained on, "
            f"here {trained}. Leave --clip_frames out."
        )


def _changed(numbers: Preprocessing, options: FeatureOptions) -> Preprocessing:
    asked = {"crop_size": options.crop_size, "frame_rate": options.frame_rate}
    numbers = dataclasses.replace(numbers, **{name: v for name, v in asked.items() if v})
    smallest = numbers.resize if isinstance(numbers.resize, int) else min(numbers.resize)
    if numbers.crop_size > smallest:
        raise ValueError(
            f"crop_size={numbers.crop_size} does not fit in frames that are resized to "
            f"{numbers.resize}. Crop no more than {smallest}."
        )
    return numbers
