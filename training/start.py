"""What a run starts from: given weights, and which layers stay as they are."""

import keras
from absl import logging

from r21d_keras.zoo.sources import Source, find_source

from .config import ConfigError, TrainConfig
from .model_dir import build_model

HEAD = "fc"  # the classifier's layer name


def check_weights(config: TrainConfig) -> Source | None:
    """The source that --weights names, None for "none"; checked before any work.

    Raises:
        ConfigError: it is neither "none" nor a tag of this variant nor a weights file of it, or
            the configuration's numbers are not those of the weights.
    """
    if config.weights == "none":
        return None
    try:
        source = find_source(config.variant, config.weights, config.convention)
        source.check_shape(config.variant, config.clip_shape)
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(f"weights={config.weights!r}: {error}") from None
    return source


def load_start(model: keras.Model, config: TrainConfig, num_classes: int) -> None:
    """Loads config.weights into `model`; a classifier of other classes in them is left out.

    Raises:
        ConfigError: if they are of another network.
    """
    source = check_weights(config)
    if source is None:
        return
    same_head = source.num_classes == num_classes
    whole = model if same_head else build_model(config, source.num_classes)
    try:
        source.load(whole)
    except ValueError as error:
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


def _copy_body(source: keras.Model, target: keras.Model) -> None:
    for layer in source.layers:
        if layer.weights and layer.name != HEAD:
            target.get_layer(layer.name).set_weights(layer.get_weights())
