"""SIGTERM before a run has begun to train: the same exit code as amid an epoch."""

import os
import signal
import subprocess
import sys

import pytest

from r21d_keras.training.commands.command import PREEMPTED
from r21d_keras.training.state.interruption import Preempted, ending_at_once


def test_sigterm_before_the_first_step_has_the_code_of_one_amid_an_epoch(tmp_path):
    """The command reads its options from a pipe to which nobody writes."""
    pipe = tmp_path / "options.json"
    os.mkfifo(pipe)
    command = [sys.executable, "-m", "r21d_keras.training.cli", "train"]
    command += [f"--config_file={pipe}", f"--model_dir={tmp_path / 'run'}"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    with open(pipe, "w", encoding="utf-8"):  # opens when the other end does
        process.send_signal(signal.SIGTERM)
        _, error = process.communicate(timeout=120)
    assert process.returncode == PREEMPTED
    (line,) = error.splitlines()
    assert line.startswith("r21d train: asked to end by SIGTERM while nothing was being trained.")
    assert not (tmp_path / "run").exists()


def test_the_signal_is_given_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Preempted), ending_at_once():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
