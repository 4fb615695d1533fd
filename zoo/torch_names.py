"""Which arrays of a PyTorch state dict belong to which weight of a network, and in which layout.

The networks' layers carry PyTorch's module paths, so the map is: layer name plus parameter name.
"""

import keras
import numpy as np

from r21d_keras.walk import leaf_layers

# torch (filters, channels, t, h, w) -> Keras (t, h, w, channels, filters).
CONV_AXES = (2, 3, 4, 1, 0)


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
        ValueError: if a key is missing or left over, or a shape differs; the message lists them.
    """
    state = torch_state(model)
    arrays = {k: np.asarray(a) for k, a in arrays.items() if not k.endswith("num_batches_tracked")}
    missing, extra = sorted(set(state) - set(arrays)), sorted(set(arrays) - set(state))
    if missing or extra:
        raise ValueError(
            f"State dict does not fit {model.name}: {len(missing)} keys missing "
            f"({', '.join(missing[:3])} ...), {len(extra)} left over ({', '.join(extra[:3])} ...). "
            "Check variant and convention."
        )
    laid_out = {key: to_keras(arrays[key]) for key, (_, to_keras) in state.items()}
    for key, (weight, _) in state.items():
        if tuple(weight.shape) != laid_out[key].shape:
            raise ValueError(
                f"{key}: {laid_out[key].shape} in the state dict, {tuple(weight.shape)} expected "
                f"by {model.name} (Keras layout). Check variant, convention and num_classes."
            )
    for key, (weight, _) in state.items():
        weight.assign(laid_out[key])


def _conv_layout(array):
    return np.transpose(array, CONV_AXES)
