import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from r21d_keras import VideoResNet
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.optimization.averages import Averages
from r21d_keras.training.optimization.optimizer import make_optimizer
from r21d_keras.training.optimization.penalty import l2_penalty
from r21d_keras.training.optimization.schedule import WarmupSchedule, make_schedule


def schedule(kind, **changes):
    options = {"warmup_steps": 4, "total_steps": 24, "decay_steps": 10, "factor": 0.1}
    return WarmupSchedule(0.8, kind, **{**options, **changes})


@pytest.mark.parametrize("kind", ["step", "cosine", "constant"])
def test_warmup_is_a_line_that_ends_at_the_peak(kind):
    rates = [float(schedule(kind)(step)) for step in range(4)]
    np.testing.assert_allclose(rates, [0.2, 0.4, 0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("constant", {4: 0.8, 23: 0.8, 99: 0.8}),
        ("step", {4: 0.8, 13: 0.8, 14: 0.08, 23: 0.08, 24: 0.008}),
        ("cosine", {4: 0.8, 14: 0.4, 9: 0.4 * (1 + math.cos(math.pi / 4)), 24: 0.0, 30: 0.0}),
    ],
)
def test_after_the_warmup(kind, expected):
    rates = {step: float(schedule(kind)(step)) for step in expected}
    assert rates == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_no_warmup_starts_at_the_peak():
    assert float(schedule("constant", warmup_steps=0)(0)) == pytest.approx(0.8)


def test_schedule_survives_serialisation():
    config = keras.optimizers.schedules.serialize(schedule("cosine"))
    again = keras.optimizers.schedules.deserialize(config)
    assert isinstance(again, WarmupSchedule)
    assert [float(again(s)) for s in (0, 9)] == [float(schedule("cosine")(s)) for s in (0, 9)]


def test_learning_rate_follows_the_global_batch_and_the_log_says_so(caplog):
    config = TrainConfig(base_learning_rate=0.01, global_batch_size=96, warmup_epochs=2.0)
    logging.get_absl_logger().propagate = True
    with caplog.at_level("INFO", logger="absl"):
        rates = make_schedule(config, steps_per_epoch=5)
    assert float(rates(9)) == pytest.approx(0.03)
    assert rates.get_config()["warmup_steps"] == 10
    assert "0.03 = 0.01 (base) x 96 (global batch) / 32 (base batch)" in caplog.text


@pytest.mark.parametrize("nesterov", [True, False])
def test_steps_are_sgd_with_momentum_and_l2_in_the_gradient(nesterov):
    config = TrainConfig(momentum=0.9, nesterov=nesterov, weight_decay=0.1)
    kernel = tf.Variable([[1.0, -2.0]])
    optimizer = make_optimizer(config, schedule("constant", warmup_steps=0), [kernel])
    for _ in range(3):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(kernel * [[0.5, 0.25]]) + l2_penalty([kernel], 0.1)
        optimizer.apply_gradients([(tape.gradient(loss, kernel), kernel)])
    # torch.optim.SGD's algorithm, dampening 0.
    w, velocity = np.array([[1.0, -2.0]]), 0.0
    for _ in range(3):
        gradient = np.array([[0.5, 0.25]]) + 0.1 * w
        velocity = 0.9 * velocity + gradient
        w = w - 0.8 * (gradient + 0.9 * velocity if nesterov else velocity)
    np.testing.assert_allclose(kernel.numpy(), w, rtol=1e-5)


def test_l2_is_of_kernels_alone():
    model = VideoResNet("r2plus1d_10", 3, (4, 16, 16, 3), width_multiplier=0.125)
    weights = model.trainable_weights
    kernels = [w for w in weights if "kernel" in w.name]
    others = [w for w in weights if "kernel" not in w.name]
    assert {w.name.split("/")[-1].split(":")[0] for w in others} == {"gamma", "beta", "bias"}
    expected = 0.5 * sum(float(np.square(w.numpy()).sum()) for w in kernels)
    assert float(l2_penalty(weights, 1.0)) == pytest.approx(expected, rel=1e-4)
    assert float(l2_penalty(others, 1.0)) == 0.0


def test_averages_follow_the_weights_and_stand_in_for_them():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[1.0], [1.0]])])
    averages = Averages(model.weights, decay=0.9)
    expected = 1.0
    for n, value in enumerate((2.0, 4.0, 8.0)):
        model.set_weights([np.full((2, 1), value)])
        averages.update()
        decay = min(0.9, (1 + n) / (10 + n))
        expected = decay * expected + (1 - decay) * value
    with pytest.raises(KeyError), averages.swapped_in():
        np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-6)
        raise KeyError
    np.testing.assert_array_equal(model.get_weights()[0], 8.0)
