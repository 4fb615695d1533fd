"""Clips by way of a tf.data service: a real dispatcher and two workers, processes of their own."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.commands.command import LOST
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import BadVideos, train_batches
from r21d_keras.training.distribution.lost import WorkerLostError
from r21d_keras.training.distribution.slices import Part
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.records import service
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.train import train
from tests import processes
from tests.conftest import SMALL_RUN
from tests.preparing import plan_of
from tests.waits import code_of, until
from tests.workers import command_line, free_ports, running

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
    serving = []
    with contextlib.ExitStack() as held:
        for arguments in ([str(port)], *2 * [["0", f"localhost:{port}"]]):
            process = subprocess.Popen([*script, *arguments], stdout=subprocess.PIPE, text=True)
            serving.append(held.enter_context(process))
            held.callback(process.kill)
            assert process.stdout.readline().split()[0] in ("dispatcher", "worker")
        yield f"localhost:{port}", serving


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
    """In a process of its own: TensorFlow goes on looking for a service that is gone."""
    with served() as (address, serving):
        config = make_config(records=str(records), videos="", data_service=address)
        config = dataclasses.replace(config, worker_timeout_s=10.0, clips_per_epoch=4000)
        victims = [process.pid for process in serving[-killed:]]
        left, fatal = processes.result(without_workers, config, victims)
    if fatal is None:  # the one that was killed had not been given a step, and the other does all
        assert (killed, left) == (1, 999)
    else:
        assert f"The tf.data service at {address} has not given all clips" in str(fatal)


def without_workers(config, victims):
    """Batches left, or the loss that ends them, once these workers are killed behind the first."""
    videos, ended = load_dataset(config, "train"), BadVideos()
    batches = iter(service.service_batches(videos, config, 0, ended, 0, Part()))
    next(batches)
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    try:
        return len(list(batches)), None
    except tf.errors.OpError:
        assert isinstance(ended.fatal, WorkerLostError)
        return None, ended.fatal


def test_a_training_whose_service_is_gone_ends_with_its_code(make_config, records, tmp_path):
    options = {**SMALL_RUN, **OPTIONS, "records": records, "epochs": 1000, "worker_timeout_s": 3}
    with served() as (address, serving):
        options |= {"data_service": address, "model_dir": tmp_path / "run"}
        with running([command_line(options)], [{}], tmp_path) as (training,):
            log = tmp_path / "log.0"
            until(lambda: "Epoch 2/" in log.read_text("utf-8"), [training])
            for process in serving[1:]:
                process.kill()
            assert code_of(training) == LOST, log.read_text("utf-8")
    assert "nothing has come for worker_timeout_s=3. Start its w" in log.read_text("utf-8")


def test_an_epoch_that_is_broken_off_leaves_no_thread(make_config, records, address):
    config = make_config(records=str(records), videos="", data_service=address)
    config = dataclasses.replace(config, clips_per_epoch=4000)
    videos = load_dataset(config, "train")
    batches = iter(service.service_batches(videos, config, 0, BadVideos(), 0, Part()))
    next(batches)
    assert "data service" in {thread.name for thread in threading.enumerate()}
    del batches
    until(lambda: "data service" not in {thread.name for thread in threading.enumerate()})


def test_records_that_its_workers_cannot_read_are_named(make_config, records, address, tmp_path):
    folder = shutil.copytree(records, tmp_path / "records")
    config = make_config(records=str(folder), videos="", data_service=address)
    videos, ended = load_dataset(config, "train"), BadVideos()
    batches = service.service_batches(videos, config, 0, ended, 0, Part())
    shutil.rmtree(folder)
    with pytest.raises(tf.errors.OpError):
        list(batches)
    assert isinstance(ended.fatal, ConfigError) and "cannot read the records" in str(ended.fatal)
