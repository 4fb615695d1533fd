"""What one replica does with its slice of a global batch: a step of training, or of evaluation."""

import keras
import tensorflow as tf

from r21d_keras._keras import apply_gradients, scaled_loss

from ..config import TrainConfig
from ..distribution.slices import Slice
from .losses import cross_entropy, sums
from .optimizer import overflow_everywhere
from .penalty import l2_penalty
from .stages import rate_factors


class Step:
    """A replica's part of a step; its methods are for strategy.run.

    `model` gives logits. `steps_done` is the count of optimizer steps, on which dropout depends.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        strategy: tf.distribute.Strategy,
        config: TrainConfig,
        steps_done: tf.Variable,
    ):
        self.model, self.optimizer, self.strategy = model, optimizer, strategy
        self.config, self.steps_done = config, steps_done
        self._features = None
        if config.dropout:  # what comes before the Dropout layer, see _training_logits
            self._features = keras.Model(model.inputs, model.get_layer("dropout").input)

    def train(self, part: Slice, head_alone: bool) -> tf.Tensor:
        """Takes an optimizer step; (3,) sums of loss, right answers and examples.

        With `head_alone` the last layer's weights are the only ones that change.
        """
        variables = (self.model.layers[-1] if head_alone else self.model).trainable_variables
        with tf.GradientTape() as tape:
            # Alone, the head learns on the body as it is in evaluation, which nothing changes.
            logits = self._training_logits(part, training=not head_alone)  # (b, N)
            losses = cross_entropy(part.labels, logits, self.config.label_smoothing)
            # Each replica adds its share of the penalty, as gradients are summed over replicas.
            penalty = l2_penalty(variables, self.config.weight_decay)
            loss = part.share * tf.reduce_sum(losses) / tf.cast(part.size, tf.float32)
            loss += penalty / self.strategy.num_replicas_in_sync
            loss = scaled_loss(self.optimizer, loss)
        # SGD's step is linear in the gradients, momentum and L2 included: a factor of a gradient is
        # one of the learning rate.
        factors = rate_factors(self.model, variables, self.config)
        gradients = tape.gradient(loss, variables)
        gradients = [g if f == 1.0 else f * g for f, g in zip(factors, gradients, strict=True)]
        if self.config.precision == "mixed_float16":
            gradients = overflow_everywhere(gradients)
        apply_gradients(self.optimizer, gradients, variables)
        return part.share * sums(part.labels, logits, losses)

    def test(self, part: Slice) -> tf.Tensor:
        """(3,) sums of loss, right answers and examples; nothing changes."""
        logits = tf.cast(self.model(part.clips, training=False), tf.float32)
        losses = cross_entropy(part.labels, logits, 0.0)
        return part.share * sums(part.labels, logits, losses, part.counts)

    def _training_logits(self, part: Slice, training: bool):
        if self._features is None:
            return tf.cast(self.model(part.clips, training=training), tf.float32)
        # Which features drop out is a function of (seed, step, example), not of a layer's state:
        # the same on any number of replicas, and after resuming.
        features = self._features(part.clips, training=training)  # (b, C)
        shape = (part.size, features.shape[-1])
        draw = tf.random.stateless_uniform(shape, (self.config.seed, self.steps_done))
        draw = draw[part.first : part.first + tf.shape(part.labels, out_type=tf.int64)[0]]
        kept = tf.cast(draw >= self.config.dropout, features.dtype) / (1.0 - self.config.dropout)
        return tf.cast(self.model.layers[-1](features * kept), tf.float32)
