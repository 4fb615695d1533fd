import dataclasses
import json
import os
import subprocess
import sys

import pytest
from absl import flags
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.config import (
    FIELDS,
    ConfigError,
    TrainConfig,
    from_json,
    to_json,
    typed,
    validate,
)
from r21d_keras.training.data.augmentation_options import OF_COLORS
from r21d_keras.training.data.catalog import DATASETS
from r21d_keras.training.data.listings import PLACES
from r21d_keras.training.recipes import RECIPES, define_flags, given_flags, resolve
from r21d_keras.zoo.weights import get_weights

FREE = ("crop_size", "resize_height", "resize_width", "variant", "convention", "init_from")
FREE += ("head_epochs", "split", "optimizer", "optimizer_options", "swa_epochs", "swa_every")
FREE += ("profile_steps", "gradient_accumulation_steps")


def any_value(field):
    limits, kind = field.metadata, type(field.default)
    if "choices" in limits:
        return st.sampled_from(limits["choices"])
    low = limits.get("low", limits.get("above", 0) + 0.25)
    numbers = st.floats(low, min(limits.get("high", low + 0.5), low + 0.5))
    return {
        bool: st.booleans(),
        int: st.integers(int(low), int(low) + 2),
        float: numbers,
        str: st.text().filter(lambda text: "://" not in text),  # no URLs, which few fields take
        tuple: st.tuples(numbers, numbers, numbers),
    }[kind]


def unread(config):
    """Flags of places that the data set does not read."""
    return set(PLACES) - set(DATASETS[config.dataset].places)


fields = {name: any_value(f) for name, f in FIELDS.items() if name not in FREE}
rgb, flow = (
    {"stream": st.just(stream), "mean": st.tuples(*numbers), "std": st.tuples(*numbers)}
    for stream, numbers in (("rgb", [st.floats(0.25, 1)] * 3), ("flow", [st.floats(0.25, 9)] * 2))
)
flow |= dict.fromkeys(OF_COLORS, st.just(0.0))
configs = (st.builds(TrainConfig, **fields | rgb) | st.builds(TrainConfig, **fields | flow)).map(
    lambda config: dataclasses.replace(config, **dict.fromkeys(unread(config), ""))
)


@given(configs)
def test_json_gives_back_an_equal_configuration(config):
    assert from_json(to_json(config)) == config


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_has_a_help_text_and_a_default_of_its_type(name):
    field = FIELDS[name]
    assert field.metadata["help"]
    assert typed({name: field.default}) == {name: field.default}


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_is_a_valid_configuration(name):
    assert from_json(to_json(resolve(name))) == resolve(name)


def test_flags_come_over_the_file_and_the_file_over_the_recipe(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('epochs = 7\nseed = 5\nvariant = "mc3_10"\n', "utf-8")
    config = resolve("demo", str(path), {"seed": 6})
    assert (config.dataset, config.crop_size) == ("motion", RECIPES["demo"]["crop_size"])
    assert (config.epochs, config.variant, config.seed) == (7, "mc3_10", 6)


def test_the_configuration_of_a_run_is_itself_a_file_to_start_from(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(to_json(resolve("ucf101_small_cpu")), "utf-8")
    assert resolve("default", str(path)) == resolve("ucf101_small_cpu")


def test_only_given_flags_override():
    values = flags.FlagValues()
    define_flags(values)
    values(["r21d", "--epochs=3", "--mean=.1,.2,.3", "--nonesterov", "--warmup_epochs=1"])
    assert given_flags(values) == {
        "epochs": 3,
        "mean": [0.1, 0.2, 0.3],
        "nesterov": False,
        "warmup_epochs": 1.0,
    }
    assert resolve(overrides=given_flags(values)).mean == (0.1, 0.2, 0.3)


def test_a_list_flag_of_words_is_an_error():
    values = flags.FlagValues()
    define_flags(values)
    values(["r21d", "--std=a,b,c"])
    with pytest.raises(ConfigError, match="--std=a,b,c: expected 2 or 3 numbers"):
        given_flags(values)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"lerning_rate": 1}, "Unknown option 'lerning_rate'. Did you mean 'base_learning_rate'"),
        ({"zzzzzz": 1}, "Known: .*dataset, "),
        ({"epochs": 1.5}, "epochs=1.5: expected int, got float"),
        ({"epochs": True}, "epochs=True: expected int, got bool"),
        ({"nesterov": 1}, "nesterov=1: expected bool"),
        ({"momentum": "0.9"}, "momentum='0.9': expected float, got str"),
        ({"mean": [0.1]}, "expected 2 or 3 numbers"),
        ({"mean": [0.1, 0.2]}, "mean=.* has 2 numbers; expected 3, one for each channel of stream"),
        ({"std": [0.1, 0.2, 1.5]}, "std=.*: expected numbers from 0 to 1, as R, G and B"),
        ({"epochs": 0}, "epochs=0: expected at least 1"),
        ({"base_learning_rate": 0.0}, "base_learning_rate=0.0: expected more than 0"),
        ({"base_learning_rate": float("nan")}, "expected a finite number"),
        ({"base_learning_rate": float("inf")}, "expected a finite number"),
        ({"dropout": 1.0}, "dropout=1.0: expected at most 0.99"),
        ({"std": [0.1, 0.0, 0.1]}, "std=.*: expected more than 0"),
        ({"schedule": "linear"}, "schedule='linear': expected one of step, cosine, constant"),
        ({"variant": "r2plus1d_19"}, "variant: Unknown variant 'r2plus1d_19'"),
        ({"convention": "x"}, "convention: Unknown convention"),
        ({"crop_size": 200}, "crop_size=200 does not fit in frames of 128x171"),
        ({"freeze_until": "layer3"}, "weights='none' would keep random layers"),
        ({"compute": "rows"}, "compute='rows': expected one of auto, conv3d"),
        ({"epochs": 5}, "warmup_epochs=10 is more than epochs=5"),
        (
            {"videos": "mine"},
            "'motion' does not read videos='mine'; it reads no place.*=ucf101\\|hmdb",
        ),
        (
            {"dataset": "folder", "splits": "x"},
            "'folder' does not read splits='x'; it reads videos",
        ),
        ({"dataset": "csv", "videos": "x"}, "'csv' does not read videos='x'; it reads manifest"),
    ],
)
def test_wrong_options_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        resolve(overrides=values)


def test_all_that_is_wrong_is_in_one_error():
    with pytest.raises(ConfigError) as error:
        validate(dataclasses.replace(TrainConfig(), clip_frames=0, split=4, precision="int8"))
    assert len(str(error.value).splitlines()) == 3


def test_an_unknown_recipe_lists_the_known_ones():
    with pytest.raises(ConfigError, match="Unknown recipe 'x'. Known: default, demo"):
        resolve("x")


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("a.json", "{", "cannot be read as a configuration"),
        ("a.toml", "epochs", "cannot be read as a configuration"),
        ("a.json", "[1]", "expected option names with values, got list"),
        ("a.yaml", "epochs: 1", "ending in .json or .toml"),
        ("a.json", '{"epoch": 1}', r"Unknown option 'epoch' in .*a.json. Did you mean 'epochs'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, name, text, message):
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        resolve(config_file=str(tmp_path / name))


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_configuration_that_is_no_object_is_refused(text):
    with pytest.raises(ConfigError, match="expected option names with values, got"):
        from_json(text)


@pytest.mark.parametrize("command", ["train", "evaluate", "export", "predict", "demo"])
@pytest.mark.parametrize("by", ["variable", "file"])
def test_another_backend_is_refused_before_it_is_imported(command, by, tmp_path):
    (tmp_path / "keras.json").write_text('{"backend": "jax"}', "utf-8")
    asked = {"KERAS_BACKEND": "jax"} if by == "variable" else {"KERAS_HOME": str(tmp_path)}
    environ = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run(
        [sys.executable, "-m", "r21d_keras.training.cli", command, "--verbosity=0"]
        + {"demo": ["--out=x"], "train": ["--model_dir=x"]}.get(command, []),
        env={**environ, "PYTHONPATH": os.pathsep.join(sys.path), **asked},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode and done.stderr.count("\n") == 1
    named = {"variable": "KERAS_BACKEND=jax", "file": str(tmp_path / "keras.json")}[by]
    assert named in done.stderr and "need KERAS_BACKEND=tensorflow" in done.stderr


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="absent.json: cannot be read"):
        resolve(config_file=str(tmp_path / "absent.json"))


def test_a_tag_brings_the_numbers_of_its_weights_and_flags_override_them():
    tag = {"variant": "r2plus1d_18", "weights": "kinetics400_16f_gluoncv"}
    config = resolve(overrides=tag)
    assert (config.convention, config.clip_frames, config.mean[0]) == ("torchvision", 16, 0.485)
    config = resolve(overrides={**tag, "clip_frames": 32, "mean": [0.5, 0.5, 0.5]})
    assert (config.convention, config.clip_frames, config.mean) == ("torchvision", 32, (0.5,) * 3)
    deep = {"variant": "r2plus1d_152", "weights": "ig65m_kinetics400_32f_gluoncv"}
    assert resolve(overrides=deep).resize_width == 170  # its shorter side of 128, as 4:3


def test_a_file_that_was_converted_from_published_weights_brings_their_numbers(tmp_path):
    row = get_weights("r2plus1d_18", "kinetics400_16f_gluoncv")
    card = {"source": row.file_name, "source_sha256": "0" * 64, "input_shape": [None] * 3 + [3]}
    (tmp_path / "mine.json").write_text(json.dumps(card), "utf-8")
    path = tmp_path / "mine.weights.h5"
    path.touch()
    options = {"variant": "r2plus1d_18", "weights": str(path)}
    assert resolve(overrides=options).mean == row.preprocessing.mean
    torchvision = get_weights("r2plus1d_18", "kinetics400_16f_torchvision")
    card["source"] = torchvision.file_name  # of that name, with another hash
    (tmp_path / "mine.json").write_text(json.dumps(card), "utf-8")
    assert resolve(overrides=options).convention == "paper"


def test_a_tag_that_cannot_start_a_run_is_refused():
    with pytest.raises(ConfigError, match="there are none of r2plus1d_10 here"):
        resolve(overrides={"variant": "r2plus1d_10", "weights": "kinetics400"})


FLOW_TAG = {"variant": "r2plus1d_34", "weights": "sports1m_kinetics400_32f_flow"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FLOW_TAG, "take flow, and stream='rgb'. Give --stream=flow, or .* --channels=3"),
        (
            {"variant": "r2plus1d_18", "weights": "kinetics400_16f", "stream": "flow"},
            "take RGB, and stream='flow'. Give --stream=rgb, or .* --channels=2",
        ),
        ({"stream": "flow", "jitter_color": 0.1}, "jitter_color=0.1 with stream='flow': flow has"),
        ({"stream": "flow", "mean": [0.1, 0.1, 0.1]}, "has 3 numbers; expected 2"),
        ({"stream": "depth"}, "stream='depth': expected one of rgb, flow"),
    ],
)
def test_streams_are_not_taken_for_each_other(options, message):
    with pytest.raises(ConfigError, match=message):
        resolve(overrides=options)


@pytest.mark.parametrize("start", [{}, FLOW_TAG])
def test_a_flow_run_has_the_papers_numbers(start):
    config = resolve(overrides={**start, "stream": "flow"})
    numbers = get_weights(*FLOW_TAG.values()).preprocessing
    assert config.preprocessing == numbers
    frames = 32 if start else 16
    assert config.clip_shape == (frames, 112, 112, 2) and config.flow_method == "farneback"


@pytest.mark.parametrize(
    ("dataset", "has"), [("folder", "one split, 1"), ("hmdb51", "splits 1, 2, 3")]
)
def test_splits_that_a_data_set_does_not_have(dataset, has):
    with pytest.raises(ConfigError, match=f"split=4: {dataset} has {has}"):
        validate(TrainConfig(dataset=dataset, split=4))
