"""What a run starts from: given weights, and which layers stay as they are."""

import os
import pathlib
import shlex
from dataclasses import dataclass

import keras
from absl import logging

from r21d_keras import get_variant
from r21d_keras.zoo.errors import CheckpointError
from r21d_keras.zoo.sources import Source, find_source
from r21d_keras.zoo.table import CHANNELS
from r21d_keras.zoo.weights_h5 import load_h5, read_contents

from .config import ConfigError, TrainConfig
from .model_dir import build_model
from .optimization.stages import HEAD
from .origins import refused
from .remote.copies import kept, told_of
from .run_folder import ModelDir, run_files


@dataclass(frozen=True)
class Start:
    """Weights to start from; `classes` are the names of their classifier's outputs, if known."""

    source: Source
    classes: tuple[str, ...] | None = None

    def has_head_of(self, classes: tuple[str, ...]) -> bool:
        """Whether their classifier is one of these classes, in this order."""
        if self.classes is None:
            return self.source.num_classes == len(classes)
        return self.classes == classes


def find_start(config: TrainConfig) -> Start | None:
    """What --weights or --init_from names; None for neither. Checked before any work.

    A file of another framework is read here, all of it: pass the result on.

    Raises:
        ConfigError: `weights` that are neither "none" nor a tag of this variant nor a weights file
            of it; `init_from` that is no finished run of this network, or one that has seen the
            videos to test on; numbers of the configuration that are not those of the weights.
    """
    if config.init_from:
        return _of_run(config)
    if config.weights == "none":
        return None
    try:
        source = find_source(config.variant, config.weights, config.convention)
    except (ValueError, FileNotFoundError) as error:
        raise refused(config.weights, error) from None
    _check_clip(source, config, f"weights={config.weights!r}")
    return Start(source)


def load_start(
    model: keras.Model, config: TrainConfig, start: Start, classes: tuple[str, ...]
) -> None:
    """Loads `start` into `model`; a classifier of other classes in it is left out.

    Raises:
        ConfigError: if they are of another network, or damaged.
    """
    source, same_head = start.source, start.has_head_of(classes)
    whole = model if same_head else build_model(config, source.num_classes)
    try:
        source.load(whole)
    except ValueError as error:
        if start.classes is not None:
            raise ConfigError(f"init_from={config.init_from!r}: {error}") from None
        raise ConfigError(
            f"{error} Give the --variant, --convention and --width_multiplier that the weights "
            "were made with."
        ) from None
    logging.info(
        "Weights: %s. Video is resized to %dx%d, mean %s, standard deviation %s, %g Hz.",
        source.name,
        config.resize_height,
        config.resize_width,
        config.mean,
        config.std,
        config.frame_rate,
    )
    if not same_head:
        _copy_body(whole, model)
        logging.info(
            "Its classifier of %s classes is left out; that of these %d starts at random.",
            source.num_classes or "no",
            len(classes),
        )


def freeze(model: keras.Model, until: str) -> None:
    """Makes all layers up to the last one of name `until`, or in it, untrainable.

    "layer3" is the whole third stage and all before it. Frozen batch normalisation uses and keeps
    its running statistics.

    Raises:
        ConfigError: if no layer has this name, or none would be left to train.
    """
    if not until:
        return
    places = [
        index
        for index, layer in enumerate(model.layers)
        if layer.name == until or layer.name.startswith(f"{until}.")
    ]
    if not places:
        stages = dict.fromkeys(layer.name.split(".")[0] for layer in model.layers if layer.weights)
        raise ConfigError(
            f"freeze_until={until!r}: no such layer. Expected one of {', '.join(stages)}, or a "
            "longer name such as layer2.0."
        )
    for layer in model.layers[: places[-1] + 1]:
        layer.trainable = False
    if not model.trainable_weights:
        raise ConfigError(f"freeze_until={until!r} leaves no weights to train.")
    logging.info("Frozen up to %s: %d layers.", model.layers[places[-1]].name, places[-1] + 1)


def _of_run(config: TrainConfig) -> Start:
    """The final weights of a run, whatever the length of its clips."""
    folder = ModelDir(kept(config.init_from, run_files("final")))  # its weights are read later
    who = f"init_from={config.init_from!r}"
    with told_of(folder.root, config.init_from):
        return _started(folder, config, who)


def _started(folder: ModelDir, config: TrainConfig, who: str) -> Start:
    try:
        before, classes = folder.read_run()
    except ConfigError as error:
        raise ConfigError(f"{who}: {error}") from None
    path = folder.weights("final")
    if not path.is_file():
        root = shlex.quote(str(folder.root))
        raise ConfigError(
            f"{who}: {path.name} is missing; the run has not come to its end. Continue it with "
            f"`r21d train --model_dir={root}` and its options, or give another run."
        )
    for name in ("variant", "convention", "width_multiplier"):
        old, new = getattr(before, name), getattr(config, name)
        if old != new:
            raise ConfigError(f"{who} has {name}={old!r}; got {new!r}. Give --{name}={old}.")
    _check_split(before, config, who)
    _check_file(path, who)
    source = Source(
        name=os.path.join(config.init_from, path.name),
        num_classes=len(classes),
        convention=before.convention,
        clip=before.clip_shape,
        load=lambda model: load_h5(model, path),
    )
    _check_clip(source, config, who)
    return Start(source, classes)


def _check_split(before: TrainConfig, config: TrainConfig, who: str) -> None:
    """A run on another official split has been trained on videos that this one is tested on."""
    if before.dataset == config.dataset and before.split != config.split:
        raise ConfigError(
            f"{who} was trained on split {before.split} of {config.dataset}, in which are videos "
            f"that split {config.split} tests on. Give a run of split {config.split}, or "
            f"--split={before.split}."
        )


def _check_file(path: pathlib.Path, who: str) -> None:
    """A damaged file is found before the videos are looked through."""
    try:
        read_contents(path)
    except CheckpointError as error:
        raise ConfigError(f"{who}: {error}") from None


def _check_clip(source: Source, config: TrainConfig, who: str) -> None:
    """As `Source.check_shape`, in words of the command line."""
    frames, _, _, channels = source.clip or (None, None, None, None)
    if channels not in (None, config.clip_shape[3]):
        takes = CHANNELS.get(channels, "their own")
        raise ConfigError(
            f"{who}: they take {channels} channels ({takes}); stream={config.stream!r} has "
            f"{config.clip_shape[3]}. Give the other --stream, or other weights."
        )
    fixed = get_variant(config.variant).fixes_clip_length
    if fixed and frames not in (None, config.clip_frames):
        raise ConfigError(
            f"{who}: {config.variant} takes clips of {frames} frames, which are the channels of "
            f"its first convolution; got clip_frames={config.clip_frames}. Give --clip_frames="
            f"{frames}, or other weights."
        )


def _copy_body(source: keras.Model, target: keras.Model) -> None:
    for layer in source.layers:
        if layer.weights and layer.name != HEAD:
            target.get_layer(layer.name).set_weights(layer.get_weights())
