"""How a global batch reaches the replicas."""

from typing import NamedTuple

import tensorflow as tf


class Slice(NamedTuple):
    """What one replica gets of a global batch, and how it lies in it.

    clips, labels: (b, T, S, S, 3) and (b,), or (b, N) where an example may have several. first:
    index of its first example in the global batch, int64. size: examples in the global batch,
    int64. share: what each of its examples counts.
    """

    clips: tf.Tensor
    labels: tf.Tensor
    first: tf.Tensor
    size: tf.Tensor
    share: tf.Tensor


def distribute(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy):
    """`dataset`, of global batches (clips, labels), as a distributed one of a Slice a replica.

    The batches are made once, so that their order and content do not depend on the replicas; each
    is cut into one slice a replica. A batch of fewer examples than replicas goes whole to each of
    them with a share of 1 / replicas (else it is 1): sums and batch statistics come out the same.
    An empty slice will not do: TensorFlow's convolutions with oneDNN give an empty batch the shape
    of their input instead of their output.
    """
    replicas = strategy.num_replicas_in_sync

    def slices(clips, labels):
        size = tf.shape(labels, out_type=tf.int64)[0]
        whole = size < replicas
        share = tf.where(whole, 1.0 / replicas, 1.0)

        def one(i):
            first = tf.where(whole, tf.zeros_like(size), size * i // replicas)
            end = tf.where(whole, size, size * (i + 1) // replicas)
            return Slice(clips[first:end], labels[first:end], first, size, share)

        return tf.data.Dataset.range(replicas).map(one)

    return strategy.distribute_datasets_from_function(lambda _: dataset.flat_map(slices))
