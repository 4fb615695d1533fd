"""The time that training waits for its input is told apart from that which steps take."""

import time

import pytest
import tensorflow as tf

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.distribution.slices import distribute
from r21d_keras.training.distribution.strategy import make_strategy
from r21d_keras.training.distribution.waiting import timed_next
from tests.loops import batches, linear_model, make_loop

STEPS = 4


def sleeping(seconds, value):
    """`value`, so many seconds after it is asked for."""

    def sleep(value):
        time.sleep(seconds)
        return value

    return tf.ensure_shape(tf.numpy_function(sleep, [value], value.dtype), value.shape)


def waited(strategy, reading_s, step_s):
    """Seconds that steps of `step_s` wait for batches that take `reading_s` each, and all of it."""
    data = batches(8 * STEPS).map(lambda clips, labels: (sleeping(reading_s, clips), labels))
    iterator = iter(distribute(data.prefetch(1), strategy))

    @tf.function
    def steps():
        totals, waited_s = tf.zeros(()), tf.constant(0.0, tf.float64)
        for _ in tf.range(STEPS):
            batch, seconds = timed_next(iterator, after=totals)
            waited_s += seconds
            found = strategy.run(lambda part: tf.reduce_sum(part.clips), (batch,))
            totals += sleeping(step_s, strategy.reduce("SUM", found, axis=None))
        return waited_s

    began_s = time.monotonic()
    return float(steps()), time.monotonic() - began_s


@pytest.mark.parametrize("replicas", [1, 2])
def test_what_takes_long_is_told(replicas):
    strategy = make_strategy(TrainConfig(num_cpu_replicas=replicas))
    waited_s, all_s = waited(strategy, reading_s=0.3, step_s=0.0)
    assert 0.3 < waited_s <= all_s
    waited_s, all_s = waited(strategy, reading_s=0.0, step_s=0.3)
    assert 0.0 <= waited_s <= all_s - STEPS * 0.3  # nothing of the steps themselves


def test_a_loop_counts_it():
    loop = make_loop(linear_model, epochs=1)
    loop.run(lambda epoch: batches(32))
    assert loop.waited_s > 0.0
    seen = []
    loop.evaluate(batches(20), lambda: seen.append(1))
    assert len(seen) == 3
