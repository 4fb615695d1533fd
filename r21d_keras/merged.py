"""Networks for inference: convolutions do the work of the normalisation and ReLU after them."""

from collections import Counter
from collections.abc import Iterator

import keras
import numpy as np

from .layers import FoldedConv3D, FusedConv3D
from .walk import parts_of


def merge_batch_norm(model: keras.Model) -> keras.Model:
    """A network that gives what `model` gives in inference, with fewer operations.

    A normalisation by fixed statistics, gamma * (x - mean) / sqrt(variance + epsilon) + beta, is
    linear, and so is the convolution before it: the kernel takes the factor, a bias the rest.
    Computed in float64, so that scores differ by float32's rounding alone. A ReLU right after
    becomes the activation. Convolutions that took over something are `FusedConv3D`; composite
    layers (`Conv2Plus1D`) become their parts; names stay. What follows no convolution of its own,
    computes in another dtype, or is a subclass of these layers, stays too.

    Args:
        model: a `VideoResNet` with weights, or a functional model that has one input and one
            output and uses each layer once.

    Returns:
        A new model, which shares no weights with `model`. It is not for training.

    Raises:
        ValueError: for any other model.
    """
    if any(isinstance(value, list | tuple | dict) for value in (model.input, model.output)):
        raise ValueError(
            f"{model.name} takes {len(model.inputs)} inputs and gives {len(model.outputs)} "
            "outputs, in lists or dicts; merge_batch_norm takes models with one of each."
        )
    steps = list(_steps(model))
    taken = _taken(steps, id(model.output))
    inputs = keras.Input(model.input.shape[1:], dtype=model.input.dtype, name=_name(model.input))
    values = {id(model.input): inputs}
    for layer, sources, output in steps:
        if output in values:  # given by the convolution that took this layer over
            continue
        norm, relu, outputs = taken.get(output, (None, None, [output]))
        new = _copy(layer, norm, relu)
        if not all(source in values for source in sources):
            raise _used_twice(layer.name)
        given = [values[source] for source in sources]
        values |= dict.fromkeys(outputs, new(given if len(given) > 1 else given[0]))
        new.set_weights(_with_norm(layer, norm) if norm else layer.get_weights())
    if id(model.output) not in values:
        raise _used_twice(model.layers[-1].name)
    return keras.Model(inputs, values[id(model.output)], name=model.name)


def _steps(model) -> Iterator[tuple[keras.layers.Layer, tuple, object]]:
    """Each layer, composite ones in parts, with the names of what it takes and of what it gives."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        try:
            taken, given = layer.input, id(layer.output)
        except AttributeError:  # Keras 2.15
            raise _used_twice(layer.name) from None
        names = tuple(map(id, taken if isinstance(taken, list) else [taken]))
        parts = parts_of(layer)
        for place, part in enumerate(parts, start=1):
            output = given if place == len(parts) else (given, place)
            yield part, names, output
            names = (output,)


def _used_twice(name) -> ValueError:
    return ValueError(
        f"{name}: this layer, or one before it, is used twice; merge_batch_norm takes models that "
        "use each layer once."
    )


def _taken(steps, last) -> dict:
    """What convolutions take over of the layers behind them, by the names of their outputs.

    The normalisation and the ReLU, either of which may be None, and the names of the outputs that
    are now the convolution's.
    """
    users = Counter([source for _, sources, _ in steps for source in sources] + [last])
    behind = {sources[0]: (layer, output) for layer, sources, output in steps}
    taken = {}
    for layer, _, output in steps:
        if type(layer) is not FoldedConv3D or layer.activation is not keras.activations.linear:
            continue
        layers, outputs = [], [output]
        for can_take in (_is_norm, _is_relu):
            follower, after = behind.get(outputs[-1], (None, None))
            alone = users[outputs[-1]] == 1 and follower
            if alone and can_take(follower) and follower.compute_dtype == layer.compute_dtype:
                layers.append(follower)
                outputs.append(after)
            else:
                layers.append(None)
        taken[output] = (*layers, outputs)
    return taken


# By their very types: what a subclass computes is not known.
def _is_norm(layer) -> bool:
    return type(layer) is keras.layers.BatchNormalization


def _is_relu(layer) -> bool:
    return (
        type(layer) is keras.layers.ReLU
        and layer.max_value is None
        and not layer.negative_slope
        and not layer.threshold
    )


def _copy(layer, norm, relu):
    """The layer anew, without its weights; a convolution that takes these over is a fused one."""
    config = layer.get_config()
    if not norm and not relu:
        return type(layer).from_config(config)
    config["use_bias"] = bool(norm) or layer.use_bias
    config["activation"] = "relu" if relu else "linear"
    return FusedConv3D.from_config(config)


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


def _name(tensor) -> str:
    return tensor.name.split(":")[0]
