"""Features at any named layer of a network."""

import difflib
from collections.abc import Sequence

import keras

from r21d_keras import _keras


def feature_extractor(model: keras.Model, layers: str | Sequence[str]) -> keras.Model:
    """A model with the input of `model` that gives what the named layers give, by their names.

    >>> model = zoo.r2plus1d_18(weights="kinetics400")
    >>> features = feature_extractor(model, ["layer3", "avgpool"])(clips)
    >>> features["layer3"].shape, features["avgpool"].shape
    ((1, 4, 14, 14, 256), (1, 512))

    Args:
        model: a network of `zoo` or `VideoResNet`, with or without its top.
        layers: names of layers, which are those of PyTorch's modules ("layer3.1.conv2.0"). The
            name of a group, "stem", "layer3" or "layer3.1", stands for the last layer in it: for
            stages and blocks the rectified sum. Names are with dots on every backend.

    Returns:
        A `keras.Model` whose output is a dict {name as given: (B, T', H', W', C)}, or (B, C) after
        the pooling. Layers and weights are those of `model`, shared with it.

    Raises:
        ValueError: no name, or one that the network does not have; the message names near ones.
    """
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    if not names:
        raise ValueError(f"No layer is named; expected such as 'layer3'. {_overview(model)}")
    outputs = {name: _find(model, name).output for name in names}
    return keras.Model(model.input, outputs, name=f"{model.name}_features")


def _find(model, name):
    """The last of the layers that are called so, or lie in the group that is."""
    wanted = _keras.layer_name(str(name))
    inside = _keras.layer_name(f"{name}.")
    # Keras orders layers as data passes them: the last of a group is where its branches meet. The
    # stem of R(2+1)D is both, a group and its first layer.
    found = [
        layer for layer in model.layers if layer.name == wanted or layer.name.startswith(inside)
    ]
    if not found:
        raise ValueError(_unknown(model, name))
    return found[-1]


def _unknown(model, name) -> str:
    layers = [layer.name for layer in model.layers]
    known = dict.fromkeys(_group(layer, depth) for layer in layers for depth in range(1, 6))
    near = difflib.get_close_matches(_keras.layer_name(str(name)), known, n=4)
    hint = f"Near: {', '.join(near)}. " if near else ""
    return f"{model.name} has no layer {name!r}. {hint}{_overview(model)}"


def _overview(model) -> str:
    groups = dict.fromkeys(_group(layer.name, 1) for layer in model.layers[1:])
    return f"Expected one of {', '.join(groups)}, or a layer or block in one of them."


def _group(name, depth) -> str:
    """The first `depth` parts of a layer's name."""
    dot = _keras.layer_name(".")
    return dot.join(name.split(dot)[:depth])
