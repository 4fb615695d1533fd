"""A few steps of an optimizer by name, on a few variables."""

import numpy as np
import tensorflow as tf

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.optimization.optimizer import make_optimizer
from r21d_keras.training.optimization.schedule import WarmupSchedule

SHAPES = {"kernel": (3, 3, 3, 4, 8), "gamma": (8,), "dense/kernel": (8, 5), "bias": (5,)}
STEPS = 6


def some_schedule():
    """Six steps of which no two have one rate."""
    numbers = {"warmup_steps": 2, "total_steps": STEPS, "decay_steps": 1, "factor": 0.1}
    return WarmupSchedule(0.02, "cosine", **numbers)


def variables():
    draw = np.random.default_rng(0)
    return [
        tf.Variable(draw.normal(size=shape).astype("float32"), name=name)
        for name, shape in SHAPES.items()
    ]


def stepped(name, rate=None, gradients=1.0, **options):
    """Variables after STEPS steps of a named optimizer, on gradients that are always the same."""
    config = TrainConfig(optimizer=name, **options)
    weights, draw = variables(), np.random.default_rng(1)
    optimizer = make_optimizer(config, rate or some_schedule(), weights)
    for _ in range(STEPS):
        values = [gradients * draw.normal(size=w.shape).astype("float32") for w in weights]
        optimizer.apply_gradients(zip(map(tf.constant, values), weights, strict=True))
    return [weight.numpy() for weight in weights]
