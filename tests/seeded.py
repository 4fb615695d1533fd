"""Weights and clips that both sides of a parity test can make without each other."""

import zlib

import numpy as np

CLIP_SHAPE = (4, 24, 32, 3)
NUM_CLASSES = 8


def seeded_clips():
    """(1, 4, 24, 32, 3) standard normal."""
    return np.random.RandomState(0).standard_normal((1, *CLIP_SHAPE)).astype("float32")


def seeded_array(key, shape):
    """The weight that PyTorch calls `key`, in torch's layout; activations stay near one."""
    draw = np.random.RandomState(zlib.crc32(key.encode()))
    if key.endswith("running_var"):
        return draw.uniform(0.5, 1.5, shape).astype("float32")
    if len(shape) == 1:
        is_scale = key.endswith("weight")
        return (is_scale + 0.1 * draw.standard_normal(shape)).astype("float32")
    fan_in = int(np.prod(shape[1:]))
    return (draw.standard_normal(shape) * np.sqrt(1.0 / fan_in)).astype("float32")


def seeded_state(model):
    """What torch_reference.seed_weights puts into the torch network, by our own layer names."""
    from r21d_keras.zoo.checkpoints.torch_names import (
        torch_state,
    )  # the torch side does without Keras

    inverse = {5: (4, 3, 0, 1, 2), 2: (1, 0), 1: (0,)}  # Keras' layout to torch's
    state = {}
    for key, (weight, _) in torch_state(model).items():
        shape = tuple(weight.shape[axis] for axis in inverse[len(weight.shape)])
        state[key] = seeded_array(key, shape)
    return state
