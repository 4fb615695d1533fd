"""How a global batch reaches the replicas, those of one process or of several."""

from typing import NamedTuple

import tensorflow as tf


class Part(NamedTuple):
    """The replicas of one process, `first` <= i < `end`, of all `replicas` that train together."""

    first: int = 0
    end: int = 1
    replicas: int = 1

    def bounds(self, size: int) -> tuple[int, int]:
        """Where the examples of these replicas lie in a global batch of `size`: first and end."""
        first, _ = _bounds(size, self.first, self.replicas)
        _, end = _bounds(size, self.end - 1, self.replicas)
        return int(first), int(end)


class Slice(NamedTuple):
    """What one replica gets of a global batch, and how it lies in it.

    clips, labels: (b, T, S, S, 3) and (b,), or (b, N) where an example may have several. first:
    index of its first example in the global batch, int64. size: examples in the global batch,
    int64. share: what each of its examples counts. counts: 1, or 0 for what is not to be counted
    in evaluation, float32 (b,).
    """

    clips: tf.Tensor
    labels: tf.Tensor
    first: tf.Tensor
    size: tf.Tensor
    share: tf.Tensor
    counts: tf.Tensor


def distribute(dataset: tf.data.Dataset, strategy: tf.distribute.Strategy):
    """The batches of `dataset` as a distributed dataset of a Slice a replica.

    The batches are made once, so that their order and content do not depend on the replicas; each
    is cut into one slice a replica. A batch of fewer examples than replicas goes whole to each of
    them with a share of 1 / replicas (else it is 1): sums and batch statistics come out the same.
    An empty slice will not do: TensorFlow's convolutions with oneDNN give an empty batch the shape
    of their input instead of their output.

    Args:
        dataset: of global batches (clips, labels); or (clips, labels, counts, size), of which the
            first three are of the examples alone that the replicas of this process need: counts are
            float32, 1, or 0 for what is not to count, and size, int64, is the global batch's.
        strategy: whose replicas.

    Returns:
        Take no more batches from it than `dataset` has: it does not say where it ends, as several
        processes would have to ask one another before each batch.
    """

    def cut(context: tf.distribute.InputContext) -> tf.data.Dataset:
        replicas = context.num_replicas_in_sync
        here = replicas // context.num_input_pipelines
        own = range(context.input_pipeline_id * here, (context.input_pipeline_id + 1) * here)

        def slices(clips, labels, counts=None, size=None):
            before = tf.constant(
                0, tf.int64
            )  # examples of the global batch that are not in `clips`
            if size is None:
                size = tf.shape(labels, out_type=tf.int64)[0]
                counts = tf.ones([size])
            else:
                before, _ = _bounds(size, own.start, replicas)
            share = tf.where(size < replicas, 1.0 / replicas, 1.0)

            def one(i):
                first, end = _bounds(size, i, replicas)
                some = slice(first - before, end - before)
                return Slice(clips[some], labels[some], first, size, share, counts[some])

            return tf.data.Dataset.range(own.start, own.stop).map(one)

        return _endless(dataset.flat_map(slices))

    return strategy.distribute_datasets_from_function(cut)


def _endless(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """`dataset`, then empty elements, which are for what is fetched ahead alone."""
    specs = dataset.element_spec
    empty = tf.nest.map_structure(lambda s: tf.zeros([n or 0 for n in s.shape], s.dtype), specs)
    return dataset.concatenate(tf.data.Dataset.from_tensors(empty).repeat())


def _bounds(size, replica, replicas: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Where the slice of one replica lies in a global batch: its first example, and its end."""
    size, replica = tf.cast(size, tf.int64), tf.cast(replica, tf.int64)
    whole = size < replicas
    first = tf.where(whole, tf.zeros_like(size), size * replica // replicas)
    return first, tf.where(whole, size, size * (replica + 1) // replicas)
