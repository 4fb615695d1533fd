"""A run whose classifier is trained first, killed in both phases: it ends as if it had not been."""

import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest

from r21d_keras.training.config import ConfigError, to_json
from r21d_keras.training.history import read_history
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.train import train

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPTIONS = {  # of make_config
    "epochs": 4,
    "head_epochs": 2,
    "head_factor": 2.0,
    "layer_decay": 0.5,
    "warmup_epochs": 1.0,
    "clips_per_epoch": 8,
    "steps_per_call": 1,
    "dropout": 0.25,
    "ema_decay": 0.9,
    "variant": "f_r2d_10",
}

# Trains the configuration in argv[1] in this process, and dies after the first step of the epoch
# argv[2], counted from 0.
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


def kill_in(config, epoch, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(to_json(config), "utf-8")
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path), str(epoch)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert len(read_history(pathlib.Path(config.model_dir, "history.csv"))) == epoch


def test_a_run_killed_before_at_and_after_the_change_ends_as_if_it_was_not(
    make_config, tiny_run, tmp_path
):
    start = {"init_from": str(tiny_run(variant=OPTIONS["variant"]))}
    whole, killed = make_config("whole", **start), make_config("killed", **start)
    train(whole)
    kill_in(killed, 1, tmp_path)  # the classifier alone
    kill_in(killed, 2, tmp_path)  # after the change, from the state before it
    kill_in(killed, 3, tmp_path)  # all layers, from a state with their momentum
    train(killed)
    for which in ("best", "final"):
        pairs = [load_run(config.model_dir, which)[2].get_weights() for config in (whole, killed)]
        for left, right in zip(*pairs, strict=True):
            np.testing.assert_allclose(left, right, atol=1e-6)
    rows = [read_history(pathlib.Path(c.model_dir, "history.csv")) for c in (whole, killed)]
    for left, right in zip(*rows, strict=True):
        for name in ("loss", "learning_rate", "val_loss"):
            np.testing.assert_allclose(float(left[name]), float(right[name]), rtol=1e-4)


def test_a_classifier_alone_may_go_on_with_all_layers(make_config, tiny_run, tmp_path):
    """A linear probe that is grown: the epochs that follow train all. Where it began has moved."""
    start = {"init_from": str(tiny_run(variant=OPTIONS["variant"])), "ema_decay": 0.0}

    def trained(name, epochs):
        config = make_config(name, **start, epochs=epochs)
        train(config)
        return load_run(config.model_dir)[2].get_weights()

    before = load_run(start["init_from"])[2].get_weights()
    probe = trained("grown", 2)
    assert all((a == b).all() for a, b in zip(probe[:-2], before[:-2], strict=True))
    whole = trained("whole", 3)
    pathlib.Path(start["init_from"]).rename(tmp_path / "moved")
    grown = trained("grown", 3)
    assert max(np.abs(a - b).max() for a, b in zip(grown[:-2], before[:-2], strict=True)) > 1e-6
    for left, right in zip(grown, whole, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)
    with pytest.raises(ConfigError, match="init_from=.* holds no training run"):
        make_config("anew", **start)
