"""A step in microbatches, clipped, in float16, compiled: the weights of a plain one."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras._keras import scaled_loss
from r21d_keras.training.config import ConfigError, TrainConfig, validate
from r21d_keras.training.distribution.slices import Slice
from r21d_keras.training.distribution.strategy import make_strategy
from r21d_keras.training.optimization.accumulation import microbatch, num_microbatches
from r21d_keras.training.train import train
from tests.loops import BATCH, CLASSES, SHAPE, batches, largest_difference, linear_model, make_loop

# 29 examples are three batches of 8 and one of 5; 25 end with a single example.
EPOCHS = (29, 25)
OPTIONS = {"dropout": 0.3, "epochs": 2, "ema_decay": 0.9, "weight_decay": 0.1, "layer_decay": 0.5}
CLIPNORM = 0.05


def conv_network(config):
    """Without batch normalisation, whose statistics are of a microbatch."""
    clips = keras.Input(SHAPE)
    x = keras.layers.Conv3D(4, 3, strides=2, activation="relu", name="stem.0")(clips)
    x = keras.layers.GlobalAveragePooling3D()(x)
    if config.dropout:
        x = keras.layers.Dropout(config.dropout, name="dropout")(x)
    return keras.Model(clips, keras.layers.Dense(CLASSES)(x))


def trained(network=conv_network, policy="float64", **options):
    """The weights, and their averages, that a loop of these options leaves."""
    options = {**OPTIONS, "strategy": "one", **options}
    loop = make_loop(network, policy, **options)
    loop.run(lambda epoch: batches(EPOCHS[epoch]))
    return loop.model.get_weights(), [average.numpy() for average in loop.averages.variables]


@functools.cache
def plainly(clipnorm=0.0, head_epochs=0):
    return trained(global_clipnorm=clipnorm, head_epochs=head_epochs)


TWO = {"strategy": "mirrored", "num_cpu_replicas": 2}


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_accumulation_steps": 3, "steps_per_call": 1},
        {"gradient_accumulation_steps": 3, **TWO},
        {"gradient_accumulation_steps": 3, "head_epochs": 1},
        {"gradient_accumulation_steps": 8, "global_clipnorm": CLIPNORM},
        {"gradient_accumulation_steps": 4, "global_clipnorm": CLIPNORM, **TWO},
        {"global_clipnorm": CLIPNORM, **TWO},
        {"jit_compile": True, "global_clipnorm": CLIPNORM, "strategy": "mirrored"},
        {"jit_compile": True, "gradient_accumulation_steps": 3},
    ],
    ids=lambda options: ", ".join(map(str, options.items())),
)
def test_the_weights_are_those_of_the_plain_way(options):
    expected = plainly(options.get("global_clipnorm", 0.0), options.get("head_epochs", 0))
    for weights, others in zip(trained(**options), expected, strict=True):
        assert largest_difference(weights, others) < 1e-6


def test_the_norm_is_that_of_all_gradients_of_the_global_batch():
    """Against tf.clip_by_global_norm; and it makes a difference."""
    options = {**OPTIONS, "dropout": 0.0, "ema_decay": 0.0, "layer_decay": 1.0}
    options |= {"global_clipnorm": CLIPNORM, "epochs": 1, "warmup_epochs": 0.0}
    options |= {"schedule": "constant"}
    loop = make_loop(conv_network, "float64", strategy="one", **options)
    loop.run(lambda epoch: batches(EPOCHS[0]))
    other = make_loop(conv_network, "float64", strategy="one", **options)
    model, norms = other.model, []
    for clips, labels in batches(EPOCHS[0]):
        with tf.GradientTape() as tape:
            logits = tf.cast(model(clips), tf.float32)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            kernels = [w for w in model.trainable_weights if len(w.shape) > 1]
            squares = sum(tf.reduce_sum(tf.square(tf.cast(k, tf.float32))) for k in kernels)
            loss = tf.reduce_mean(losses) + options["weight_decay"] / 2 * squares
        gradients, norm = tf.clip_by_global_norm(
            tape.gradient(loss, model.trainable_variables), CLIPNORM
        )
        norms.append(float(norm))
        other.optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    assert min(norms) > CLIPNORM
    assert largest_difference(loop.model.get_weights(), model.get_weights()) < 1e-6


@pytest.mark.parametrize("replicas", [{}, TWO], ids=["one replica", "two"])
def test_in_float16_the_limit_is_that_of_gradients_without_the_loss_scale(replicas):
    options = {**OPTIONS, "precision": "mixed_float16", "global_clipnorm": CLIPNORM}
    weights, _ = trained(
        policy="mixed_float16", gradient_accumulation_steps=2, **options, **replicas
    )
    expected, _ = trained(policy="float32", global_clipnorm=CLIPNORM)
    start = make_loop(conv_network, strategy="one", **OPTIONS).model.get_weights()
    moved = largest_difference(start, expected)
    assert largest_difference(weights, expected) < 0.02 * moved  # float16 has 11 bits


@pytest.mark.parametrize("clipnorm", [0.0, 1.0])
def test_an_overflow_in_one_microbatch_of_one_replica_skips_the_step_on_all(clipnorm):
    options = {"precision": "mixed_float16", "warmup_epochs": 0.0, "weight_decay": 0.0, "epochs": 1}
    options |= {"gradient_accumulation_steps": 2, "global_clipnorm": clipnorm, **TWO}
    good = np.random.default_rng(0).normal(size=(BATCH, *SHAPE)).astype("float32")
    bad = good.copy()
    # In the last replica's last microbatch. Times the loss scale it is more than float16 holds.
    bad[[5, 7]] = 15.0
    weights, scales = [], []
    for clips in (good, np.concatenate([bad, good])):
        loop = make_loop(linear_model, "mixed_float16", schedule="constant", **options)
        before = loop.model.get_weights()
        labels = np.zeros(len(clips), "int32")
        data = tf.data.Dataset.from_tensor_slices((clips, labels)).batch(BATCH)
        loop.run(lambda epoch, data=data: data)
        weights.append(loop.model.get_weights())
        scales.append(float(scaled_loss(loop.optimizer, tf.constant(1.0))))
    assert scales[1] == scales[0] / 2
    assert largest_difference(*weights) < 1e-7 < 1e-5 < largest_difference(before, weights[1])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 9))
def test_microbatches_have_each_example_once_on_any_number_of_replicas(size, replicas, wanted):
    count = int(num_microbatches(tf.constant(size, tf.int64), replicas, wanted))
    assert 1 <= count <= wanted
    if size < replicas:  # the whole batch is on each
        bounds = [(0, size)] * replicas
    else:
        bounds = [(size * r // replicas, size * (r + 1) // replicas) for r in range(replicas)]
    for index in range(count):
        expected = list(range(index, size, count))
        found = []
        for first, end in bounds:
            rows = tf.range(first, end, dtype=tf.int32)
            numbers = [tf.constant(n, tf.int64) for n in (first, size)]
            part = Slice(rows, rows, *numbers, tf.constant(1.0), tf.ones([end - first]))
            some, places = microbatch(
                part, tf.constant(index, tf.int64), tf.constant(count, tf.int64)
            )
            assert some.clips.numpy().tolist() == places.numpy().tolist() != []
            assert len(some.counts) == len(some.labels) == len(places)
            found.append(places.numpy().tolist())
        if size < replicas:
            assert all(places == expected for places in found)
        else:
            assert sum(found, []) == expected


def test_more_microbatches_than_clips_are_refused(make_config):
    with pytest.raises(ConfigError, match="gradient_accumulation_steps=5 is more than global_b"):
        validate(TrainConfig(global_batch_size=4, gradient_accumulation_steps=5))
    config = make_config(gradient_accumulation_steps=3, **TWO)
    with pytest.raises(ConfigError, match="4 is less than the 2 replicas, each with gradient_acc"):
        train(config)


def test_published_statistics_can_be_had_in_microbatches(make_config, log):
    options = {"sync_bn": False, "base_batch_size": 2, "global_batch_size": 8}
    for steps, said in ((1, True), (4, False)):
        log.clear()
        with pytest.raises(ValueError, match="nowhere"):  # said before the videos are looked for
            train(make_config(videos="nowhere", gradient_accumulation_steps=steps, **options))
        advice = "--gradient_accumulation_steps=4 or --global_batch_size=2 gives each replica"
        assert (advice in log.text) == said


def test_xla_is_refused_on_several_replicas():
    with pytest.raises(ConfigError, match="jit_compile=True takes one replica, and here are 2"):
        make_strategy(TrainConfig(jit_compile=True, **TWO))
