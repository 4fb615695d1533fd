"""The optimizer: SGD as for the paper's networks, with Nesterov momentum."""

import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from r21d_keras._keras import backend_variable, scale_losses

from ..config import TrainConfig
from .schedule import WarmupSchedule


def make_optimizer(config: TrainConfig, schedule: WarmupSchedule) -> keras.optimizers.Optimizer:
    """SGD with momentum; with float16 it also scales the loss. `l2_penalty` is apart from it."""
    optimizer = keras.optimizers.SGD(
        schedule, momentum=config.momentum, nesterov=config.nesterov and config.momentum > 0
    )
    return scale_losses(optimizer) if config.precision == "mixed_float16" else optimizer


def restart(
    optimizer: keras.optimizers.Optimizer, strategy: tf.distribute.Strategy, steps_done: tf.Tensor
) -> None:
    """Sets the momentum of every weight to zero and the count of steps to `steps_done`.

    The optimizer's own count lacks the steps that a loss scale has skipped. Not to be traced.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)  # of one that scales the loss
    count = backend_variable(inner.iterations)
    with strategy.scope():
        count.assign(tf.cast(steps_done, count.dtype))
        for velocity in map(backend_variable, inner.momentums):
            velocity.assign(tf.zeros_like(velocity))


def overflow_everywhere(gradients: Sequence) -> list:
    """`gradients`, not finite on any replica if they are not finite on one; called in a replica.

    Loss scaling skips a step whose gradients are not finite. Keras 3 asks that of each replica's
    own gradients, before they are summed, and goes by the first replica's answer.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return list(gradients)
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
    replicas = tf.distribute.get_replica_context()
    overflows = replicas.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.float32))
    poison = tf.where(overflows > 0, math.inf, 0.0)
    return [gradients[0] + tf.cast(poison, gradients[0].dtype), *gradients[1:]]
