"""Multiply-adds of a built model, counted as the paper's authors count GFLOPs."""

import math

import keras

from .walk import leaf_layers

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def count_macs(model) -> int:
    """Multiply-adds of one clip through `model`: its convolutions and dense layers.

    VMZ's "GFLOPs" (c2/tutorials/models.md) are these, divided by 1e9; normalisation, activation,
    pooling and biases count nothing. Works for any Keras model of such layers, nested ones too.

    Raises:
        ValueError: if a size is unknown, as in a model built with None for frames or height.
    """
    total = 0
    for layer, input_shape in leaf_layers(model):
        if isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape) * _positions(layer, input_shape[1:-1])
        elif isinstance(layer, CONVOLUTIONS):
            output_shape = tuple(layer.compute_output_shape(input_shape))
            total += math.prod(layer.kernel.shape) * _positions(layer, output_shape[1:-1])
    return total


def _positions(layer, sizes):
    if None in sizes:
        raise ValueError(
            f"{layer.name} has an unknown size, (time, height, width) = {tuple(sizes)}. Multiply-"
            "adds depend on it: build the model with a full input_shape."
        )
    return math.prod(sizes)
