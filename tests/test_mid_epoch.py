"""Runs that end amid an epoch, and go on: every number is that of a run that did not."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.history import read_history
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.train import train

OPTIONS = {  # of make_config: three steps an epoch, the last a short one
    "clips_per_epoch": 10,
    "crop_size": 16,
    "resize_height": 20,
    "resize_width": 26,
    "steps_per_call": 2,
    "checkpoint_interval": 1,
    "epochs": 2,
    "dropout": 0.5,
    "ema_decay": 0.9,
}


class Stop(keras.callbacks.Callback):
    """Ends a run by an error, as early as may be after the state is kept at a place."""

    def __init__(self, epoch, step):
        super().__init__()
        self.place, self.epoch = (epoch, step), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise RuntimeError("stopped")


def tensors(config):
    """All that the newest checkpoint of a run holds, by name; but its header, with its paths."""
    path = tf.train.latest_checkpoint(str(ModelDir(pathlib.Path(config.model_dir)).checkpoints))
    reader = tf.train.load_checkpoint(path)
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: reader.get_tensor(name) for name in names if not name.startswith("header")}


def history(config):
    rows = read_history(ModelDir(pathlib.Path(config.model_dir)).history)
    return [{name: text for name, text in row.items() if name != "seconds"} for row in rows]


def test_a_run_that_stops_at_every_step_ends_as_one_that_does_not(make_config):
    whole, stopped = make_config("whole"), make_config("stopped")
    train(whole)
    for place in ((0, 1), (0, 2), (1, 0), (1, 1), (1, 2)):
        with pytest.raises(RuntimeError, match="stopped"):
            train(stopped, [Stop(*place)])
    train(stopped)
    assert history(whole) == history(stopped)
    left, right = tensors(whole), tensors(stopped)
    assert left.keys() == right.keys() and len(left) > 100
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], name)
