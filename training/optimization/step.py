"""What replicas do with their slices of a global batch: a step of training, or of evaluation."""

import keras
import tensorflow as tf

from r21d_keras._keras import apply_gradients, scaled_loss

from ..config import TrainConfig
from ..distribution.slices import Slice
from .accumulation import GradientSums, microbatch, num_microbatches
from .clipping import clip_by_global_norm
from .losses import cross_entropy, sums
from .optimizer import is_linear, l2_of, overflow_everywhere
from .penalty import l2_penalty
from .rematerialization import Blocks
from .stages import rate_factors
from .updates import UpdateFactors


class Step:
    """Steps of all replicas together; make it within strategy.scope().

    `model` gives logits. `optimizers` are that of all weights, and that of the last layer where it
    ever learns alone. `steps_done` is the count of optimizer steps, on which dropout depends.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizers: tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer | None],
        strategy: tf.distribute.Strategy,
        config: TrainConfig,
        steps_done: tf.Variable,
    ):
        self.model, self.optimizers, self.strategy = model, optimizers, strategy
        self.config, self.steps_done = config, steps_done
        # Up to the logits, or to what comes before the Dropout layer, see _draw.
        end = model.get_layer("dropout").input if config.dropout else model.output
        self._network = keras.Model(model.inputs, end)
        self._blocks = Blocks(model, end) if config.rematerialize else None
        self._compiled = self._gradients
        if config.jit_compile:
            self._compiled = tf.function(self._gradients, jit_compile=True)
        self._sums = None
        if config.gradient_accumulation_steps > 1:
            self._sums = GradientSums(model.trainable_variables)
        self._factors = None if is_linear(config) else UpdateFactors(model, strategy, config)

    def train(self, batch: Slice, head_alone: bool) -> tf.Tensor:
        """Takes an optimizer step; (3,) sums of loss, right answers and examples, over replicas.

        `batch` is of a distributed data set. With `head_alone` the last layer's weights are the
        only ones that change.
        """
        if self._factors is None:
            return self._step(batch, head_alone)
        before = self._factors.before()
        found = self._step(batch, head_alone)
        self._factors.after(before)
        return found

    def test(self, batch: Slice) -> tf.Tensor:
        """(3,) sums of loss, right answers and examples, over replicas; nothing changes."""
        return self._run(self._test, (batch,))

    def _step(self, batch: Slice, head_alone):
        if self._sums is None:
            return self._run(self._train, (batch, head_alone))
        sizes = self.strategy.experimental_local_results(batch.size)  # one number, once a replica
        replicas, wanted = self.strategy.num_replicas_in_sync, self.config
        count = num_microbatches(sizes[0], replicas, wanted.gradient_accumulation_steps)
        totals = tf.zeros(3)
        # Around strategy.run, not in it: replicas meet in a microbatch to share statistics, which
        # TensorFlow cannot do within a loop of theirs.
        for index in tf.range(count):
            totals += self._run(self._accumulate, (batch, index, count, head_alone))
        self.strategy.run(self._apply_sums, (head_alone,))
        return totals

    def _run(self, function, arguments):
        found = self.strategy.run(function, arguments)
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, found, axis=None)

    def _train(self, part: Slice, head_alone):
        places = part.first + tf.range(tf.shape(part.labels, out_type=tf.int64)[0])
        draw = self._draw(part.size, places)
        gradients, found = self._compiled(part, draw, tf.constant(1.0), head_alone)
        self._apply(gradients, head_alone)
        return found

    def _accumulate(self, part: Slice, index, count, head_alone):
        part, places = microbatch(part, index, count)
        share, draw = 1.0 / tf.cast(count, tf.float32), self._draw(part.size, places)
        gradients, found = self._compiled(part, draw, share, head_alone)
        self._sums.add(gradients, self._variables(head_alone))
        return found

    def _apply_sums(self, head_alone):
        self._apply(self._sums.take(self._variables(head_alone)), head_alone)

    def _variables(self, head_alone):
        return (self.model.layers[-1] if head_alone else self.model).trainable_variables

    def _optimizer(self, head_alone):
        return self.optimizers[1 if head_alone else 0]

    def _gradients(self, part: Slice, draw, share, head_alone):
        """Those of the replica's part of the scaled loss, and sums of losses and answers.

        `share` is the part's of all that the replica does in this step.
        """
        variables = self._variables(head_alone)
        network, values = self._network, [part.clips]
        if self._blocks and not head_alone:
            network, values = self._blocks.rest, self._blocks(part.clips)
        with tf.GradientTape() as tape:
            tape.watch(values[1:])
            # Alone, the head learns on the body as it is in evaluation, which nothing changes.
            outputs = network(values[-1], training=not head_alone)
            logits = self._logits(outputs, draw)  # (b, N)
            losses = cross_entropy(part.labels, logits, self.config.label_smoothing)
            loss = part.share * tf.reduce_sum(losses) / tf.cast(part.size, tf.float32)
            # A share of the penalty, as gradients are summed over microbatches and replicas.
            penalty = l2_penalty(variables, l2_of(self.config))
            loss += share * penalty / self.strategy.num_replicas_in_sync
            loss = scaled_loss(self._optimizer(head_alone), loss)
        if values[1:]:
            gradients = self._blocks.gradients(tape, loss, variables, values)
        else:
            gradients = tape.gradient(loss, variables)
        return gradients, part.share * sums(part.labels, logits, losses)

    def _apply(self, gradients, head_alone):
        variables, optimizer = self._variables(head_alone), self._optimizer(head_alone)
        if self.config.global_clipnorm:
            limit = scaled_loss(optimizer, tf.constant(self.config.global_clipnorm))
            gradients = clip_by_global_norm(gradients, limit)
        if self._factors is None:  # a factor of a gradient is one of the learning rate
            factors = rate_factors(self.model, variables, self.config)
            gradients = [g if f == 1.0 else f * g for f, g in zip(factors, gradients, strict=True)]
        if self.config.precision == "mixed_float16":
            gradients = overflow_everywhere(gradients)
        apply_gradients(optimizer, gradients, variables)

    def _test(self, part: Slice):
        logits = tf.cast(self.model(part.clips, training=False), tf.float32)
        losses = cross_entropy(part.labels, logits, 0.0)
        return part.share * sums(part.labels, logits, losses, part.counts)

    def _draw(self, size, places):
        """A number from 0 to 1 for each feature (b, C) that may drop out, or None.

        A function of (seed, step, place in the global batch), not of a layer's state: the same on
        any number of replicas, in any microbatch, and after resuming.
        """
        if not self.config.dropout:
            return None
        shape = (size, self._network.output.shape[-1])
        draw = tf.random.stateless_uniform(shape, (self.config.seed, self.steps_done))
        return tf.gather(draw, places)

    def _logits(self, outputs, draw):
        """(b, N) float32 of what the network gives: themselves, or features to drop out."""
        if draw is not None:
            kept = tf.cast(draw >= self.config.dropout, outputs.dtype)
            outputs = self.model.layers[-1](outputs * (kept / (1.0 - self.config.dropout)))
        return tf.cast(outputs, tf.float32)
