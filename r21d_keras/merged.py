"""Networks for inference: batch normalisation becomes part of the convolutions before it."""

from collections import Counter
from collections.abc import Iterator

import keras
import numpy as np

from .layers import FoldedConv3D
from .walk import parts_of


def merge_batch_norm(model: keras.Model) -> keras.Model:
    """A network that gives what `model` gives in inference, with fewer operations.

    A normalisation by fixed statistics, gamma * (x - mean) / sqrt(variance + epsilon) + beta, is
    linear, and so is the convolution before it: the kernel takes the factor, a bias the rest.
    Computed in float64, so that scores differ by float32's rounding alone. Composite layers
    (`Conv2Plus1D`) become their parts; names stay. A normalisation that follows no convolution of
    its own stays too.

    Args:
        model: a `VideoResNet` with weights, or a functional model of its layers that has one input
            and one output.

    Returns:
        A new model, which shares no weights with `model`. It is not for training.
    """
    steps = list(_steps(model))
    merged = _mergeable(steps, id(model.output))
    inputs = keras.Input(model.input.shape[1:], dtype=model.input.dtype, name=_name(model.input))
    values = {id(model.input): inputs}
    for layer, sources, output in steps:
        if sources[0] in merged and merged[sources[0]] is layer:
            values[output] = values[sources[0]]
            continue
        norm = merged.get(output)
        new = _copy(layer, {"use_bias": True} if norm else {})
        given = [values[source] for source in sources]
        values[output] = new(given if len(given) > 1 else given[0])
        new.set_weights(_with_norm(layer, norm) if norm else layer.get_weights())
    return keras.Model(inputs, values[id(model.output)], name=model.name)


def _steps(model) -> Iterator[tuple[keras.layers.Layer, tuple, object]]:
    """Each layer, composite ones in parts, with the names of what it takes and of what it gives."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        taken = layer.input if isinstance(layer.input, list) else [layer.input]
        names, parts = tuple(map(id, taken)), parts_of(layer)
        for place, part in enumerate(parts, start=1):
            output = id(layer.output) if place == len(parts) else (id(layer.output), place)
            yield part, names, output
            names = (output,)


def _mergeable(steps, last) -> dict:
    """The normalisations to merge, by the name of the convolution's output that each takes."""
    makers = {output: layer for layer, _, output in steps}
    users = Counter([source for _, sources, _ in steps for source in sources] + [last])
    return {
        sources[0]: layer
        for layer, sources, _ in steps
        if isinstance(layer, keras.layers.BatchNormalization)
        and isinstance(makers.get(sources[0]), FoldedConv3D)
        and makers[sources[0]].activation is keras.activations.linear
        and users[sources[0]] == 1
    }


def _with_norm(convolution: FoldedConv3D, norm) -> list[np.ndarray]:
    """Kernel and bias of the convolution that does the normalisation's work too."""
    kernel, *bias = (value.astype(np.float64) for value in convolution.get_weights())
    ones = np.ones(kernel.shape[-1])
    weights = iter(value.astype(np.float64) for value in norm.get_weights())
    gamma = next(weights) if norm.scale else ones
    beta = next(weights) if norm.center else 0 * ones
    mean, variance = weights
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return [kernel * factor, beta + factor * ((bias[0] if bias else 0) - mean)]


def _copy(layer, changes):
    return type(layer).from_config({**layer.get_config(), **changes})


def _name(tensor) -> str:
    return tensor.name.split(":")[0]
