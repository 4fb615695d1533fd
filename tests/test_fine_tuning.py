"""Rates by stage, the classifier first, and starts from another run: measured on weights."""

import dataclasses
import pathlib
import re

import keras
import numpy as np
import pytest

from r21d_keras._keras import backend_variable
from r21d_keras.training.config import ConfigError
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.model_dir import build_model, load_run
from r21d_keras.training.optimization.stages import (
    STAGES,
    rate_factors,
    stage_factors,
    stage_of,
    trained_layers,
)
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.recipes import resolve
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.start import find_start, load_start
from r21d_keras.training.train import train
from tests import cached_rows
from tests.loops import BATCH, Recorder, batches, largest_difference, make_loop

CONSTANT = {"schedule": "constant", "warmup_epochs": 0.0, "strategy": "one", "policy": "float64"}


def stage_weights(model):
    """The values of all weights, in a list for each of STAGES."""
    found = {stage: [] for stage in STAGES}
    for layer in model.layers:
        if layer.weights:
            found[stage_of(model, layer)] += layer.get_weights()
    return found


class Stages(keras.callbacks.Callback):
    """The weights of each stage after each epoch."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(stage_weights(self.model))


def steps_taken(loop, count=BATCH):
    """How far each trainable weight goes in the run, with its stage."""
    weights = {
        (stage_of(loop.model, layer), layer.name, place): weight
        for layer in loop.model.layers
        for place, weight in enumerate(layer.trainable_weights)
    }
    before = {key: weight.numpy() for key, weight in weights.items()}
    loop.run(lambda epoch: batches(count))
    return [(key[0], weight.numpy() - before[key]) for key, weight in weights.items()]


def small_loop(**options):
    network = {"variant": "f_r2d_10", "width_multiplier": 0.125, "clip_frames": 4, "crop_size": 32}
    return make_loop(lambda config: build_model(config, 3), **network, **options)


def test_each_stage_has_its_share_of_the_next_ones_rate():
    config = resolve(overrides={"layer_decay": 0.5, "head_factor": 3.0})
    assert stage_factors(config) == {
        "stem": 1 / 32,
        "layer1": 1 / 16,
        "layer2": 1 / 8,
        "layer3": 1 / 4,
        "layer4": 1 / 2,
        "fc": 3.0,
    }
    assert {*stage_factors(resolve()).values()} == {1.0}


def test_a_step_of_each_stage_is_scaled_by_exactly_its_factor():
    """A first step, which both start from the same weights: L2, momentum, Nesterov and all."""
    plain = steps_taken(make_loop(**CONSTANT, epochs=1))
    scaled = steps_taken(make_loop(**CONSTANT, epochs=1, layer_decay=0.75, head_factor=4.0))
    factors = stage_factors(resolve(overrides={"layer_decay": 0.75, "head_factor": 4.0}))
    assert {name for name, _ in plain} == set(STAGES)
    for (name, step), (_, other) in zip(plain, scaled, strict=True):
        assert np.abs(step).max() > 1e-9, name
        tolerance = 1e-9 * np.abs(step).max() + 1e-15
        np.testing.assert_allclose(other, factors[name] * step, rtol=1e-6, atol=tolerance)


def test_a_factor_is_a_learning_rate_over_many_steps():
    """The classifier alone, at a third of the rate with a factor of three: momentum and L2 too."""
    ends = []
    for rate, factor in ((0.12, 1.0), (0.04, 3.0)):
        options = {"base_learning_rate": rate, "head_factor": factor, "weight_decay": 0.1}
        loop = small_loop(**CONSTANT, epochs=3, head_epochs=3, **options)
        steps = steps_taken(loop, 29)
        assert np.abs(steps[-1][1]).max() > 1e-3
        ends.append(loop.model.get_weights())
    assert largest_difference(*ends) < 1e-7  # the rate is float32


def test_frozen_stages_have_no_factor():
    loop = small_loop(**CONSTANT, layer_decay=0.5)
    for layer in loop.model.layers:
        layer.trainable = layer.name.startswith("layer4") or layer is loop.model.layers[-1]
    variables = loop.model.trainable_variables
    factors = rate_factors(loop.model, variables, loop.config)
    assert set(factors) == {0.5, 1.0} and len(factors) == len(variables)
    for options, stages in (({}, {"layer4", "fc"}), ({"head_epochs": loop.config.epochs}, {"fc"})):
        config = dataclasses.replace(loop.config, **options)
        layers = trained_layers(loop.model, config)
        assert {stage_of(loop.model, layer) for layer in layers} == stages


# Features that drop out are drawn in a place of its own.
@pytest.mark.parametrize("strategy, dropout", [("one", 0.0), ("mirrored", 0.5)])
def test_the_classifier_alone_leaves_the_body_as_it_is(strategy, dropout):
    """To the bit, statistics of batch normalisation included; after it, all is trained."""
    loop = small_loop(
        strategy=strategy,
        num_cpu_replicas=2,
        epochs=2,
        head_epochs=1,
        ema_decay=0.5,
        dropout=dropout,
    )
    recorder, starts = Stages(), stage_weights(loop.model)
    loop.run(lambda epoch: batches(13), lambda: loop.evaluate(batches(5)), [recorder])
    alone, whole = recorder.epochs
    for stage in STAGES[:-1]:
        assert largest_difference(starts[stage], alone[stage]) == 0, stage
        assert largest_difference(alone[stage], whole[stage]) > 1e-6, stage
    assert largest_difference(starts["fc"], alone["fc"]) > 1e-6
    assert loop.num_traces == 3  # the classifier's training, the whole network's, evaluation


def test_what_follows_the_classifier_is_as_a_run_of_its_own():
    """The same weights as of a run that starts from those and knows of no epochs before."""
    options = {"policy": "float64", "strategy": "one", "warmup_epochs": 1.0}
    first, second = Recorder(), Recorder()
    loop = small_loop(epochs=3, head_epochs=1, **options)
    loop.run(lambda epoch: batches(32), callbacks=[first])
    other = small_loop(epochs=2, **options)
    other.model.set_weights(first.weights[0])
    other.run(lambda epoch: batches(32), callbacks=[second])
    for left, right in zip(first.weights[1:], second.weights, strict=True):
        assert largest_difference(left, right) < 1e-12
    rates = [[logs["learning_rate"] for logs in recorder.logs] for recorder in (first, second)]
    peak = 0.004 * BATCH / 32
    assert rates[0] == pytest.approx([peak, *rates[1]]) and rates[1][0] == pytest.approx(peak)


def test_half_precision_learns_the_classifier_alone_too():
    loop = small_loop(
        policy="mixed_float16",
        precision="mixed_float16",
        epochs=2,
        head_epochs=1,
        layer_decay=0.5,
        warmup_epochs=0.0,
    )
    recorder, starts = Stages(), stage_weights(loop.model)
    loop.run(lambda epoch: batches(16), callbacks=[recorder])
    counts = [o.inner_optimizer.iterations.numpy() for o in (loop.head_optimizer, loop.optimizer)]
    assert counts == [2, 2] and loop.steps_done.numpy() == 4
    alone, whole = recorder.epochs
    assert largest_difference(starts["layer4"], alone["layer4"]) == 0
    assert largest_difference(starts["fc"], alone["fc"]) > 1e-6
    assert largest_difference(alone["layer4"], whole["layer4"]) > 1e-6


@pytest.mark.parametrize(
    "options, said",
    [
        ({"sync_bn": False, "base_batch_size": 4}, False),
        ({"sync_bn": False, "base_batch_size": 2}, True),
        ({"sync_bn": False, "base_batch_size": 2, "num_cpu_replicas": 2}, False),
        ({"sync_bn": True, "base_batch_size": 2}, False),
    ],
)
def test_statistics_of_other_than_the_published_clips_are_said(make_config, log, options, said):
    with pytest.raises(ValueError, match="absent"):
        train(make_config(**options, videos="absent"))  # which is looked at next
    message = "of the 4 clips that a replica.*base_batch_size=2 is.*--global_batch_size=2 gives"
    assert bool(re.search(message, log.text)) == said
    assert ("sync_bn=False" in log.text) == said


SHORT, LONG = 4, 8  # frames; the paper's Table 3 has 8 and 32


def test_a_run_goes_on_with_longer_clips(make_config, tiny_run, log):
    """The paper's Table 3, in small: all weights come along, the classifier too."""
    run = tiny_run(classes=("bright", "dark"))
    options = {"freeze_until": "layer4", "layer_decay": 0.5, "head_factor": 2.0, "epochs": 1}
    config = make_config(init_from=str(run), clip_frames=LONG, **options)
    assert (load_run(run)[0].clip_frames, config.clip_frames) == (SHORT, LONG)
    model = build_model(config, 2)
    load_start(model, config, find_start(config), ("bright", "dark"))
    before = load_run(run)[2]
    assert largest_difference(model.get_weights(), before.get_weights()) == 0
    train(config)
    assert "Learning rates over the schedule's: fc 2." in log.text  # none of frozen stages
    after = load_run(config.model_dir)[2]
    assert after.input_shape == (None, LONG, 32, 32, 3)
    assert largest_difference(after.get_weights()[:-2], before.get_weights()[:-2]) == 0
    assert largest_difference(after.get_weights()[-2:], before.get_weights()[-2:]) > 0


@pytest.mark.parametrize("classes", [("a", "b"), ("dark", "bright"), ("a", "b", "c")])
def test_other_classes_get_a_classifier_of_their_own(make_config, tiny_run, classes, log):
    config = make_config(init_from=str(tiny_run(classes=classes)))
    keras.utils.set_random_seed(3)
    model = build_model(config, 2)
    head = model.get_weights()[-2:]
    load_start(model, config, find_start(config), ("bright", "dark"))
    before = load_run(config.init_from)[2].get_weights()
    assert largest_difference(model.get_weights()[:-2], before[:-2]) == 0
    assert largest_difference(model.get_weights()[-2:], head) == 0
    assert f"classifier of {len(classes)} classes is left out" in log.text


def test_r2d_goes_on_with_its_own_clip_length_alone(make_config, tiny_run):
    run = str(tiny_run(variant="r2d_10"))
    assert find_start(make_config(init_from=run)).source.clip[0] == SHORT
    with pytest.raises(
        ConfigError, match=f"init_from=.*takes clips of {SHORT}.*--clip_frames={SHORT}"
    ):
        train(make_config(init_from=run, clip_frames=LONG))


def test_a_run_of_another_network_and_one_that_is_not_finished_are_refused(make_config, tiny_run):
    run = tiny_run()
    for name, value in (("variant", "r3d_10"), ("width_multiplier", 0.25)):
        with pytest.raises(ConfigError, match=f"has {name}=.*; got {value!r}. Give --{name}="):
            train(make_config(init_from=str(run), **{name: value}))
    pathlib.Path(run, "final.weights.h5").unlink()
    with pytest.raises(ConfigError, match="has not come to its end. Continue it with"):
        train(make_config(init_from=str(run)))


def test_a_run_whose_weights_are_damaged_is_named(make_config, tiny_run):
    """Whoever reads them; where the file is whole and of another network, too."""
    run, other = tiny_run(), tiny_run(variant="f_r2d_10")
    path = pathlib.Path(run, "final.weights.h5")
    path.write_bytes(pathlib.Path(other, path.name).read_bytes())
    config = make_config(init_from=str(run))
    with pytest.raises(ConfigError, match="init_from=.*do not fit.*and width_multiplier.$"):
        load_start(build_model(config, 8), config, find_start(config), load_run(other)[1])
    path.write_bytes(path.read_bytes()[:5000])
    said = f"{path} is damaged or cut off .* Delete it and get it again"
    with pytest.raises(ConfigError, match=f"init_from=.*: {said}"):
        find_start(config)
    for use in (evaluate, load_predictor, lambda run: export(run, run / "export")):
        with pytest.raises(ValueError, match=said):
            use(run)


def test_a_run_that_has_seen_the_test_videos_is_refused(make_config, tiny_run):
    run = str(tiny_run(dataset="ucf101", split=2))
    with pytest.raises(ConfigError, match="trained on split 2 of ucf101.*split 1 tests on"):
        find_start(make_config(init_from=run, dataset="ucf101", split=1))
    assert find_start(make_config(init_from=run, dataset="ucf101", split=2))
    assert find_start(make_config(init_from=run, dataset="hmdb51", split=1))


def test_a_checkpoint_is_read_once(make_config, tmp_path):
    path = tmp_path / "net.pkl"
    path.write_bytes(cached_rows.checkpoint())
    options = {"variant": cached_rows.VARIANT, "width_multiplier": 1.0, "weights": str(path)}
    config = make_config(**options)
    start, classes = find_start(config), tuple(map(str, range(cached_rows.NUM_CLASSES)))
    path.unlink()
    model = build_model(config, len(classes))
    load_start(model, config, start, classes)
    expected = cached_rows.arrays()["fc.bias"]
    np.testing.assert_array_equal(backend_variable(model.weights[-1]).numpy(), expected)
