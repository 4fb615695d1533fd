"""Which devices a run uses, as a tf.distribute strategy."""

import functools

import tensorflow as tf
from absl import logging

from ..config import ConfigError, TrainConfig


def make_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """The strategy of `config`: one replica for each GPU, or config.num_cpu_replicas without a GPU.

    Several replicas on a CPU are for tests and demonstrations; they share its cores. They must be
    asked for before TensorFlow has run anything in this process, and one process can have one such
    number only: TensorFlow keeps the group of devices that first added tensors up.

    Raises:
        ConfigError: if TensorFlow has started with fewer CPU devices than are wanted; several
            replicas with jit_compile.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        _split_cpu(config.num_cpu_replicas)
    kind, count = ("GPU", len(gpus)) if gpus else ("CPU", config.num_cpu_replicas)
    if config.jit_compile and config.strategy != "one" and count > 1:
        raise ConfigError(
            f"jit_compile=True takes one replica, and here are {count}: what XLA compiles cannot "
            "meet other replicas, as statistics over all of them do. Use --strategy=one, or leave "
            "it out."
        )
    if config.strategy == "one" or config.jit_compile:
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
