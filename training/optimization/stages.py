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


def rate_factors(model: keras.Model, variables: Sequence, config: TrainConfig) -> list[float]:
    """The learning rate of each of the model's `variables` over the schedule's.

    The last layer is the classifier, whatever its name.
    """
    if config.head_factor == 1.0 and config.layer_decay == 1.0:
        return [1.0] * len(variables)
    factors, found = stage_factors(config), {}
    for layer in model.layers:
        if layer.weights:
            stage = HEAD if layer is model.layers[-1] else layer.name.split(".")[0]
            found |= {id(weight): factors[stage] for weight in layer.trainable_weights}
    return [found[id(variable)] for variable in variables]
