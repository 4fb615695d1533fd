"""SGD as for the paper's networks: linear rule, warm-up, Nesterov momentum, L2; and averages."""

import contextlib
import math
from collections.abc import Iterator, Sequence

import keras
import tensorflow as tf
from absl import logging

from r21d_keras._keras import backend_variable, scale_losses

from .config import TrainConfig


@keras.saving.register_keras_serializable(package="r21d_keras")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up to `peak`, then constant, in steps, or down a cosine; all counts are steps.

    Args:
        peak: learning rate after the warm-up, and before it for `head_steps`.
        kind: "step", "cosine" or "constant".
        warmup_steps: the first step has peak / warmup_steps, the last of the warm-up has peak.
        total_steps: where the cosine reaches zero.
        decay_steps: steps between two multiplications by `factor`, counted from the end of the
            warm-up, as the milestones 20, 30, 40 after a warm-up of 10 epochs in torchvision's
            references/video_classification/train.py.
        factor: of each step of kind "step".
        head_steps: at `peak` before all this begins; total_steps does not count them.
    """

    def __init__(self, peak, kind, *, warmup_steps, total_steps, decay_steps, factor, head_steps=0):
        self.config = {
            "peak": peak,
            "kind": kind,
            "warmup_steps": warmup_steps,
            "total_steps": total_steps,
            "decay_steps": decay_steps,
            "factor": factor,
            "head_steps": head_steps,
        }

    def __call__(self, step):
        """The learning rate, float32, of the step with this number; the first is 0."""
        c = self.config
        step = tf.cast(step, tf.float32) - c["head_steps"]
        after = tf.maximum(step - c["warmup_steps"], 0.0)
        rate = tf.constant(c["peak"], tf.float32)
        if c["kind"] == "step":
            rate *= c["factor"] ** tf.floor(after / c["decay_steps"])
        elif c["kind"] == "cosine":
            share = tf.minimum(after / max(1, c["total_steps"] - c["warmup_steps"]), 1.0)
            rate *= 0.5 * (1.0 + tf.cos(math.pi * share))
        rate *= tf.minimum((step + 1.0) / max(1, c["warmup_steps"]), 1.0)
        return tf.where(step < 0.0, c["peak"], rate)

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras' serialisation."""
        return dict(self.config)


def make_schedule(config: TrainConfig, steps_per_epoch: int) -> WarmupSchedule:
    """The learning rate of each step of the run; logs the arithmetic of the linear rule.

    The rate grows with the global batch (Goyal et al., arXiv:1706.02677, section 2.1).
    """
    peak = config.base_learning_rate * config.global_batch_size / config.base_batch_size
    logging.info(
        "Learning rate %g = %g (base) x %d (global batch) / %d (base batch); %s%g epochs of "
        "warm-up, then %s; %d steps an epoch.",
        peak,
        config.base_learning_rate,
        config.global_batch_size,
        config.base_batch_size,
        f"{config.head_epochs} epochs of the classifier alone, " if config.head_epochs else "",
        config.warmup_epochs,
        config.schedule,
        steps_per_epoch,
    )
    return WarmupSchedule(
        peak,
        config.schedule,
        warmup_steps=round(config.warmup_epochs * steps_per_epoch),
        total_steps=(config.epochs - config.head_epochs) * steps_per_epoch,
        decay_steps=max(1, round(config.step_epochs * steps_per_epoch)),
        factor=config.step_factor,
        head_steps=config.head_epochs * steps_per_epoch,
    )


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


def l2_penalty(variables: Sequence, weight_decay: float) -> tf.Tensor:
    """weight_decay / 2 times the sum of squares of all kernels: a float32 scalar, part of the loss.

    Its gradient, weight_decay * w, passes through momentum and learning rate: "grad += wd * param",
    as add_weight_decay in Caffe2's caffe2/python/helpers/train.py has it, and as
    torch.optim.SGD(weight_decay=) does; Keras' own SGD(weight_decay=) is decoupled. Batch
    normalisation's scales and offsets and biases, which alone have one axis, are left out.
    """
    kernels = [variable for variable in variables if len(variable.shape) > 1]
    if not weight_decay or not kernels:
        return tf.constant(0.0)
    halves = [tf.nn.l2_loss(tf.convert_to_tensor(kernel)) for kernel in kernels]
    return weight_decay * tf.add_n([tf.cast(half, tf.float32) for half in halves])


class Averages:
    """Exponential moving averages of a model's weights, batch normalisation's statistics included.

    Make it after the model has its first weights. `variables` and `num_updates` are what a
    checkpoint needs.
    """

    def __init__(self, weights: Sequence, decay: float):
        self.decay = decay
        self.weights = [backend_variable(weight) for weight in weights]
        self.variables = [
            tf.Variable(tf.convert_to_tensor(w), trainable=False) for w in self.weights
        ]
        self.num_updates = tf.Variable(0.0, trainable=False)

    def update(self) -> None:
        """Takes one step towards the present weights. To be called outside of replicas.

        The first updates weigh more: min(decay, (1 + n) / (10 + n)), the rule of num_updates in
        tf.train.ExponentialMovingAverage, so that a short run does not keep its random start.
        """
        n = self.num_updates
        decay = tf.minimum(self.decay, (1.0 + n) / (10.0 + n))
        for average, weight in zip(self.variables, self.weights, strict=True):
            difference = average - tf.convert_to_tensor(weight)
            average.assign_sub(tf.cast(1.0 - decay, difference.dtype) * difference)
        n.assign_add(1.0)

    @contextlib.contextmanager
    def swapped_in(self) -> Iterator[None]:
        """While it lasts the model has the averages in place of its weights."""
        kept = [tf.identity(tf.convert_to_tensor(weight)) for weight in self.weights]
        for weight, average in zip(self.weights, self.variables, strict=True):
            weight.assign(tf.convert_to_tensor(average))
        try:
            yield
        finally:
            for weight, value in zip(self.weights, kept, strict=True):
                weight.assign(value)
