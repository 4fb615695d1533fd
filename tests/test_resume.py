"""Runs that are continued, or must not be: changed data, damaged files, another process."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest

from r21d_keras.training.callbacks.history import HistoryFile
from r21d_keras.training.callbacks.progress import Progress
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.video_set import Files, VideoSet
from r21d_keras.training.model_dir import ModelDir, load_run
from r21d_keras.training.state.resume import check_data, check_resumable, describe_data
from r21d_keras.training.state.run_lock import LOCK, sole_writer
from r21d_keras.training.train import train

HOLD = """
import pathlib, sys, time
from r21d_keras.training.state.run_lock import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def write_run(config):
    """What a run has before its first epoch."""
    folder = ModelDir(pathlib.Path(config.model_dir))
    folder.write_run(config, ("bright", "dark"))
    return folder


def test_a_run_is_not_continued_on_other_data(make_config, tiny_videos, tmp_path):
    videos = shutil.copytree(tiny_videos, tmp_path / "videos")
    train(make_config(videos=str(videos), epochs=1))
    data = ModelDir(tmp_path / "run").data
    (videos / "dark" / "dark_4.mp4").write_bytes(
        (videos / "dark" / "dark_4.mp4").read_bytes() + b"0"
    )
    with pytest.raises(ConfigError, match="now of the same names, of which some have another size"):
        train(make_config(videos=str(videos)))
    before = json.loads(data.read_text("utf-8"))
    del before["train"]["sizes_sha256"], before["test"]["sizes_sha256"]
    check = describe_data({s: load_dataset(make_config(videos=str(videos)), s) for s in before})
    data.write_text(json.dumps(before), "utf-8")
    check_data(ModelDir(tmp_path / "run"), check)  # of an earlier version, which kept no sizes
    os.rename(videos / "dark" / "dark_4.mp4", videos / "dark" / "dark_9.mp4")
    with pytest.raises(ConfigError, match="train set had .* with other names, labels or order"):
        train(make_config(videos=str(videos)))
    (videos / "dark" / "dark_9.mp4").unlink()
    with pytest.raises(ConfigError, match=r"set had \d+ videos and has \d+ now"):
        train(make_config(videos=str(videos)))


def test_data_is_told_by_names_below_their_folder_labels_and_order(tmp_path):
    def described(names, labels=(0, 1), top="/x"):
        files = Files(tuple(f"{top}/{name}" for name in names))
        return describe_data({"train": VideoSet("x", ("a", "b"), names, labels, files)})

    data = described(("a/1.mp4", "b/2.mp4"))
    assert set(data) == {"train"} and data["train"]["videos"] == 2
    assert described(("a/1.mp4", "b/2.mp4"), top="/moved") == data
    folder = ModelDir(tmp_path)
    folder.data.write_text(json.dumps(data), "utf-8")
    check_data(folder, data)
    for other in (
        described(("a/1.mp4", "b/3.mp4")),
        described(("b/2.mp4", "a/1.mp4")),
        described(("a/1.mp4", "b/2.mp4"), (1, 0)),
    ):
        with pytest.raises(ConfigError, match="train set"):
            check_data(folder, other)
    for text in ("{", "[]", "{}"):
        folder.data.write_text(text, "utf-8")
        with pytest.raises(ConfigError, match="data.json cannot be read"):
            check_data(folder, data)


def test_a_folder_may_be_named_in_another_way(make_config, tiny_videos, monkeypatch):
    monkeypatch.chdir(tiny_videos.parent)
    folder = write_run(make_config(videos=tiny_videos.name))
    for same in (f"./{tiny_videos.name}/", str(tiny_videos)):
        assert check_resumable(folder, make_config(videos=same)) is False
    with pytest.raises(ConfigError, match="videos was"):
        check_resumable(folder, make_config(videos="other"))


def test_replicas_may_change_only_with_synchronised_statistics(make_config):
    other = {"num_cpu_replicas": 2, "strategy": "one"}
    check_resumable(write_run(make_config("with")), make_config("with", **other))
    folder = write_run(make_config("without", sync_bn=False))
    with pytest.raises(ConfigError, match="strategy was .*; num_cpu_replicas was 1 and is now 2"):
        check_resumable(folder, make_config("without", sync_bn=False, **other))


def test_a_cosine_that_is_stretched_is_said(make_config, log):
    for schedule, said in (("constant", False), ("cosine", True)):
        folder = write_run(make_config(schedule, schedule=schedule))
        check_resumable(folder, make_config(schedule, schedule=schedule, epochs=4))
        assert ("epochs was 2 and is now 4: the cosine is stretched" in log.text) == said


def test_a_cosine_that_has_not_begun_is_not_stretched(make_config, tiny_run, log):
    start = {"init_from": str(tiny_run()), "schedule": "cosine", "head_epochs": 2}
    check_resumable(write_run(make_config(**start)), make_config(**start, epochs=4))
    assert "stretched" not in log.text


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "history.csv is missing"),
        ("", "history.csv has not one row for each of the 2"),
        ("epoch,loss\n1,0.5\n", "history.csv has not one row for each of the 2"),
        ("a,b\n1,2\n", "history.csv is no history of a run: expected epoch,"),
    ],
)
def test_a_damaged_history_is_named_with_what_to_do(tmp_path, text, message):
    if text is not None:
        (tmp_path / "history.csv").write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=f"{message}.* Put it back"):
        HistoryFile(tmp_path / "history.csv", 2)


def test_a_run_goes_on_from_the_last_state_that_is_whole(make_config, log):
    config = make_config()
    train(config)
    folder = ModelDir(pathlib.Path(config.model_dir))
    before = folder.history.read_text("utf-8")
    data = folder.checkpoints / "ckpt-2.data-00000-of-00001"
    os.truncate(data, data.stat().st_size // 2)
    train(config)
    assert re.search(r"incomplete or damaged: \S*ckpt-2\.\* \(", log.text)
    assert "Continuing after epoch 1." in log.text
    assert data.stat().st_size == (folder.checkpoints / "ckpt-1.data-00000-of-00001").stat().st_size
    assert folder.history.read_text("utf-8").count("\n") == before.count("\n") == 3
    for path in folder.checkpoints.glob("ckpt-*.data*"):
        os.truncate(path, 100)
    with pytest.raises(ConfigError, match=r"No state .*ckpt-2\.\* \(.*, .*ckpt-1\.\* \(.*another"):
        train(config)


def test_one_process_trains_in_a_folder_and_a_killed_one_does_not_bar_the_next(tmp_path):
    root = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="Another process is training in"):
            with sole_writer(root):
                pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    leftover = root / ".partial.1.best.weights.h5"
    leftover.write_text("half", "utf-8")
    with sole_writer(root):
        assert os.listdir(root) == [LOCK]


def test_a_folder_that_cannot_be_made_is_said_before_videos_are_opened(make_config, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="model_dir='.*file/run' cannot be made"):
        train(make_config("file/run", videos=str(tmp_path / "absent")))


def test_a_run_that_does_not_start_leaves_no_folder(make_config, tmp_path):
    with pytest.raises(ValueError, match="absent"):
        train(make_config(videos=str(tmp_path / "absent")))
    assert not (tmp_path / "run").exists()


def test_a_configuration_of_another_form_is_named(make_config):
    folder = write_run(make_config())
    folder.config.write_text("[]", "utf-8")
    with pytest.raises(ConfigError, match=r"config.json: expected option names .* got list"):
        load_run(folder.root)


def test_files_left_out_from_the_start_are_named_at_the_end(
    make_config, tiny_videos, tmp_path, log
):
    videos = tmp_path / "videos"
    shutil.copytree(tiny_videos, videos)
    for name in ("bright/bright_0.mp4", "dark/dark_4.mp4"):
        (videos / name).write_bytes(b"")
    config = make_config(videos=str(videos), on_bad_video="skip", epochs=1)
    train(config)
    end = log.text.rpartition("Strategy")[2]
    for name in ("bright_0.mp4", "dark_4.mp4"):
        assert f"{name}: " in end.partition("Could not be read")[2]
    assert "2 videos were left out from the start" in end


def test_validation_does_not_count_as_training(tmp_path, capsys):
    history, progress = HistoryFile(tmp_path / "history.csv", 0), Progress(10)
    progress.set_params({"epochs": 1, "steps": 1})
    for callback in (history, progress):
        callback.on_epoch_begin(0)
        callback.on_train_batch_end(0, {})
        callback.start_s -= 1000.0  # what comes after is not looked at
        callback.seconds += 2.0
        callback.on_epoch_end(0, {"loss": 1.0})
    assert history.rows[0]["seconds"] == f"{history.seconds:.3f}"
    assert " 2.0 s  5.0 clips/s" in capsys.readouterr().out
    assert 2.0 <= history.seconds < 100.0


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    """Each step moves it, and the epoch's end shows what the line elsewhere does."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    progress = Progress(10)
    progress.set_params({"epochs": 3, "steps": 2})
    progress.on_epoch_begin(1)
    assert capsys.readouterr().out == "Epoch 2/3\n"
    progress.bar.interval = 0.0  # seconds; it moves no more often
    for step in range(2):
        progress.on_train_batch_end(step, {"loss": 2.0})
        assert f"{step + 1}/2" in capsys.readouterr().out
    progress.on_epoch_end(1, {"loss": 1.5, "val_accuracy": 0.25})
    out = capsys.readouterr().out
    assert "2/2" in out and "loss: 1.5" in out and "val_accuracy: 0.25" in out
    assert out.endswith("\n") and "clips/s" not in out
