"""Time and memory of training steps, for benchmarks that compare ways of computing them."""

import gc
import time

import keras
import numpy as np
import tensorflow as tf

from benchmarks.service import peak_mib
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.distribution.strategy import make_strategy
from r21d_keras.training.loop import Loop
from r21d_keras.training.model_dir import build_model
from r21d_keras.training.optimization.schedule import make_schedule

CLASSES = 400


def step_cost(options: dict, calls: int) -> dict:
    """Trains for `calls` calls of TensorFlow on random clips, in this process, on one device.

    Args:
        options: of TrainConfig.
        calls: at least 2; the first compiles.

    Returns:
        first_s, step_s: seconds of the first call, and of a step, the median of later calls: on a
        CPU of all its cores together, on which other work has little influence; on a GPU of the
        clock. before, peak: MiB in use before the first step, and at most: on a CPU all that the
        process has resident, of a GPU TensorFlow's tensors.
    """
    config = TrainConfig(
        **{"epochs": 1, "warmup_epochs": 0.0, "strategy": "one", "steps_per_call": 1, **options}
    )
    draw = np.random.default_rng(0)
    clips = draw.normal(size=(config.global_batch_size, *config.clip_shape)).astype("float32")
    labels = draw.integers(0, CLASSES, config.global_batch_size).astype("int32")
    loop = _make_loop(config)
    gc.collect()
    before, clock = _in_use()[0], _Clock()
    data = tf.data.Dataset.from_tensors((clips, labels)).repeat(calls * config.steps_per_call)
    loop.run(lambda epoch: data, callbacks=[clock])
    first, *later = np.diff(clock.times)[::2]
    step = np.median(later) / config.steps_per_call
    return {
        "first_s": float(first), "step_s": float(step), "before": before, "peak": _in_use()[1],
    }  # fmt: skip


class _Clock(keras.callbacks.Callback):
    """Times of the beginning and the end of each call."""

    def __init__(self):
        super().__init__()
        self.now, self.times = time.perf_counter if _gpu() else time.process_time, []

    def on_train_batch_begin(self, batch, logs=None):
        self.times.append(self.now())

    on_train_batch_end = on_train_batch_begin


def _make_loop(config: TrainConfig) -> Loop:
    strategy = make_strategy(config)
    users = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(config.precision)
    try:
        with strategy.scope():
            model, schedule = build_model(config, CLASSES), make_schedule(config, 1)
            return Loop(model, schedule, strategy, config)
    finally:
        keras.mixed_precision.set_global_policy(users)


def _gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))


def _in_use() -> tuple[float, float]:
    """MiB in use now, and at most so far."""
    if not _gpu():
        return peak_mib(), peak_mib()
    found = tf.config.experimental.get_memory_info("GPU:0")
    return found["current"] / 2**20, found["peak"] / 2**20
