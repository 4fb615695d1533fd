"""Clips by way of a tf.data service: a real dispatcher and two workers, processes of their own."""

import contextlib
import dataclasses
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import BadVideos, train_batches
from r21d_keras.training.distribution.lost import WorkerLostError
from r21d_keras.training.distribution.slices import Part
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.records import service
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.train import train
from tests.preparing import plan_of
from tests.workers import free_ports

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The sizes of tests/preparing.py's records.
SIZES = {"resize_height": 24, "resize_width": 32, "crop_size": 16, "clip_frames": 4}
OPTIONS = {"clips_per_epoch": 10, "global_batch_size": 4, "num_readers": 1, **SIZES}


@pytest.fixture(scope="module")
def records(tiny_videos, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    prepare(plan_of(tiny_videos), folder, processes=1)
    return folder


@contextlib.contextmanager
def served():
    """The address of a dispatcher with two workers, and these three processes."""
    (port,) = free_ports(1)
    script = [sys.executable, str(ROOT / "examples" / "data_service.py")]
    processes = []
    with contextlib.ExitStack() as held:
        for arguments in ([str(port)], *2 * [["0", f"localhost:{port}"]]):
            process = subprocess.Popen([*script, *arguments], stdout=subprocess.PIPE, text=True)
            processes.append(held.enter_context(process))
            held.callback(process.kill)
            assert process.stdout.readline().split()[0] in ("dispatcher", "worker")
        yield f"localhost:{port}", processes


@pytest.fixture(scope="module")
def address():
    with served() as (address, _):
        yield address


@pytest.mark.parametrize("part, first_step", [(Part(), 0), (Part(0, 1, 2), 1), (Part(2, 3, 3), 0)])
def test_clips_are_those_of_the_training_without_it(
    make_config, records, address, monkeypatch, part, first_step
):
    monkeypatch.setattr(service, "BLOCK", 2)  # steps: 4, 4 and 2 clips are two blocks
    config = make_config(records=str(records), videos="", data_service=address)
    videos = load_dataset(config, "train")
    service.check_service(videos, config)
    found = list(service.service_batches(videos, config, 1, BadVideos(), first_step, part))
    expected = list(train_batches(videos, config, 1, None, first_step, part))
    assert len(found) == len(expected) == 3 - first_step
    for one, other in zip(found, expected, strict=True):
        for got, wanted in zip(one, other, strict=True):
            assert got.dtype == wanted.dtype
            np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"records": "", "data_service": "localhost:1"}, "reads records of RGB"),
        ({"jitter_color": 0.1}, "mirrors and crops clips alone"),
        ({"resize_height": 20, "resize_width": 20}, "kept at 24x32 and wanted at 20x20"),
        ({"data_service": "localhost:1"}, "no dispatcher answers there"),
        ({"data_service": "nowhere"}, "no dispatcher answers there"),
    ],
)
def test_what_the_service_cannot_do_is_said_before_training(
    make_config, tiny_videos, records, address, options, message
):
    config = make_config(**{"records": str(records), "data_service": address, **options})
    config = dataclasses.replace(config, videos=str(tiny_videos) if not config.records else "")
    videos = load_dataset(config, "train")
    with pytest.raises(ConfigError, match=message):
        service.check_service(videos, config)


def test_a_training_by_way_of_it_ends_with_the_same_weights(make_config, records, address):
    weights = []
    for where in ("", address):
        name = "with" if where else "without"
        config = make_config(name, records=str(records), videos="", data_service=where, epochs=1)
        train(config)
        weights.append(load_run(config.model_dir)[2].get_weights())
    for left, right in zip(*weights, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("killed", [1, 2])
def test_killed_workers_of_the_service_end_the_training_in_time(make_config, records, killed):
    with served() as (address, processes):
        config = make_config(records=str(records), videos="", data_service=address)
        config = dataclasses.replace(config, worker_timeout_s=10.0, clips_per_epoch=4000)
        videos, ended = load_dataset(config, "train"), BadVideos()
        batches = iter(service.service_batches(videos, config, 0, ended, 0, Part()))
        next(batches)
        for process in processes[-killed:]:
            process.kill()
        try:
            left = len(list(batches))
        except tf.errors.OpError:
            assert isinstance(ended.fatal, WorkerLostError)
            said = f"The tf.data service at {address} has not given all clips"
            assert said in str(ended.fatal)
        else:  # the one that was killed had not been given a step yet, and the other does them all
            assert (killed, left, ended.fatal) == (1, 999, None)


def test_records_that_its_workers_cannot_read_are_named(make_config, records, address, tmp_path):
    folder = shutil.copytree(records, tmp_path / "records")
    config = make_config(records=str(folder), videos="", data_service=address)
    videos, ended = load_dataset(config, "train"), BadVideos()
    batches = service.service_batches(videos, config, 0, ended, 0, Part())
    shutil.rmtree(folder)
    with pytest.raises(tf.errors.OpError):
        list(batches)
    assert isinstance(ended.fatal, ConfigError) and "cannot read the records" in str(ended.fatal)
