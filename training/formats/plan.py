"""A network as a list of operations, which the writers of formats turn into their own."""

from dataclasses import dataclass

import keras
import numpy as np

from r21d_keras.layers import FoldedConv3D

from ..config import ConfigError
from ..serving.names import CLIPS, EMBEDDING, PROBABILITIES


@dataclass(frozen=True)
class Step:
    """One operation on clips of float32 (B, T, H, W, C), or on features (B, F).

    operation: "convolution", "relu", "add", "mean" (over time and space), "dense" or "softmax".
    name: of the layer. sources, output: names of values. kernel: (kt, kh, kw, C, F) of a
    convolution, (C, F) of a dense layer, with bias (F,). strides, pads: in time, height and width,
    zeros at either side.
    """

    operation: str
    name: str
    sources: tuple[str, ...]
    output: str
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None
    strides: tuple[int, int, int] = (1, 1, 1)
    pads: tuple[int, int, int] = (0, 0, 0)


def plan_of(model: keras.Model) -> list[Step]:
    """The operations of a network in order, from "clips" to "embedding" and "probabilities".

    Args:
        model: a `VideoResNet` that ends in probabilities, with its normalisation merged
            (`r21d_keras.merged`).

    Raises:
        ConfigError: a layer that none of these operations computes.
    """
    names, steps = {id(model.input): CLIPS}, []
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        taken = layer.input if isinstance(layer.input, list) else [layer.input]
        sources = tuple(names[id(value)] for value in taken)
        if isinstance(layer, keras.layers.Dropout):  # nothing, outside of training
            names[id(layer.output)] = sources[0]
            continue
        made = _steps(layer, sources)
        names[id(layer.output)] = made[-1].output
        steps.extend(made)
    return steps


def _steps(layer, sources) -> list[Step]:
    if isinstance(layer, FoldedConv3D) and layer.use_bias:
        kernel, bias = layer.get_weights()
        shape = {"strides": tuple(layer.strides), "pads": tuple(layer.pads)}
        step = Step("convolution", layer.name, sources, layer.name, kernel, bias, **shape)
        if layer.activation is keras.activations.relu:
            relu = f"{layer.name}.relu"
            return [step, Step("relu", relu, (layer.name,), relu)]
        _check_activation(layer, "linear")
        return [step]
    if isinstance(layer, keras.layers.ReLU):
        return [Step("relu", layer.name, sources, layer.name)]
    if isinstance(layer, keras.layers.Add):
        return [Step("add", layer.name, sources, layer.name)]
    if isinstance(layer, keras.layers.GlobalAveragePooling3D):
        return [Step("mean", layer.name, sources, EMBEDDING)]
    if isinstance(layer, keras.layers.Dense):
        _check_activation(layer, "softmax")
        kernel, bias = layer.get_weights()
        logits = f"{layer.name}.logits"
        return [
            Step("dense", layer.name, sources, logits, kernel, bias),
            Step("softmax", f"{layer.name}.softmax", (logits,), PROBABILITIES),
        ]
    raise ConfigError(
        f"Layer {layer.name} ({type(layer).__name__}) has no counterpart in other formats; "
        "expected a VideoResNet. Export it as a SavedModel."
    )


def _check_activation(layer, expected) -> None:
    if layer.activation is not getattr(keras.activations, expected):
        raise ConfigError(
            f"Layer {layer.name} has another activation than {expected}, which no other format is "
            "written with. Export it as a SavedModel."
        )
