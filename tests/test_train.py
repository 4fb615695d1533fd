import csv
import dataclasses
import math
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras import zoo
from r21d_keras.training.config import ConfigError, to_json
from r21d_keras.training.data.video import VideoError
from r21d_keras.training.loop import DivergedError
from r21d_keras.training.model_dir import build_model, load_run, save_weights
from r21d_keras.training.start import find_start, freeze, load_start
from r21d_keras.training.train import train
from r21d_keras.zoo import weights as published
from tests import cached_rows

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPTIONS = {"epochs": 3, "clips_per_epoch": 11, "steps_per_call": 2}  # of make_config

# Trains the configuration in argv[1]; dies in the middle of the epoch argv[2], counted from 0.
SCRIPT = """
import os, pathlib, signal, sys
import keras
from r21d_keras.training.config import from_json
from r21d_keras.training.train import train

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

train(from_json(pathlib.Path(sys.argv[1]).read_text("utf-8")), [Kill()])
"""


def history(config):
    with open(f"{config.model_dir}/history.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_leaves_all_its_files(make_config, capsys):
    config = make_config(validate_every=2)
    result = train(config)
    assert sorted(os.listdir(config.model_dir)) == [
        ".lock",
        "best.weights.h5",
        "checkpoints",
        "classes.txt",
        "config.json",
        "curves.png",
        "data.json",
        "events",
        "final.weights.h5",
        "history.csv",
        "progress.json",
    ]
    rows = history(config)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [bool(row["val_loss"]) for row in rows] == [False, True, True]  # the last one always
    assert float(rows[2]["val_loss"]) == pytest.approx(result["val_loss"], rel=1e-6)
    best = max(float(row["val_accuracy"]) for row in rows[1:])
    assert result["best_val_accuracy"] == pytest.approx(best)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    _, classes, model = load_run(config.model_dir, "final")
    assert classes == ("bright", "dark")
    probabilities = model(np.zeros((1, *config.clip_shape), np.float32)).numpy()
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(make_config, tmp_path):
    options = {"dropout": 0.5, "ema_decay": 0.9, "num_cpu_replicas": 2}
    whole, killed = make_config("whole", **options), make_config("killed", **options)
    train(whole)
    (tmp_path / "killed.json").write_text(to_json(killed), "utf-8")
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "killed.json"), "1"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert [row["epoch"] for row in history(killed)] == ["1"]
    assert not os.path.exists(f"{killed.model_dir}/final.weights.h5")
    train(killed)
    for which in ("best", "final"):
        pairs = [load_run(config.model_dir, which)[2].get_weights() for config in (whole, killed)]
        for left, right in zip(*pairs, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-6)
    timeless = [
        [{name: text for name, text in row.items() if name != "seconds"} for row in history(config)]
        for config in (whole, killed)
    ]
    for left, right in zip(*timeless, strict=True):
        assert {k: float(v) for k, v in left.items()} == pytest.approx(
            {k: float(v) for k, v in right.items()}, rel=1e-4
        )


def test_a_finished_run_answers_again_and_may_grow_but_not_change(make_config):
    result = train(make_config(epochs=1))
    again = train(make_config(epochs=1))
    assert {name: again[name] for name in result} == pytest.approx(result, rel=1e-6)
    with pytest.raises(ConfigError, match="seed was 0 and is now 1") as error:
        train(make_config(epochs=1, seed=1, num_readers=5))
    assert "num_readers" not in str(error.value)
    train(make_config(epochs=2))
    assert [row["epoch"] for row in history(make_config())] == ["1", "2"]
    with pytest.raises(ConfigError, match="epochs was 2 and is now 1"):
        train(make_config(epochs=1))


def test_without_validation_the_last_weights_are_the_best(make_config):
    config = make_config(epochs=1, validate_every=0)
    assert "best_val_accuracy" not in train(config)
    best, final = (
        load_run(config.model_dir, which)[2].get_weights() for which in ("best", "final")
    )
    assert all((left == right).all() for left, right in zip(best, final, strict=True))


def test_frozen_layers_stay_as_the_given_weights_have_them(make_config, tmp_path):
    keras.utils.set_random_seed(5)
    start = build_model(make_config(), 7)  # of other classes: the classifier is left out
    save_weights(start, tmp_path / "start.weights.h5")
    config = make_config(
        epochs=1, freeze_until="layer3", weights=str(tmp_path / "start.weights.h5")
    )
    train(config)
    model = load_run(config.model_dir, "final")[2]
    same = {
        layer.name: all(
            (left == right).all()
            for left, right in zip(
                layer.get_weights(), start.get_layer(layer.name).get_weights(), strict=True
            )
        )
        for layer in model.layers
        if layer.weights and layer.name != "fc"
    }
    assert all(value != name.startswith("layer4") for name, value in same.items()), same


def test_convolutions_are_computed_as_the_configuration_says(make_config):
    for compute in ("conv3d", "auto"):
        model = build_model(make_config(compute=compute), 2)
        asked = {layer.get_config()["compute"] for layer in model.layers if hasattr(layer, "pads")}
        assert asked == {compute}


def test_weights_of_the_same_classes_come_with_their_classifier(make_config, tmp_path):
    path = tmp_path / "start.weights.h5"
    start = build_model(make_config(), 3)
    save_weights(start, path)
    model, config = build_model(make_config(), 3), make_config(weights=str(path))
    load_start(model, config, find_start(config), ("a", "b", "c"))
    np.testing.assert_array_equal(model.get_weights()[-2], start.get_weights()[-2])
    other = make_config(weights=str(path), variant="r3d_10")
    with pytest.raises(ConfigError, match="do not fit r3d_10"):
        load_start(build_model(other, 3), other, find_start(other), ("a", "b", "c"))


def test_a_deeper_networks_weights_are_refused(make_config, tmp_path):
    path = tmp_path / "deep.weights.h5"
    save_weights(build_model(make_config(variant="r2plus1d_18"), 3), path)
    config = make_config(weights=str(path))
    with pytest.raises(ConfigError, match="do not fit r2plus1d_10"):
        load_start(build_model(config, 3), config, find_start(config), ("a", "b", "c"))


def test_a_run_starts_from_published_weights_by_tag(make_config, tmp_path, monkeypatch):
    row = cached_rows.row_of(labels=None)
    (tmp_path / row.file_name).write_bytes(cached_rows.checkpoint())
    monkeypatch.setattr(published, "WEIGHTS", (row,))
    for name, value in (("MIRROR", tmp_path), ("HOME", tmp_path / "home"), ("OFFLINE", "1")):
        monkeypatch.setenv(f"R21D_{name}", str(value))
    options = {"variant": row.variant, "weights": row.tag, "width_multiplier": 1.0}
    config = make_config(**options, epochs=1, freeze_until="layer4")
    train(config)
    trained, start = load_run(config.model_dir)[2], zoo.f_r2d_10(weights=row.tag)
    for layer in start.layers[:-1]:
        for old, new in zip(layer.weights, trained.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(old.numpy(), new.numpy())
    assert trained.output_shape == (None, 2)
    with pytest.raises(ConfigError, match="convention='torchvision': .*has 'paper'"):
        train(make_config("other", **options, convention="torchvision"))


class Spoil(keras.callbacks.Callback):
    """Empties a video after all have been checked."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def on_train_begin(self, logs=None):
        for path in self.folder.rglob("bright_*.mp4"):
            path.write_bytes(b"")


def test_files_that_go_bad_in_mid_run_end_it_only_on_demand(
    make_config, tiny_videos, tmp_path, log
):
    videos = tmp_path / "videos"
    for on_bad_video in ("stop", "check"):
        shutil.copytree(tiny_videos, videos, dirs_exist_ok=True)
        options = {"epochs": 1, "videos": str(videos), "on_bad_video": on_bad_video}
        config = make_config(on_bad_video, **options)
        if on_bad_video == "stop":
            with pytest.raises(VideoError, match="bright_"):
                train(config, [Spoil(videos)])
        else:
            train(config, [Spoil(videos)])
    assert "could not be read in mid-run" in log.text


@pytest.mark.parametrize("weights", ["kinetics500", "absent.weights.h5"])
def test_unknown_weights_are_refused_before_any_work(make_config, tmp_path, weights):
    with pytest.raises(ConfigError, match=f"weights='{weights}'"):
        train(make_config(weights=weights))
    assert not os.path.exists(tmp_path / "run")


def test_a_text_file_is_no_weights(make_config, tmp_path):
    path = tmp_path / "text.weights.h5"
    path.write_text("no weights", "utf-8")
    with pytest.raises(ConfigError, match="format"):
        find_start(make_config(weights=str(path)))


def test_freezing_names_the_stages_there_are(make_config):
    with pytest.raises(
        ConfigError, match="Expected one of stem, layer1, layer2, layer3, layer4, fc"
    ):
        freeze(build_model(make_config(), 2), "layer5")
    with pytest.raises(ConfigError, match="leaves no weights"):
        freeze(build_model(make_config(), 2), "fc")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"model_dir": ""}, "model_dir=''"),
        ({"epochs": 1, "warmup_epochs": 2.0}, "warmup_epochs=2"),
        ({"global_batch_size": 1, "num_cpu_replicas": 2}, "less than the 2 replicas"),
    ],
)
def test_what_cannot_be_run_is_said_before_any_work(make_config, options, message):
    with pytest.raises(ConfigError, match=message):
        train(dataclasses.replace(make_config(), **options))


def test_the_policy_is_as_before_also_after_a_failure(make_config):
    config = make_config(epochs=1, precision="mixed_bfloat16", base_learning_rate=1e30)
    with pytest.raises(DivergedError, match="base_learning_rate"):
        train(config)
    assert keras.mixed_precision.global_policy().name == "float32"


def test_a_run_that_diverges_in_its_last_step_keeps_nothing(make_config):
    config = make_config(epochs=1, clips_per_epoch=4, base_learning_rate=1e30)
    with pytest.raises(DivergedError, match="in epoch 1"):
        train(config)
    kept = [path.name for path in pathlib.Path(config.model_dir).rglob("*.*")]
    assert not [name for name in kept if name.endswith((".h5", ".index")) or "history" in name]


def test_tensorboard_has_the_scalars(make_config):
    config = make_config(epochs=1)
    train(config)
    tags = set()
    for path in pathlib.Path(config.model_dir, "events").rglob("*tfevents*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            tags |= {value.tag for value in event.summary.value}
    assert {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"} <= tags
    assert math.isfinite(float(history(config)[0]["loss"]))
