"""A step's clips in several microbatches, one after the other, so that they need less memory."""

from collections.abc import Sequence

import tensorflow as tf

from r21d_keras._keras import backend_variable

from ..distribution.slices import Slice


def num_microbatches(size: tf.Tensor, replicas: int, wanted: int) -> tf.Tensor:
    """In how many a global batch of `size` examples is taken, int64: no replica's may be empty.

    As `slices.distribute` cuts it: a batch of fewer examples than replicas is whole on each.
    """
    smallest = tf.where(size < replicas, size, size // replicas)
    return tf.minimum(smallest, wanted)


def microbatch(part: Slice, index: tf.Tensor, count: tf.Tensor) -> tuple[Slice, tf.Tensor]:
    """A replica's examples of one microbatch, and where they lie in the global batch (b,), int64.

    Microbatch `index` of `count` has every example of the global batch whose place is `index`
    modulo `count`: over all replicas the same examples, however many replicas there are.
    """
    size = tf.shape(part.labels, out_type=tf.int64)[0]
    rows = tf.range((index - part.first) % count, size, count)
    cut = {name: tf.gather(getattr(part, name), rows) for name in ("clips", "labels", "counts")}
    return part._replace(**cut), part.first + rows


class GradientSums:
    """A sum of gradients for each of `variables`; every replica has its own.

    Make it in strategy.scope(). It holds zeros between steps, so that no checkpoint needs it.
    """

    def __init__(self, variables: Sequence):
        self._sums = {
            id(variable): tf.Variable(
                tf.zeros_like(tf.convert_to_tensor(backend_variable(variable))),
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.SUM,
            )
            for variable in variables
        }

    def add(self, gradients: Sequence[tf.Tensor], variables: Sequence) -> None:
        """Adds the replica's gradients of some or all of the variables."""
        for gradient, variable in zip(gradients, variables, strict=True):
            self._sums[id(variable)].assign_add(gradient)

    def take(self, variables: Sequence) -> list[tf.Tensor]:
        """The replica's sums for `variables`, which begin again at zero."""
        sums = [self._sums[id(variable)] for variable in variables]
        taken = [tf.identity(total) for total in sums]
        for total in sums:
            total.assign(tf.zeros_like(total))
        return taken
