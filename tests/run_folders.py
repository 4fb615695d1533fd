"""Folders as runs leave them, without a run."""

import os
import socket
import subprocess
import sys

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.heartbeat import Heartbeat, write_heartbeat
from r21d_keras.training.run_folder import ModelDir

NOW_S = 1_700_000_000.0
HISTORY = (
    "epoch,loss,accuracy,learning_rate,val_loss,val_accuracy,seconds\n"
    "1,2.0,0.25,0.01,1.9,0.5,3.0\n"
    "2,1.0,0.5,0.005,1.2,0.5,3.0\n"
)


def run_folder(root):
    """The folder of a run of four epochs that has done two."""
    folder = ModelDir(root)
    folder.write_run(TrainConfig(epochs=4, warmup_epochs=0.0), ("a", "b"))
    folder.history.write_text(HISTORY, "utf-8")
    return folder


def dead_process():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def beat(folder, **values):
    """Writes progress.json as of a run in its third epoch, in this process."""
    values = {
        "phase": "training",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "began_at": NOW_S - 3600,
        "beat_at": NOW_S - 1,
        "moved_at": NOW_S - 3,
        "usual_s": 2.0,
        "epoch": 3,
        "epochs": 4,
        "step": 25,
        "steps_per_epoch": 100,
        "replicas": 2,
        "clips_per_second": 41.26,
        "input_wait": 0.126,
        "seconds_left": 5000.0,
        "metrics": {"loss": 0.75, "accuracy": 0.625},
        **values,
    }
    write_heartbeat(folder, Heartbeat(**values))
