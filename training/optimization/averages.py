"""Averages of weights: exponential ones, and equal ones of the end of a run."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf
from absl import logging

from r21d_keras._keras import backend_variable

from ..config import ConfigError, TrainConfig


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
        self._approach(1.0 - tf.minimum(self.decay, (1.0 + n) / (10.0 + n)))
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

    def _approach(self, share) -> None:
        for average, weight in zip(self.variables, self.weights, strict=True):
            difference = average - tf.convert_to_tensor(weight)
            average.assign_sub(tf.cast(share, difference.dtype) * difference)


class SnapshotAverages(Averages):
    """Means of a model's weights at some steps (Izmailov et al., arXiv:1803.05407, SWA).

    They are those after `start` + `period`, `start` + 2 `period` and so on; until the first of them
    the averages are the weights. tfa.optimizers.SWA with start_averaging = start + period - 1 has
    the same. Statistics of batch normalisation are averaged, too, in place of another pass over the
    videos; num_updates is the number of snapshots.
    """

    def __init__(self, weights: Sequence, steps_done: tf.Variable, start: int, period: int):
        super().__init__(weights, decay=0.0)
        self.steps_done, self.start, self.period = steps_done, start, period

    def update(self) -> None:
        """To be called after each step, outside of replicas."""
        since = self.steps_done - self.start
        # A run that goes on for longer than it was to begins to average anew, later.
        self.num_updates.assign(tf.where(since > 0, self.num_updates, 0.0))
        is_snapshot = (since > 0) & (since % self.period == 0)
        n = tf.identity(self.num_updates)
        if (n < 1.0) | is_snapshot:
            self._approach(1.0 / (n + 1.0))
        self.num_updates.assign_add(tf.cast(is_snapshot, tf.float32))


def make_averages(
    config: TrainConfig, weights: Sequence, steps_done: tf.Variable, total_steps: int
) -> Averages | None:
    """The averages of `config`, or None.

    Args:
        config: the run's.
        weights: the model's.
        steps_done: the variable that counts steps.
        total_steps: of the whole run.

    Raises:
        ConfigError: fewer steps than --swa_every is.
    """
    if config.ema_decay:
        return Averages(weights, config.ema_decay)
    if not config.swa_epochs:
        return None
    steps_per_epoch = total_steps // config.epochs
    steps = config.swa_epochs * steps_per_epoch
    period = config.swa_every or steps_per_epoch
    if period > steps:
        raise ConfigError(
            f"swa_every={period} steps is more than the {steps} of swa_epochs={config.swa_epochs}; "
            "make it smaller, or swa_epochs larger."
        )
    logging.info("Averages of %d snapshots, every %d steps.", steps // period, period)
    return SnapshotAverages(weights, steps_done, total_steps - steps, period)
