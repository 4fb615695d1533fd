"""Networks for inference: convolutions do the work of the normalisation and ReLU after them."""

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
    (`Conv2Plus1D`) become their parts; names stay. A ReLU right after becomes the convolution's
    activation. A normalisation that follows no convolution of its own stays too.

    Args:
        model: a `VideoResNet` with weights, or a functional model of its layers that has one input
            and one output.

    Returns:
        A new model, which shares no weights with `model`. It is not for training.
    """
    steps = list(_steps(model))
    taken = _taken(steps, id(model.output))
    inputs = keras.Input(model.input.shape[1:], dtype=model.input.dtype, name=_name(model.input))
    values = {id(model.input): inputs}
    for layer, sources, output in steps:
        if output in values:  # given by the convolution that took this layer over
            continue
        norm, relu, outputs = taken.get(output, (None, None, [output]))
        changes = {"use_bias": True} if norm else {}
        new = _copy(layer, changes | ({"activation": "relu"} if relu else {}))
        given = [values[source] for source in sources]
        values |= dict.fromkeys(outputs, new(given if len(given) > 1 else given[0]))
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


def _taken(steps, last) -> dict:
    """What convolutions take over of the layers behind them, by the names of their outputs.

    The normalisation and the ReLU, either of which may be None, and the names of the outputs that
    are now the convolution's.
    """
    users = Counter([source for _, sources, _ in steps for source in sources] + [last])
    behind = {sources[0]: (layer, output) for layer, sources, output in steps}
    taken = {}
    for layer, _, output in steps:
        if not isinstance(layer, FoldedConv3D) or layer.activation is not keras.activations.linear:
            continue
        layers, outputs = [], [output]
        for can_take in (_is_norm, _is_relu):
            follower, after = behind.get(outputs[-1], (None, None))
            if users[outputs[-1]] == 1 and can_take(follower):
                layers.append(follower)
                outputs.append(after)
            else:
                layers.append(None)
        taken[output] = (*layers, outputs)
    return taken


def _is_norm(layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _is_relu(layer) -> bool:
    return (
        isinstance(layer, keras.layers.ReLU)
        and layer.max_value is None
        and not layer.negative_slope
        and not layer.threshold
    )


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
