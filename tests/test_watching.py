"""Runs of `r21d train` as seen from outside: killed, started again, finished, failed."""

import os
import pathlib
import signal
import subprocess
import sys

import keras
import pytest

from r21d_keras.training import cli
from r21d_keras.training.callbacks.watching import Watching
from r21d_keras.training.config import to_json
from r21d_keras.training.heartbeat import read_heartbeat
from r21d_keras.training.loop import DivergedError
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.status import read_status
from r21d_keras.training.train import train
from tests.loops import linear_model, make_loop

ROOT = pathlib.Path(__file__).resolve().parent.parent
OPTIONS = {  # of make_config
    "variant": "f_r2d_10",
    "crop_size": 16,
    "epochs": 3,
    "clips_per_epoch": 8,
    "steps_per_call": 1,
}

# Trains the configuration in argv[1]; says so after the first step of epoch 2, and hangs there.
SCRIPT = """
import pathlib, sys, time
import keras
from r21d_keras.training.config import from_json
from r21d_keras.training.train import train

class Hang(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.epoch == 1:
            print("hangs", flush=True)
            time.sleep(600)

train(from_json(pathlib.Path(sys.argv[1]).read_text("utf-8")), [Hang()])
"""


class Look(keras.callbacks.Callback):
    """Notes what `r21d status` would say."""

    def __init__(self, config):
        super().__init__()
        self.folder, self.statuses = pathlib.Path(config.model_dir), []

    def on_train_begin(self, logs=None):
        self.statuses.append(read_status(self.folder))

    def on_epoch_end(self, epoch, logs=None):
        self.statuses.append(read_status(self.folder))


def test_a_run_that_is_killed_and_started_again(make_config, tmp_path, capsys):
    config = make_config()
    folder = ModelDir(pathlib.Path(config.model_dir))
    assert read_status(folder.root).state == "not begun"
    (tmp_path / "run.json").write_text(to_json(config), "utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run.json")],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert any(line == "hangs\n" for line in process.stdout)
        status = read_status(folder.root)
        assert (status.state, status.epochs_done, status.epochs) == ("training", 1, 3)
        assert (status.heartbeat.pid, status.heartbeat.epoch) == (process.pid, 2)
        assert cli.main(["status", config.model_dir]) == 3
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert cli.main(["status", config.model_dir]) == 5
    assert "was killed while training" in capsys.readouterr().out

    look = Look(config)
    train(config, [look])
    assert [(s.state, s.epochs_done, s.heartbeat.epoch) for s in look.statuses] == [
        ("starting", 1, 2),
        ("training", 2, 2),
        ("training", 3, 3),
    ]
    assert all(s.heartbeat.pid == os.getpid() for s in look.statuses)
    assert cli.main(["status", config.model_dir]) == 0
    assert read_status(folder.root).epochs_done == 3
    assert not list(folder.root.glob(".partial.*"))

    train(config)  # nothing is left to be done
    assert read_status(folder.root).state == "finished"


def test_a_run_that_fails_says_why(make_config):
    config = make_config(base_learning_rate=1e30)
    with pytest.raises(DivergedError):
        train(config)
    status = read_status(pathlib.Path(config.model_dir))
    assert status.state == "stopped" and "base_learning_rate" in status.reason


def test_speed_and_profile_lie_with_the_other_events(make_config):
    config = make_config(epochs=1, profile_steps="2,2", validate_every=0)
    train(config)
    folder = ModelDir(pathlib.Path(config.model_dir))
    assert {path.name for path in folder.events.iterdir()} == {"train", "speed", "plugins"}
    (profile,) = folder.events.glob("plugins/profile/*/*.xplane.pb")
    assert profile.stat().st_size > 1000
    assert read_heartbeat(folder).steps_per_epoch == 2


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path):
    loop = make_loop(linear_model, profile_steps="1,2")
    with Watching(loop, ModelDir(tmp_path), 8, validates=True, writes=False) as watching:
        assert watching.callbacks == [] and watching.validated() is None
    assert list(tmp_path.iterdir()) == []
    chief = Watching(loop, ModelDir(tmp_path), 8, validates=True, writes=True)
    assert len(chief.callbacks) == 3
