"""Multiply-adds of a built model, counted as the paper's authors count GFLOPs."""

import math

import keras

from .walk import leaf_layers

CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
TRANSPOSED = (  # some of them are convolutions to Keras 2.15
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)


def count_macs(model) -> int:
    """Multiply-adds of one clip through `model`: its convolutions and dense layers.

    VMZ's "GFLOPs" (c2/tutorials/models.md) are these, divided by 1e9; normalisation, activation,
    pooling and biases count nothing. Works for any Keras model of such layers, nested ones too; a
    layer that is used several times counts once.

    Raises:
        ValueError: if a size is unknown, as in a model built with None for frames or height; if a
            layer of another kind has a matrix of weights, or a convolution its channels first.
    """
    return sum(_of_layer(layer, input_shape) for layer, input_shape in leaf_layers(model))


def _of_layer(layer, input_shape) -> int:
    if isinstance(layer, keras.layers.Dense):
        return math.prod(layer.kernel.shape) * _positions(layer, input_shape[1:-1])
    if isinstance(layer, CONVOLUTIONS) and not isinstance(layer, TRANSPOSED):
        if layer.data_format != "channels_last":
            raise ValueError(f"{layer.name} has its channels first; expected channels last.")
        output_shape = tuple(layer.compute_output_shape(input_shape))
        return math.prod(layer.kernel.shape) * _positions(layer, output_shape[1:-1])
    if any(len(weight.shape) > 1 for weight in layer.weights):
        raise ValueError(
            f"{layer.name} is a {type(layer).__name__}, whose multiply-adds are not counted here. "
            "Expected a model of Conv1D, Conv2D, Conv3D and Dense, and of layers without kernels."
        )
    return 0


def _positions(layer, sizes):
    if None in sizes:
        raise ValueError(
            f"{layer.name} has an unknown size, (time, height, width) = {tuple(sizes)}. Multiply-"
            "adds depend on it: build the model with a full input_shape."
        )
    return math.prod(sizes)
