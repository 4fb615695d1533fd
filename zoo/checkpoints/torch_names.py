"""Which arrays of a PyTorch state dict belong to which weight of a network, and in which layout.

The networks' layers carry PyTorch's module paths, so the map is: layer name plus parameter name.
"""

import re
from collections.abc import Callable

import keras
import numpy as np

from r21d_keras.walk import leaf_layers
from r21d_keras.zoo.errors import CheckpointError

from .messages import listed, shown

# torch (filters, channels, t, h, w) -> Keras (t, h, w, channels, filters).
CONV_AXES = (2, 3, 4, 1, 0)
# Of float32, a cache line: transposed all at once, a large kernel takes two to three times as long.
FILTERS_AT_ONCE = 16
NOT_A_WEIGHT = "num_batches_tracked"  # torch.nn.BatchNorm3d: how often its statistics were updated

# A layer of a classifier that is a Sequential, mostly of Dropout and Linear.
HEAD_LAYER = re.compile(r"^fc\.[0-9]{1,4}\.")


def torch_state(model) -> dict:
    """torch key -> (Keras weight, function from torch's array layout to Keras').

    Raises:
        TypeError: if the model has a layer with weights that PyTorch's networks do not have.
    """
    state = {}
    for layer, _ in leaf_layers(model):
        name = layer.name.replace("_", ".")  # as _keras.layer_name; torch's paths have no "_"
        if isinstance(layer, keras.layers.Conv3D):
            state[f"{name}.weight"] = (layer.kernel, _conv_layout)
        elif isinstance(layer, keras.layers.Dense):
            state[f"{name}.weight"] = (layer.kernel, np.transpose)
            state[f"{name}.bias"] = (layer.bias, np.asarray)
        elif isinstance(layer, keras.layers.BatchNormalization):
            state[f"{name}.weight"] = (layer.gamma, np.asarray)
            state[f"{name}.bias"] = (layer.beta, np.asarray)
            state[f"{name}.running_mean"] = (layer.moving_mean, np.asarray)
            state[f"{name}.running_var"] = (layer.moving_variance, np.asarray)
        elif layer.weights:
            raise TypeError(
                f"{layer.name} is a {type(layer).__name__} with weights; expected only Conv3D, "
                "BatchNormalization and Dense. Use a network of r21d_keras."
            )
    return state


def load_torch_state(model, arrays) -> None:
    """Put a PyTorch state dict, {key: numpy array}, into `model`: each array once, none left over.

    `num_batches_tracked` counters hold no weights and are passed over. Nothing is assigned unless
    all fits.

    Raises:
        CheckpointError: if a key is missing or left over, or a shape differs; the message lists
            them.
    """
    for weight, array in _fitted(model, arrays).values():
        weight.assign(_copied(array))


def differing(model, arrays) -> list[str]:
    """Keys whose weight in `model` is not, bit for bit, the array of the state dict.

    Raises:
        CheckpointError: as `load_torch_state`.
    """
    return [
        key
        for key, (weight, array) in _fitted(model, arrays).items()
        if not _same_bits(weight.numpy(), array)
    ]


def renamed(arrays: dict, rename: Callable[[str], str | None]) -> dict:
    """The same arrays, each under `rename(key)`.

    Raises:
        CheckpointError: for keys that `rename` gives None, and for two that it gives one name.
    """
    sources, unknown = {}, []
    for key in arrays:
        name = rename(key)
        if name is None:
            unknown.append(key)
        elif name in sources:
            raise CheckpointError(
                f"{shown(sources[name])} and {shown(key)} are both {shown(name)}; expected one "
                "of them. Take the other out."
            )
        else:
            sources[name] = key
    if unknown:
        raise CheckpointError(
            f"{len(unknown)} of {len(arrays)} arrays belong to no layer of these networks: "
            f"{listed(sorted(unknown))}. Expected every array to be a weight; take those out that "
            "are none."
        )
    return {name: arrays[key] for name, key in sources.items()}


def with_one_classifier(arrays: dict) -> dict:
    """The same arrays, with a classifier "fc.<n>", as of Sequential(Dropout, Linear), named "fc".

    Raises:
        CheckpointError: there are several layers of that name.
    """
    layers = {found[0] for found in map(HEAD_LAYER.match, arrays) if found}
    if len(layers) > 1:
        raise CheckpointError(
            f"A classifier of several layers, {listed(sorted(layers))}; expected one, fc. Take out "
            "the arrays of all of them: without any, the network is read as one without classifier."
        )
    return renamed(arrays, lambda key: HEAD_LAYER.sub("fc.", key)) if layers else arrays


def _fitted(model, arrays) -> dict:
    """torch key -> (Keras weight, view of the array in Keras' layout), all shapes compared."""
    state = torch_state(model)
    arrays = {k: np.asarray(a) for k, a in arrays.items() if not k.endswith(NOT_A_WEIGHT)}
    missing, extra = sorted(set(state) - set(arrays)), sorted(set(arrays) - set(state))
    if missing or extra:
        raise CheckpointError(
            f"State dict does not fit {model.name}: {len(missing)} keys missing "
            f"({listed(missing, 3)}), {len(extra)} left over ({listed(extra, 3)}). Check variant "
            "and convention, and take out what is no weight of this network."
        )
    fitted = {key: (weight, to_keras(arrays[key])) for key, (weight, to_keras) in state.items()}
    for key, (weight, array) in fitted.items():
        if tuple(weight.shape) != array.shape:
            raise CheckpointError(
                f"{key}: {array.shape} in the state dict, {tuple(weight.shape)} expected "
                f"by {model.name} (Keras layout). Check variant, convention and num_classes."
            )
    return fitted


def _conv_layout(array):
    # Arrays of another rank keep their shape, for the comparison above to name it.
    return np.transpose(array, CONV_AXES) if array.ndim == len(CONV_AXES) else array


def _copied(array):
    """A copy in order of memory; Keras' PyTorch backend warns of arrays that are read-only."""
    copy = np.empty(array.shape, array.dtype)
    for part in _parts(array):
        copy[part] = array[part]
    return copy


def _same_bits(weight, array) -> bool:
    if weight.dtype != array.dtype:
        return False
    weight, array = weight.view(np.uint32), array.view(np.uint32)
    return all(np.array_equal(weight[part], array[part]) for part in _parts(array))


def _parts(array):
    """Indices of a few filters each, which are along the last axis in Keras' layout."""
    starts = range(0, array.shape[-1], FILTERS_AT_ONCE)
    return [(..., slice(start, start + FILTERS_AT_ONCE)) for start in starts]
