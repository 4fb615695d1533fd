"""Networks with such numbers as training leaves, without a training."""

import keras
import numpy as np

from r21d_keras import VideoResNet, get_variant
from r21d_keras.merged import merge_batch_norm
from r21d_keras.training.serving.servable import Servable
from r21d_keras.walk import leaf_layers
from r21d_keras.zoo.preprocessing import FLOW, Preprocessing

CLASSES = tuple(f"class {number}" for number in range(7))


def trained(model, seed=0):
    """The model with such statistics and factors as training leaves, none of them 0 or 1."""
    draw = np.random.default_rng(seed)
    for layer, _ in leaf_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            layer.set_weights(
                [
                    draw.uniform(0.5, 1.5, gamma.shape),
                    draw.normal(0, 0.3, beta.shape),
                    draw.normal(0, 0.3, mean.shape),
                    draw.uniform(0.3, 3.0, variance.shape),
                ]
            )
    return model


def servable_of(variant, frames=4, side=24, flow=False, width=0.0625, dropout=0.0):
    """What is to be served of a narrow network whose scores differ from clip to clip."""
    keras.utils.set_random_seed(3)
    length = frames if get_variant(variant).fixes_clip_length else None
    shape = (length, side, side, 2 if flow else 3)
    model = VideoResNet(variant, len(CLASSES), shape, width_multiplier=width, dropout=dropout)
    kernel, bias = model.get_layer("fc").get_weights()
    model.get_layer("fc").set_weights([60 * kernel, bias])
    numbers = Preprocessing(crop_size=side, resize=(side, side + 4))
    if flow:
        numbers = Preprocessing(crop_size=side, scale=FLOW.scale, mean=FLOW.mean, std=FLOW.std)
    network = merge_batch_norm(trained(model))
    method = "farneback" if flow else ""
    return Servable(network, variant, CLASSES, numbers, frames, "loop", method)
