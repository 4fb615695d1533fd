"""Several processes that train one run on loopback."""

import json
import pathlib
import shutil
import signal

import numpy as np
import pytest

from r21d_keras.training.commands.command import FAILED, LOST
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.history import read_history
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.recipes import resolve
from r21d_keras.training.train import train
from tests.conftest import SMALL_RUN
from tests.loops import largest_difference, moved
from tests.waits import code_of, until
from tests.workers import command_line, running, slurm_variables, tf_configs, train_together

# Batches of 4 and a last one of 2.
OPTIONS = {
    **SMALL_RUN,
    "variant": "f_r2d_10",
    "crop_size": 32,
    "clips_per_epoch": 10,
    "epochs": 4,
    "base_learning_rate": 2e-2,  # weights move by 0.02, and rounding does not grow yet
    "ema_decay": 0.9,
    "dropout": 0.25,
    "num_readers": 1,
    "worker_timeout_s": 300.0,
}

FAST = {"base_learning_rate": 0.2}


@pytest.fixture(scope="module")
def options(tiny_videos):
    return {**OPTIONS, "videos": str(tiny_videos)}


@pytest.fixture(scope="module")
def pair(options, tmp_path_factory):
    """What two workers have found, and their run."""
    return train_together(options, tf_configs(2), tmp_path_factory.mktemp("pair") / "two")


@pytest.fixture(scope="module")
def learned(options, tmp_path_factory):
    """The run of two workers at a rate that changes the weights much."""
    folder = tmp_path_factory.mktemp("learned")
    return train_together({**options, **FAST}, tf_configs(2), folder)[1]


@pytest.fixture(scope="module")
def single(options, tmp_path_factory):
    """The run of the same training in one process."""
    return alone(options, tmp_path_factory.mktemp("single") / "run")


def alone(options, folder, **changes):
    """Trains in this process, without any others; the folder of the run."""
    options = {**options, "strategy": "one", "model_dir": str(folder), **changes}
    train(resolve("demo", overrides=options))
    return pathlib.Path(folder)


def final_weights(run):
    return load_run(run)[2].get_weights()


def history(run):
    rows = read_history(run / "history.csv")
    return [{name: float(row[name]) for name in row if name != "seconds"} for row in rows]


def assert_identical(left, right):
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


def test_workers_end_with_the_same_weights_to_the_bit(pair):
    (first, _), (second, _) = pair[0]
    assert_identical(first, second)


def test_two_workers_are_as_one_process(pair, single):
    assert largest_difference(final_weights(pair[1]), final_weights(single)) < 1e-5
    assert moved(single) > 1e-3
    for row, expected in zip(history(pair[1]), history(single), strict=True):
        assert row == pytest.approx(expected, rel=1e-5)


def test_metrics_are_those_of_all_clips_on_each_worker(pair):
    (_, first), (_, second) = pair[0]
    assert first == second
    assert first == pytest.approx({name: history(pair[1])[-1][name] for name in first}, rel=1e-6)
    videos = 2  # to validate on; each counts once
    assert first["val_accuracy"] * videos == pytest.approx(round(first["val_accuracy"] * videos))


def test_the_chief_alone_writes(pair):
    run = pair[1]
    logs = [(run.parent / f"log.{index}").read_text("utf-8") for index in (0, 1)]
    assert "Epoch 4/4" in logs[0] and "Epoch" not in logs[1]
    events = [path.name.split(".") for path in (run / "events").rglob("events.out.*")]
    assert events and len({parts[5] for parts in events}) == 1  # ...tfevents.TIME.HOST.PROCESS.
    assert not list((run.parent / "tmp").glob("r21d*"))


def test_a_run_of_several_workers_is_evaluated_by_one_process(pair):
    assert evaluate(pair[1])["videos"] == 2


def test_three_workers_of_slurm_stop_together_when_one_is_asked_to(options, tmp_path):
    """The last batch has fewer clips than there are workers: it goes whole to each."""
    batches = {"clips_per_epoch": 8, "global_batch_size": 6, "schedule": "constant"}
    options = {**options, **batches}
    found, run = train_together(options, slurm_variables(3), tmp_path / "three", stop_after=2)
    for weights, logs in found[1:]:
        assert_identical(weights, found[0][0])
        assert logs == found[0][1]
    assert [row["epoch"] for row in history(run)] == [1.0, 2.0]
    expected = alone(options, tmp_path / "one", epochs=2)
    assert largest_difference(final_weights(run), final_weights(expected)) < 1e-5


def test_workers_that_differ_refuse_to_train_and_each_says_in_what(options, tmp_path):
    other = shutil.copytree(options["videos"], tmp_path / "videos")
    for name in ("bright_0.mp4", "bright_1.mp4"):  # the same names, other videos
        shutil.copy(other / "dark" / name.replace("bright", "dark"), other / "bright" / name)
    both = {"strategy": "multi_worker_mirrored", "num_readers": 1}
    commands = [
        command_line({**options, **both, "model_dir": str(tmp_path / "run")}),
        command_line({**options, **both, "model_dir": "/nowhere", "seed": 3, "videos": str(other)}),
    ]
    with running(commands, tf_configs(2), tmp_path) as processes:
        assert [code_of(process) for process in processes] == [FAILED, FAILED]
    for index in (0, 1):
        error = (tmp_path / f"log.{index}").read_text("utf-8").splitlines()[-1]
        assert "The workers do not agree: seed is 0 on worker 0 (127.0.0.1:" in error
        assert ") and 3 on worker 1 (127.0.0.1:" in error and "_sha256 of the train set" in error
        assert "model_dir" not in error and "videos is" not in error
    assert not (tmp_path / "run").exists()


def test_what_one_worker_cannot_do_ends_all(options, tmp_path):
    commands = [
        command_line(
            {
                **options,
                "strategy": "multi_worker_mirrored",
                "model_dir": str(tmp_path / f"run{index}"),
                "videos": options["videos"] if index == 0 else str(tmp_path / "absent"),
            }
        )
        for index in (0, 1)
    ]
    with running(commands, tf_configs(2), tmp_path) as processes:
        assert [code_of(process) for process in processes] == [FAILED, FAILED]
    first, second = [(tmp_path / f"log.{i}").read_text("utf-8").splitlines()[-1] for i in (0, 1)]
    assert "Stopped because worker 1 (127.0.0.1:" in first and "absent" in first
    assert "Stopped" not in second and "absent" in second


def test_a_worker_that_never_comes_is_named(options, tmp_path):
    wanted = {"strategy": "multi_worker_mirrored", "worker_timeout_s": 2.0}
    command = command_line({**options, **wanted, "model_dir": str(tmp_path / "run")})
    chief, absent = tf_configs(2)
    with running([command], [chief], tmp_path) as processes:
        assert code_of(processes[0]) == LOST
    error = (tmp_path / "log.0").read_text("utf-8").splitlines()[-1]
    address = json.loads(absent["TF_CONFIG"])["cluster"]["worker"][1]
    assert f"within worker_timeout_s=2: missing worker 1 ({address})" in error


@pytest.mark.parametrize("victim", [0, 1])
def test_when_a_worker_is_killed_the_other_says_so_and_the_job_goes_on(
    victim, options, tmp_path, learned
):
    run, wanted = tmp_path / "run", {**options, **FAST}
    command = command_line({**wanted, "strategy": "multi_worker_mirrored", "model_dir": str(run)})
    with running([command] * 2, tf_configs(2), tmp_path) as processes:
        until(lambda: list(run.glob("checkpoints/ckpt-*.index")), processes)
        processes[victim].send_signal(signal.SIGKILL)
        assert code_of(processes[1 - victim]) == LOST
    error = (tmp_path / f"log.{1 - victim}").read_text("utf-8").splitlines()[-1]
    assert f"Worker {victim} (127.0.0.1:" in error and "has ended" in error
    ((first, _), (second, _)), _ = train_together(wanted, tf_configs(2), tmp_path)
    assert "Epoch 1/" not in (tmp_path / "log.0").read_text("utf-8")  # it goes on after that
    assert_identical(first, second)  # also what the chief alone has read
    assert_identical(final_weights(run), final_weights(learned))
    assert history(run) == history(learned)
