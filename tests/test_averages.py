"""Averages of weights: what they are, over replicas, resumed, and tensorflow-addons' twins."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.config import ConfigError, TrainConfig
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.optimization.averages import Averages, SnapshotAverages, make_averages
from r21d_keras.training.train import train
from tests.addons import addons
from tests.loops import Recorder, batches, largest_difference, linear_model, make_loop


def paths(steps, start=1.0):
    """A weight after each of so many steps, and before the first."""
    return np.cumsum(np.random.default_rng(0).normal(size=steps + 1)) + start


def snapshots(values, start, period):
    weight, count = tf.Variable(values[0]), tf.Variable(0, dtype=tf.int64)
    averages = SnapshotAverages([weight], count, start, period)
    seen = []
    for value in values[1:]:
        weight.assign(value)
        count.assign_add(1)
        tf.function(averages.update)()
        seen.append(averages.variables[0].numpy())
    return seen


def test_snapshots_are_averaged_alike_from_their_start_on():
    values = paths(12)
    seen = snapshots(values, start=4, period=3)
    for step, average in enumerate(seen, 1):
        taken = [values[s] for s in (7, 10) if s <= step]
        expected = np.mean(taken) if taken else values[step]
        assert average == pytest.approx(expected), step


def test_a_run_that_is_made_longer_averages_its_own_end():
    """As if it had been as long from the start."""
    values = paths(12)
    weight, count = tf.Variable(values[0]), tf.Variable(0, dtype=tf.int64)
    averages = SnapshotAverages([weight], count, 2, 2)
    for step, value in enumerate(values[1:], 1):
        averages.start = 2 if step <= 6 else 8
        weight.assign(value)
        count.assign_add(1)
        averages.update()
    assert averages.variables[0].numpy() == pytest.approx(np.mean(values[[10, 12]]))
    assert averages.num_updates.numpy() == 2


@pytest.mark.parametrize("strategy", ["one", "mirrored"])
def test_the_last_epochs_are_averaged_in_a_run(strategy):
    """Statistics of batch normalisation too; what is validated are the averages."""
    options = {"num_cpu_replicas": 2, "epochs": 4, "swa_epochs": 2, "warmup_epochs": 0.0}
    loop, recorder = make_loop(strategy=strategy, **options), Recorder()
    loop.run(lambda epoch: batches(29), lambda: loop.evaluate(batches(8)), [recorder])
    assert loop.averages.num_updates.numpy() == 2
    expected = [np.mean(pair, axis=0) for pair in zip(*recorder.weights[-2:], strict=True)]
    with loop.final_weights() as model:
        for weight, mean in zip(model.get_weights(), expected, strict=True):
            np.testing.assert_allclose(weight, mean, atol=1e-5, rtol=1e-5)
    assert largest_difference(loop.model.get_weights(), expected) > 1e-6


def test_a_resumed_run_has_the_averages_of_one_that_was_not(make_config):
    options = {"swa_epochs": 2, "swa_every": 1, "epochs": 3, "variant": "f_r2d_10"}

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    whole, resumed = make_config("whole", **options), make_config("resumed", **options)
    train(whole)
    train(resumed, [Stop()])
    train(resumed)
    ends = [load_run(config.model_dir)[2].get_weights() for config in (whole, resumed)]
    assert largest_difference(*ends) == 0


def test_averages_of_options():
    weights, count = [tf.Variable(1.0)], tf.Variable(0, dtype=tf.int64)
    assert make_averages(TrainConfig(), weights, count, 45) is None
    ema = make_averages(TrainConfig(ema_decay=0.9), weights, count, 45)
    assert type(ema) is Averages and ema.decay == 0.9
    last = make_averages(TrainConfig(swa_epochs=5), weights, count, 90)
    assert (last.start, last.period) == (80, 2)
    with pytest.raises(ConfigError, match="swa_every=11 steps is more than the 10 of swa_epochs=5"):
        make_averages(TrainConfig(swa_epochs=5, swa_every=11), weights, count, 90)


# Against tensorflow-addons' wrappers, on the steps of one and the same optimizer.


def averaged_by(wrapper, steps=12):
    """What a wrapper of tensorflow-addons averages, and the weights after each step."""
    optimizer = wrapper(keras.optimizers.legacy.SGD(0.1))
    weight, draw = tf.Variable([1.0, -2.0]), np.random.default_rng(0)
    path = [weight.numpy()]
    for _ in range(steps):
        gradient = tf.constant(draw.normal(size=2).astype("float32"))
        optimizer.apply_gradients([(gradient, weight)])
        path.append(weight.numpy())
    optimizer.assign_average_vars([weight])
    return weight.numpy(), path


@pytest.mark.parametrize("decay", [0.5, 0.99])
def test_ours_are_moving_averages_of_addons(decay):
    """With dynamic_decay, which is the rule here; this counts from the step before the first."""
    optimizers = addons().optimizers
    theirs, path = averaged_by(
        lambda inner: optimizers.MovingAverage(inner, average_decay=decay, dynamic_decay=True)
    )
    weight = tf.Variable(path[0])
    averages = Averages([weight], decay)
    for value in path[1:]:
        weight.assign(value)
        averages.update()
    np.testing.assert_allclose(averages.variables[0].numpy(), theirs, rtol=1e-6)


@pytest.mark.parametrize("start, period", [(0, 1), (4, 3), (6, 2)])
def test_snapshots_are_those_of_addons(start, period):
    optimizers = addons().optimizers
    theirs, path = averaged_by(
        lambda inner: optimizers.SWA(
            inner, start_averaging=start + period - 1, average_period=period
        )
    )
    np.testing.assert_allclose(snapshots(path, start, period)[-1], theirs, rtol=1e-6)


def test_the_loops_averages_are_those_of_addons_wrapper():
    """The same run twice: averaged here, and by the wrapper around the same steps."""
    optimizers = addons().optimizers
    options = {"weight_decay": 0.0, "warmup_epochs": 0.0, "schedule": "constant", "momentum": 0.0}
    options |= {"nesterov": False, "strategy": "one", "epochs": 2}
    loop = make_loop(linear_model, ema_decay=0.9, **options)
    theirs = optimizers.MovingAverage(
        keras.optimizers.legacy.SGD(float(loop.schedule(0))), average_decay=0.9, dynamic_decay=True
    )
    plain = linear_model(loop.config)
    plain.set_weights(loop.model.get_weights())
    weights = plain.trainable_weights
    for _ in range(2):
        for clips, labels in batches(29):
            with tf.GradientTape() as tape:
                logits = plain(clips, training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(losses)
            theirs.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
    loop.run(lambda epoch: batches(29))
    theirs.assign_average_vars(weights)
    with loop.final_weights() as model:
        assert largest_difference(model.get_weights(), plain.get_weights()) < 1e-6
