"""The learning rate of each step: linear rule, warm-up, then constant, steps or a cosine."""

import math

import keras
import tensorflow as tf
from absl import logging

from ..config import TrainConfig


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

    @property
    def steps_of_run(self) -> int:
        """All steps from the first to the last."""
        return self.config["head_steps"] + self.config["total_steps"]

    def get_config(self) -> dict:
        """The arguments of the constructor, for Keras' serialisation."""
        return dict(self.config)


@keras.saving.register_keras_serializable(package="r21d_keras")
class RunRate(keras.optimizers.schedules.LearningRateSchedule):
    """The rate of `schedule` at the step that the variable `steps_done` counts.

    An optimizer's own count lacks steps that a loss scale has skipped; and that of all weights
    begins when the classifier has learnt alone, as Adam's correction of young moments needs it.
    """

    def __init__(self, schedule, steps_done=None):
        self.schedule, self.steps_done = schedule, steps_done

    def __call__(self, step):
        """The learning rate, float32; without a variable, of the step that the optimizer counts."""
        return self.schedule(step if self.steps_done is None else self.steps_done)

    def get_config(self) -> dict:
        """The schedule alone: who loads it goes by the optimizer's count."""
        return {"schedule": keras.optimizers.schedules.serialize(self.schedule)}

    @classmethod
    def from_config(cls, config):
        """What get_config described."""
        return cls(keras.optimizers.schedules.deserialize(config["schedule"]))


class Scaled(keras.optimizers.schedules.LearningRateSchedule):
    """`schedule` times `factor`."""

    def __init__(self, schedule, factor):
        self.schedule, self.factor = schedule, factor

    def __call__(self, step):
        """The product, float32."""
        return self.factor * self.schedule(step)

    def get_config(self) -> dict:
        """The arguments of the constructor."""
        return {"schedule": self.schedule, "factor": self.factor}


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
