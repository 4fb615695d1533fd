"""The stages of a network, told by the names of its layers, and how fast each one learns."""

from collections.abc import Sequence

import keras

from ..config import TrainConfig

STAGES = ("stem", "layer1", "layer2", "layer3", "layer4", "fc")
"""From the first to the classifier; "layer2.0.conv1" is in "layer2"."""
HEAD = STAGES[-1]


def stage_factors(config: TrainConfig) -> dict[str, float]:
    """The learning rate of each of STAGES over the schedule's.

    A stage has layer_decay times the rate of the next one, and the last before the classifier
    layer_decay times the schedule's (Howard and Ruder, arXiv:1801.06146, section 3.2, there a
    layer and a factor of 1/2.6); the classifier itself has head_factor times the schedule's.
    """
    body = STAGES[:-1]
    factors = {stage: config.layer_decay ** (len(body) - index) for index, stage in enumerate(body)}
    return {**factors, HEAD: config.head_factor}


def trained_layers(model: keras.Model, config: TrainConfig) -> list[keras.layers.Layer]:
    """The layers that a run changes weights of, from the first to the classifier.

    Frozen ones are not among them; where the classifier learns alone in all epochs, it is the one.
    """
    alone = config.head_epochs == config.epochs
    layers = model.layers[-1:] if alone else model.layers
    return [layer for layer in layers if layer.trainable_weights]


def stage_of(model: keras.Model, layer: keras.layers.Layer) -> str:
    """Which of STAGES a layer of `model` is in; the last is the classifier, whatever its name."""
    return HEAD if layer is model.layers[-1] else layer.name.split(".")[0]


def rate_factors(model: keras.Model, variables: Sequence, config: TrainConfig) -> list[float]:
    """The learning rate of each of the model's `variables` over the schedule's."""
    if config.head_factor == 1.0 and config.layer_decay == 1.0:
        return [1.0] * len(variables)
    factors, found = stage_factors(config), {}
    for layer in model.layers:
        if layer.weights:
            factor = factors[stage_of(model, layer)]
            found |= {id(weight): factor for weight in layer.trainable_weights}
    return [found[id(variable)] for variable in variables]
