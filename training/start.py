"""What a run starts from: given weights, and which layers stay as they are."""

import pathlib

import h5py
import keras
import numpy as np
from absl import logging

from .config import ConfigError, TrainConfig
from .model_dir import build_model

HEAD = "fc"  # the classifier's layer name


def check_weights(weights: str) -> None:
    """Checks a value of --weights before any work.

    Raises:
        ConfigError: if it is neither "none" nor an existing .weights.h5 file.
    """
    if weights == "none":
        return
    path = pathlib.Path(weights)
    if not path.is_file():
        raise ConfigError(
            f"weights={weights!r}: expected none or an existing .weights.h5 file; there is no such "
            "file, and no tags are known."
        )
    if not path.name.endswith(".weights.h5") or not h5py.is_hdf5(path):
        raise ConfigError(f"weights={weights!r}: expected a file in Keras' .weights.h5 format.")


def load_start(model: keras.Model, config: TrainConfig, num_classes: int) -> None:
    """Loads config.weights into `model`; a classifier of other classes in the file is left out.

    Raises:
        ConfigError: if the file holds another network.
    """
    if config.weights == "none":
        return
    in_file, num_values = _contents(config.weights)
    source = model if in_file == num_classes else build_model(config, in_file)
    # load_weights does not mind values in the file that the network has no place for.
    fits = num_values == source.count_params()
    try:
        if fits:
            source.load_weights(config.weights)
    except ValueError:
        fits = False
    if not fits:
        raise ConfigError(
            f"weights={config.weights!r} holds {num_values:,} values that do not fit "
            f"{config.variant} ({config.convention}, width {config.width_multiplier:g}) with "
            f"{source.count_params():,}. Give the --variant, --convention and --width_multiplier "
            "that the weights were made with."
        )
    logging.info("Weights from %s.", config.weights)
    if source is not model:
        _copy_body(source, model)
        logging.info(
            "Its classifier of %s classes is left out; that of these %d starts at random.",
            in_file or "no",
            num_classes,
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


def _contents(path: str) -> tuple[int | None, int]:
    """Classes of the classifier (None without one) and number of values in a .weights.h5 file."""
    shapes = []

    def note(name, item):
        # Not the optimizer's state, nor the integer state of random layers.
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer"):
            if np.issubdtype(item.dtype, np.floating):
                shapes.append(item.shape)

    with h5py.File(path) as file:
        file.visititems(note)
    # The classifier's kernel alone has two axes, whatever the layout of the file.
    classes = [shape[1] for shape in shapes if len(shape) == 2]
    return classes[0] if classes else None, sum(int(np.prod(shape)) for shape in shapes)


def _copy_body(source: keras.Model, target: keras.Model) -> None:
    for layer in source.layers:
        if layer.weights and layer.name != HEAD:
            target.get_layer(layer.name).set_weights(layer.get_weights())
