"""Multiply-adds of a built model, counted as the paper's authors count GFLOPs."""

import math

import keras


def count_macs(model) -> int:
    """Multiply-adds of one clip through `model`: its convolutions and dense layers.

    VMZ's "GFLOPs" (c2/tutorials/models.md) are these, divided by 1e9; normalisation, activation,
    pooling and biases count nothing. Works for any Keras model of such layers, nested ones too.

    Raises:
        ValueError: if a size is unknown, as in a model built with None for frames or height.
    """
    total = 0
    for layer, input_shape in _leaves(model):
        if isinstance(layer, keras.layers.Dense):
            total += math.prod(layer.kernel.shape) * _positions(layer, input_shape[1:-1])
        elif isinstance(layer, CONVOLUTIONS):
            output_shape = tuple(layer.compute_output_shape(input_shape))
            total += math.prod(layer.kernel.shape) * _positions(layer, output_shape[1:-1])
    return total


CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)


def _leaves(model):
    """(layer, shape of its input) of every layer, those inside composite layers too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield from _parts(layer, _input_shape(layer))


def _parts(layer, shape):
    """`layer` itself, or where it is a chain of layers (Conv2Plus1D), each with its own input."""
    chain = getattr(layer, "chain", None)
    if chain is None:
        yield layer, shape
        return
    for part in chain:
        yield from _parts(part, shape)
        shape = tuple(part.compute_output_shape(shape))


def _input_shape(layer):
    inputs = layer.input
    return tuple((inputs[0] if isinstance(inputs, list) else inputs).shape)


def _positions(layer, sizes):
    if None in sizes:
        raise ValueError(
            f"{layer.name} has an unknown size, (time, height, width) = {tuple(sizes)}. Multiply-"
            "adds depend on it: build the model with a full input_shape."
        )
    return math.prod(sizes)
