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


def microbatch(part: Slice, index: tf.Tensor, count: tf.Tensor) -> Slice:
    """The one of number `index` of the `count` that a replica's slice is cut into."""
    size = tf.shape(part.labels, out_type=tf.int64)[0]
    first, end = size * index // count, size * (index + 1) // count
    cut = {name: getattr(part, name)[first:end] for name in ("clips", "labels", "counts")}
    return part._replace(first=part.first + first, **cut)


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
