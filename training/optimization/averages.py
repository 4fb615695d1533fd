"""Exponential moving averages of weights."""

import contextlib
from collections.abc import Iterator, Sequence

import tensorflow as tf

from r21d_keras._keras import backend_variable


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
