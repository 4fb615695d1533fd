"""Which devices a run uses, as a tf.distribute strategy, and how batches reach them."""

import functools
from typing import NamedTuple

import tensorflow as tf
from absl import logging

from .config import ConfigError, TrainConfig


def make_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """The strategy of `config`: one replica for each GPU, or config.num_cpu_replicas without a GPU.

    Several replicas on a CPU are for tests and demonstrations; they share its cores. They must be
    asked for before TensorFlow has run anything in this process, and one process can have one such
    number only: TensorFlow keeps the group of devices that first added tensors up.

    Raises:
        ConfigError: if TensorFlow has started with fewer CPU devices than are wanted.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        _split_cpu(config.num_cpu_replicas)
    kind, count = ("GPU", len(gpus)) if gpus else ("CPU", config.num_cpu_replicas)
    if config.strategy == "one":
        strategy = tf.distribute.OneDeviceStrategy(f"{kind}:0")
    else:
        strategy = _mirrored(tuple(f"{kind}:{i}" for i in range(count)))
    logging.info(
        "Strategy %s: %d replica(s) on %s.",
        config.strategy,
        strategy.num_replicas_in_sync,
        ", ".join(name.rpartition("device:")[2] for name in strategy.extended.worker_devices),
    )
    return strategy


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


# TensorFlow numbers collective operations by strategy object, but keeps one table of them for the
# process: a second strategy over the same devices would meet the numbers of the first ("Shape
# mismatch in the collective instance").
@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    return tf.distribute.MirroredStrategy(devices)


def _split_cpu(count: int) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    if count == 1 or len(tf.config.get_logical_device_configuration(cpu) or ()) >= count:
        return
    try:
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
    except RuntimeError:
        have = len(tf.config.list_logical_devices("CPU"))
        if have < count:
            raise ConfigError(
                f"num_cpu_replicas={count}, but TensorFlow has started with {have} CPU device(s) "
                "in this process. Call make_strategy before any other use of TensorFlow, or start "
                "a new process."
            ) from None
