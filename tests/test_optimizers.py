"""Optimizers by name: their steps, their twins, rates of stages, replicas, what is refused."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras._keras import KERAS3, backend_variable
from r21d_keras.training.config import ConfigError, from_json, to_json
from r21d_keras.training.optimization.muon import Muon, orthogonal
from r21d_keras.training.optimization.optimizer import check_optimizer
from r21d_keras.training.optimization.options import OPTIMIZERS, parsed
from r21d_keras.training.optimization.schedule import RunRate
from r21d_keras.training.recipes import resolve
from tests.addons import addons
from tests.loops import CLASSES, SHAPE, batches, largest_difference, make_loop
from tests.stepping import SHAPES, STEPS, some_schedule, stepped, variables

OTHERS = ("sgdw", "adamw", "lamb", "muon")  # than the paper's
TWINS = {"sgdw": "tfa:SGDW", "adamw": "tfa:AdamW", "lamb": "tfa:LAMB"}
WRAPPED = ("tfa:Lookahead:RectifiedAdam", "tfa:NovoGrad")


def test_every_optimizer_has_an_own_step():
    ends = {name: stepped(name, weight_decay=0.1) for name in OPTIMIZERS}
    starts = [weight.numpy() for weight in variables()]
    for name, end in ends.items():
        for start, weight in zip(starts, end, strict=True):
            assert 1e-4 < np.abs(weight - start).max() < 5, name
    names = list(ends)
    for i, name in enumerate(names):
        for other in names[:i]:
            assert largest_difference(ends[name], ends[other]) > 1e-4, (name, other)


@pytest.mark.parametrize("name", OTHERS)
def test_weight_decay_is_decoupled_times_the_rate_and_of_kernels_alone(name):
    """Without gradients all that is left is the decay; of LAMB it is an update like any other."""
    starts = [weight.numpy() for weight in variables()]
    ends = stepped(name, gradients=0.0, weight_decay=0.5)
    shrunk = 1.0
    for step in range(STEPS):
        shrunk *= 1 - float(some_schedule()(step)) * (1.0 if name == "lamb" else 0.5)
    for start, end in zip(starts, ends, strict=True):
        np.testing.assert_allclose(end, start * (shrunk if start.ndim > 1 else 1.0), rtol=1e-5)


def test_sgdws_decay_is_not_in_its_momentum():
    ends = [stepped(name, weight_decay=0.0) for name in ("sgd", "sgdw")]
    assert largest_difference(*ends) < 1e-7


@pytest.mark.skipif(not KERAS3, reason="Keras 2.15 has no Lamb")
def test_lamb_is_keras_lamb_on_kernels():
    ends = stepped("lamb", weight_decay=0.0)
    weights, draw = variables(), np.random.default_rng(1)
    theirs = keras.optimizers.Lamb(some_schedule(), epsilon=1e-6)
    for _ in range(STEPS):
        values = [draw.normal(size=w.shape).astype("float32") for w in weights]
        theirs.apply_gradients(zip(map(tf.constant, values), weights, strict=True))
    for place in (0, 2):
        np.testing.assert_allclose(ends[place], weights[place].numpy(), atol=1e-6)


@pytest.mark.skipif(not hasattr(keras.optimizers, "Muon"), reason="this Keras has no Muon")
@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_muon_is_keras_muon_on_the_matrix_of_a_kernel(decay):
    """A kernel (3, 3, 3, 4, 8) is the matrix (108, 8); all else is AdamW there, too."""
    ends = stepped("muon", weight_decay=decay)
    weights, draw = [], np.random.default_rng(1)
    for name, shape in SHAPES.items():
        shape = (108, 8) if name == "kernel" else shape
        weights.append(keras.Variable(np.zeros(shape, "float32"), name=name.replace("/", "_")))
    for weight, value in zip(weights, variables(), strict=True):
        weight.assign(tf.reshape(value, weight.shape))
    theirs = keras.optimizers.Muon(
        some_schedule(), weight_decay=decay, adam_weight_decay=decay, exclude_layers=["dense"]
    )
    theirs.exclude_from_weight_decay(var_list=[weights[1], weights[3]])
    for _ in range(STEPS):
        values = [draw.normal(size=shape).astype("float32") for shape in SHAPES.values()]
        pairs = zip(values, weights, strict=True)
        theirs.apply_gradients([(tf.reshape(tf.constant(v), w.shape), w) for v, w in pairs])
    for end, weight in zip(ends, weights, strict=True):
        np.testing.assert_allclose(end.reshape(weight.shape), weight.numpy(), atol=3e-5)


@pytest.mark.parametrize("shape", [(96, 40), (40, 96), (16, 16), (1, 5)])
def test_muons_updates_are_about_orthogonal(shape):
    matrix = np.random.default_rng(0).normal(size=shape).astype("float32")
    values = np.linalg.svd(orthogonal(tf.constant(matrix)).numpy())[1]
    assert 0.3 < values.min() and values.max() < 1.3
    assert Muon(0.1).is_orthogonal(tf.zeros((1, 3, 3, 8, 8)))
    assert not Muon(0.1).is_orthogonal(tf.zeros((8, 3)))  # the classifier


def small_network(config):
    """A convolution, its batch normalisation and a classifier, named as the networks are."""
    clips = keras.Input(SHAPE)
    x = keras.layers.Conv3D(4, 3, strides=2, use_bias=False, name="stem.conv")(clips)
    x = keras.layers.BatchNormalization(synchronized=config.sync_bn, name="stem.bn")(x)
    x = keras.layers.GlobalAveragePooling3D()(keras.layers.Activation("relu")(x))
    return keras.Model(clips, keras.layers.Dense(CLASSES, name="fc")(x))


def all_optimizers():
    names = [*OPTIMIZERS, *TWINS.values(), *WRAPPED]
    return [pytest.param(name, id=name.replace(":", "_")) for name in names]


def loop_of(name, **options):
    if name.startswith("tfa:"):
        addons()
    options = {"weight_decay": 0.1, "warmup_epochs": 0.0, "epochs": 2, **options}
    return make_loop(small_network, optimizer=name, num_cpu_replicas=2, **options)


@pytest.mark.parametrize("name", all_optimizers())
def test_two_replicas_are_as_one_and_stay_alike(name):
    """To the bit among themselves: a replica's variables are other objects with other names."""
    ends = []
    for strategy in ("one", "mirrored"):
        loop = loop_of(name, strategy=strategy, policy="float64", head_epochs=0)
        loop.run(lambda epoch: batches(13))
        ends.append(loop.model.get_weights())
    for weight in loop.model.weights:
        left, right = loop.strategy.experimental_local_results(backend_variable(weight))
        np.testing.assert_array_equal(left.numpy(), right.numpy())
    assert largest_difference(*ends) < 1e-6


@pytest.mark.parametrize("name", ["sgd", *OTHERS, "tfa:AdamW"])
def test_a_factor_of_a_stage_is_one_of_its_steps(name):
    """A first step, decay and all, of weights that both start from alike."""
    steps = []
    for options in ({}, {"head_factor": 3.0, "layer_decay": 0.5}):
        loop = loop_of(name, strategy="mirrored", policy="float64", epochs=1, **options)
        before = [weight.numpy() for weight in loop.model.trainable_weights]
        loop.run(lambda epoch: batches(8))
        after = [weight.numpy() for weight in loop.model.trainable_weights]
        steps.append([new - old for new, old in zip(after, before, strict=True)])
    factors = [0.5**5] * 3 + [3.0] * 2  # the stem's five stages below the classifier
    for plain, scaled, factor in zip(*steps, factors, strict=True):
        assert np.abs(plain).max() > 1e-6
        np.testing.assert_allclose(scaled, factor * plain, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("name", ["adamw", "muon", "tfa:LAMB"])
def test_what_follows_the_classifier_is_as_a_run_of_its_own(name):
    """Adam's correction of young moments begins anew, though the schedule goes on."""
    options = {"policy": "float64", "strategy": "one", "schedule": "constant"}
    loop = loop_of(name, **options, epochs=2, head_epochs=1)
    after = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            after.append(self.model.get_weights())

    loop.run(lambda epoch: batches(13), callbacks=[Keep()])
    other = loop_of(name, **options, epochs=1)
    other.model.set_weights(after[0])
    other.run(lambda epoch: batches(13))
    assert largest_difference(after[1], other.model.get_weights()) < 1e-12


@pytest.mark.parametrize("name", ["adamw", "lamb", "tfa:SGDW"])
def test_half_precision_takes_steps(name):
    loop = loop_of(name, precision="mixed_float16", policy="mixed_float16", strategy="mirrored")
    before = loop.model.get_weights()
    logs = loop.run(lambda epoch: batches(8))
    assert np.isfinite(logs["loss"])
    assert 1e-6 < largest_difference(before, loop.model.get_weights()) < 1


@pytest.mark.parametrize("name", [*OTHERS, "tfa:LAMB", "tfa:Lookahead:RectifiedAdam"])
def test_a_checkpoint_holds_all_that_the_optimizer_keeps(name, tmp_path):
    """Two epochs are one, and one more from what a checkpoint had."""
    parts = []
    for _ in range(2):
        loop = loop_of(name, strategy="one")
        parts.append(loop)
    whole, again = parts
    whole.run(lambda epoch: batches(8), callbacks=[StopAfter(0)])
    path = tf.train.Checkpoint(**state_of(whole)).write(str(tmp_path / "state"))
    tf.train.Checkpoint(**state_of(again)).read(path).assert_existing_objects_matched()
    for loop in parts:
        loop.place = dataclasses.replace(loop.place, epochs=1)
        loop.run(lambda epoch: batches(8))
    assert largest_difference(whole.model.get_weights(), again.model.get_weights()) == 0


class StopAfter(keras.callbacks.Callback):
    def __init__(self, epoch):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == self.epoch


def state_of(loop):
    return {"model": loop.model, "optimizer": loop.optimizer, "steps": loop.steps_done}


def test_the_rate_is_that_of_the_step_of_the_run():
    count = tf.Variable(4, dtype=tf.int64)
    rate = RunRate(some_schedule(), count)
    assert float(rate(0)) == pytest.approx(float(some_schedule()(4)))
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(rate))
    assert float(again(4)) == pytest.approx(float(rate(0)))


def test_options_are_read():
    assert parsed("") == {}
    assert parsed("beta_2=0.98, epsilon=1e-6,amsgrad=true,ord=nuclear,k=5") == {
        "beta_2": 0.98,
        "epsilon": 1e-6,
        "amsgrad": True,
        "ord": "nuclear",
        "k": 5,
    }
    plain, other = stepped("adamw"), stepped("adamw", optimizer_options="beta_1=0.5")
    assert largest_difference(plain, other) > 1e-3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": "adam"}, "optimizer='adam': expected one of sgd, sgdw, .*, or tfa:NAME"),
        ({"optimizer_options": "beta_1"}, "'beta_1' is not name=value. Expected for example"),
        ({"optimizer": "adamw", "momentum": 0.8}, "momentum=0.8 is of sgd and sgdw; adamw has"),
        ({"swa_epochs": 3, "ema_decay": 0.9}, "expected one of them"),
        ({"swa_epochs": 46}, "swa_epochs=46 is more than epochs=45 less head_epochs=0"),
        ({"swa_every": 2}, "swa_every=2 without swa_epochs"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(ConfigError, match=message):
        resolve(overrides=options)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": "adamw", "optimizer_options": "beta1=0.5"}, "takes beta_1, .*; got beta1"),
        ({"optimizer": "sgdw", "optimizer_options": "clipnorm=1"}, "sgdw takes none; got clipnorm"),
        ({"optimizer": "lamb", "optimizer_options": "beta_1=x"}, "beta_1 to be of type float"),
        ({"optimizer": "muon", "optimizer_options": "nesterov=3"}, "nesterov to be of type bool"),
    ],
)
def test_arguments_that_an_optimizer_does_not_take(options, message):
    with pytest.raises(ConfigError, match=message):
        check_optimizer(resolve(overrides=options))


def test_a_run_keeps_its_optimizer(tmp_path):
    config = resolve(overrides={"optimizer": "adamw", "optimizer_options": "beta_2=0.98"})
    text = to_json(config)
    assert from_json(text) == config and json.loads(text)["optimizer"] == "adamw"
