"""Which devices a run uses, as a tf.distribute strategy."""

import dataclasses
import faulthandler
import functools

import tensorflow as tf
from absl import logging

from ..config import ConfigError, TrainConfig
from .cluster import Cluster, find_cluster, processes_named
from .lost import WorkerLostError
from .meeting import meet


def make_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """The strategy of `config`: one replica for each GPU, or config.num_cpu_replicas without a GPU.

    Several replicas on a CPU are for tests and demonstrations; they share its cores. They must be
    asked for before TensorFlow has run anything in this process, and one process can have one such
    number only: TensorFlow keeps the group of devices that first added tensors up.

    With several workers it waits for all of them. Nothing in TensorFlow may have run before.

    Raises:
        ConfigError: if TensorFlow has started with fewer CPU devices than are wanted, or too early
            to connect with other workers; if it is not told which these are; several replicas with
            jit_compile.
        WorkerLostError: if they have not all come within config.worker_timeout_s.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if config.strategy == "multi_worker_mirrored":
        strategy = _of_several_workers(config, on_cpu=not gpus)
    else:
        strategy = _of_one_process(config, len(gpus))
    logging.info(
        "Strategy %s: %d replica(s)%s on %s.",
        config.strategy,
        strategy.num_replicas_in_sync,
        ", of which here" * (config.strategy == "multi_worker_mirrored"),
        ", ".join(name.rpartition("device:")[2] for name in strategy.extended.worker_devices),
    )
    return strategy


def in_one_process(config: TrainConfig) -> TrainConfig:
    """`config` for a use of its run that needs no other workers, such as its evaluation."""
    if config.strategy != "multi_worker_mirrored":
        return config
    return dataclasses.replace(config, strategy="mirrored")


def _of_one_process(config: TrainConfig, num_gpus: int) -> tf.distribute.Strategy:
    if (named := processes_named()) > 1:
        logging.warning(
            "The environment names %d processes, and strategy=%r trains in this one alone. Give "
            "--strategy=multi_worker_mirrored to train together.",
            *(named, config.strategy),
        )
    if not num_gpus:
        _split_cpu(config.num_cpu_replicas)
    kind, count = ("GPU", num_gpus) if num_gpus else ("CPU", config.num_cpu_replicas)
    if config.jit_compile and config.strategy != "one" and count > 1:
        raise _not_compiled(f"here are {count}")
    if config.strategy == "one" or config.jit_compile:
        return tf.distribute.OneDeviceStrategy(f"{kind}:0")
    return _mirrored(tuple(f"{kind}:{i}" for i in range(count)))


def _of_several_workers(config: TrainConfig, on_cpu: bool) -> tf.distribute.Strategy:
    if on_cpu and config.num_cpu_replicas > 1:
        raise ConfigError(
            f"num_cpu_replicas={config.num_cpu_replicas}: without a GPU each worker is one "
            "replica. Give --num_cpu_replicas=1, and start more workers for more replicas."
        )
    cluster = find_cluster()
    if config.jit_compile:
        raise _not_compiled(f"here are those of {len(cluster)} workers")
    return _connected(cluster, config.worker_timeout_s)


# A process joins one cluster, once.
@functools.cache
def _connected(cluster: Cluster, timeout_s: float) -> tf.distribute.Strategy:
    """The strategy of all workers, when they have come."""
    logging.info("Worker %d of %d, at %s.", cluster.index, len(cluster), cluster.address)
    meet(cluster, timeout_s)
    # One that is killed just now is waited for by TensorFlow, which nothing but the end of the
    # process interrupts.
    faulthandler.dump_traceback_later(timeout_s, exit=True, file=2)
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(cluster.resolver)
    except (RuntimeError, tf.errors.OpError) as error:
        raise _why(cluster, error) from None
    finally:
        faulthandler.cancel_dump_traceback_later()


def _not_compiled(found: str) -> ConfigError:
    return ConfigError(
        f"jit_compile=True takes one replica, and {found}: what XLA compiles cannot meet other "
        "replicas, as statistics over all of them do. Use --strategy=one, or leave it out."
    )


def _why(cluster: Cluster, error: Exception) -> Exception:
    text = str(error).strip().splitlines()[0]
    if isinstance(error, RuntimeError):
        return ConfigError(
            f"Workers cannot be connected ({text}). TensorFlow has been used in this process "
            "before; call train before any other use of it, or start a new process."
        )
    return WorkerLostError(
        f"{cluster.address} could not be connected with the other workers ({text}). Look at what "
        "they say, and start all of them again."
    )


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
