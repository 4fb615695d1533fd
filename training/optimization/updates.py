"""Learning rates of weights of their own, with optimizers that have one for all."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from r21d_keras._keras import backend_variable

from ..config import TrainConfig
from .stages import rate_factors


class UpdateFactors:
    """Makes steps of weights longer or shorter by their factors, whatever took the steps.

    A factor of the gradient is none of the learning rate where a step is not linear in it: Adam's
    does not change at all, and decoupled weight decay has no gradient. What an optimizer adds to a
    weight is proportional to the rate, so that is what is scaled: weight decay, too. Methods are
    for all replicas together, outside of strategy.run.
    """

    def __init__(self, model: keras.Model, strategy: tf.distribute.Strategy, config: TrainConfig):
        self.strategy = strategy
        variables = model.trainable_variables
        factors = rate_factors(model, variables, config)
        pairs = zip(map(backend_variable, variables), factors, strict=True)
        self._scaled = [(variable, factor) for variable, factor in pairs if factor != 1.0]

    def before(self) -> Sequence:
        """The weights as they are, for `after`."""
        return self.strategy.run(lambda: [tf.identity(variable) for variable, _ in self._scaled])

    def after(self, before: Sequence) -> None:
        """Goes by each weight's factor of the way from what it was `before` to what it is now."""
        for (variable, factor), value in zip(self._scaled, before, strict=True):
            self.strategy.extended.update(variable, _scale, args=(value, factor))


def _scale(variable, before, factor):
    variable.assign(before + factor * (tf.convert_to_tensor(variable) - before))
