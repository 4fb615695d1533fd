"""Runs that are killed or asked to end amid an epoch, and go on as if nothing had been."""

import json
import pathlib
import re
import signal

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.commands.command import DONE, INTERRUPTED, PREEMPTED
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import BadVideos, epoch_order
from r21d_keras.training.data.video import VideoError
from r21d_keras.training.history import read_history
from r21d_keras.training.loop import DivergedError
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.divergence import videos_of_batch
from r21d_keras.training.train import train
from tests import processes
from tests.conftest import SMALL_RUN

OPTIONS = {  # three steps an epoch, the last a short one
    **SMALL_RUN,
    "variant": "f_r2d_10",
    "clips_per_epoch": 10,
    "crop_size": 16,
    "resize_height": 20,
    "resize_width": 26,
    "steps_per_call": 2,
    "checkpoint_interval": 1,
    "dropout": 0.5,
    "ema_decay": 0.9,
}


def arguments(videos, model_dir, **options):
    """Of the command line."""
    values = {**OPTIONS, "videos": videos, "model_dir": model_dir, **options}
    return ["train", "--recipe=demo", *(f"--{name}={value}" for name, value in values.items())]


def tensors(root):
    """All that the last checkpoint of a run holds, by name, but its header, which has its paths."""
    reader = tf.train.load_checkpoint(tf.train.latest_checkpoint(str(root / "checkpoints")))
    names = [name for name in reader.get_variable_to_shape_map() if "OBJECT_GRAPH" not in name]
    return {name: reader.get_tensor(name) for name in names if not name.startswith("header")}


def history(root):
    rows = read_history(ModelDir(root).history)
    return [{name: text for name, text in row.items() if name != "seconds"} for row in rows]


def test_a_run_ends_with_the_numbers_of_one_that_nothing_has_happened_to(tiny_videos, tmp_path):
    whole, other, said = tmp_path / "whole", tmp_path / "other", tmp_path / "said"
    assert processes.run(arguments(tiny_videos, whole), tmp_path / "whole.txt") == DONE
    for epoch, step, number, code in (
        (0, 1, signal.SIGKILL, -signal.SIGKILL),
        (0, 1, signal.SIGTERM, PREEMPTED),
        (1, 0, signal.SIGINT, INTERRUPTED),
        (1, 2, signal.SIGKILL, -signal.SIGKILL),
        (9, 9, 0, DONE),
    ):
        ends = [(epoch, step, number)]
        assert processes.run(arguments(tiny_videos, other), said, ends) == code, said.read_text()
    text = said.read_text("utf-8")
    assert "SIGTERM: the run ends after this call.\n" in text
    kept = re.escape(f"The run is kept in {other} as it was after step ")
    assert re.search(f"r21d train: asked to end by SIGTERM. {kept}2 of epoch 1; start it", text)
    assert re.search(f"r21d train: interrupted. {kept}1 of epoch 2; start it again", text)
    places = ("step 1 of epoch 1", "step 2 of epoch 1", "step 1 of epoch 2", "step 2 of epoch 2")
    assert re.findall("Continuing after (.*).\n", text) == [*places]
    assert history(whole) == history(other)
    left, right = tensors(whole), tensors(other)
    assert left.keys() == right.keys() and len(left) > 100
    for name in left:  # to the last bit: weights, momentum, averages, counts
        np.testing.assert_array_equal(left[name], right[name], name)
    for which in ("best", "final"):
        left, right = (load_run(root, which)[2].get_weights() for root in (whole, other))
        for one, another in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, another)


def test_a_divergence_names_the_step_the_videos_and_the_last_good_state(make_config):
    config = make_config(**OPTIONS | {"base_learning_rate": 1e25, "global_batch_size": 5})
    with pytest.raises(DivergedError, match="loss became infinite or no number") as error:
        train(config)
    folder = ModelDir(pathlib.Path(config.model_dir))
    epoch, step = error.value.epoch, error.value.step
    told = json.loads(folder.diverged.read_text("utf-8"))
    assert (told["epoch"], told["step"]) == (epoch + 1, step + 1)
    videos = load_dataset(config, "train")
    order = epoch_order(videos, config, epoch)[5 * step : 5 * step + 5]
    assert told["videos"] == [videos.paths[index] for index in order]
    assert told["checkpoint"] == tf.train.latest_checkpoint(str(folder.checkpoints))
    text = str(error.value)
    batch = f"{', '.join(told['videos'][:4])} and 1 more, all in {folder.diverged}"
    assert f"The batch was of {batch}. " in text
    assert f"The last good checkpoint is {told['checkpoint']}.*. Try a smaller" in text


def test_a_file_that_was_replaced_is_not_blamed(make_config, tiny_videos):
    config = make_config(**OPTIONS)
    videos, bad = load_dataset(config, "train"), BadVideos()
    first, second = (int(index) for index in epoch_order(videos, config, 0)[:2])
    bad.add(VideoError(videos.paths[first], "it is gone"))
    found = videos_of_batch(videos, config, 0, 0, bad)
    after = videos.paths[(first + 1) % len(videos)]
    assert found[0] == after and found[1] == videos.paths[second] and len(found) == 4
    assert videos_of_batch(videos, config, 0, None, bad) == []
