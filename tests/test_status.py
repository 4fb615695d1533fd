"""What is said of folders as runs leave them."""

import json
import pathlib
import re
import socket
import subprocess
import sys
import time

import pytest

from r21d_keras.training import cli
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.heartbeat import BEAT_S, read_heartbeat
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.run_lock import sole_writer
from r21d_keras.training.status import SILENT_S, duration, find_runs, read_status
from tests.run_folders import NOW_S, beat, dead_process, run_folder

ROOT = pathlib.Path(__file__).resolve().parent.parent


@pytest.fixture
def folder(tmp_path):
    return run_folder(tmp_path / "run")


@pytest.fixture(scope="module")
def dead():
    return dead_process()


def state(folder):
    return read_status(folder.root, NOW_S).state


def seen(folder):
    status = read_status(folder.root)
    return status.state, status.reason


def test_what_is_written_is_read(folder):
    assert read_heartbeat(folder) is None
    beat(folder, reason="über", left_is_least=True, usual_s=None)
    found = read_heartbeat(folder)
    assert (found.reason, found.left_is_least, found.usual_s) == ("über", True, None)
    assert [path.name for path in folder.root.glob(".partial*")] == []


def test_a_run_that_trains(folder):
    with sole_writer(folder.root):
        for phase in ("starting", "training", "validating"):
            beat(folder, phase=phase)
            assert state(folder) == phase
    status = read_status(folder.root, NOW_S)
    assert (status.epochs_done, status.epochs, status.last["loss"]) == (2, 4, 1.0)
    assert status.best == (0.5, 1)  # of equals the first, whose weights are kept


def test_a_killed_run(folder, dead):
    beat(folder, pid=dead)
    status = read_status(folder.root, NOW_S)
    assert (status.state, status.lives) == ("stopped", False)
    assert f"process {dead} on {socket.gethostname()} was killed while training" in status.reason
    beat(folder)  # its number is another process's now
    assert state(folder) == "stopped"


def test_a_killed_run_that_was_started_again(folder, dead):
    beat(folder, pid=dead)
    with sole_writer(folder.root):
        assert state(folder) == "starting"
        beat(folder, pid=dead, phase="finished")
        assert state(folder) == "starting"  # with more epochs
        beat(folder, phase="finished")
        assert state(folder) == "finished"  # and about to let go of the lock


@pytest.mark.parametrize(
    ("silent_s", "expected"), [(BEAT_S, "training"), (SILENT_S + 1, "stopped"), (-30, "training")]
)
def test_a_run_on_another_host_lives_by_its_beats(folder, silent_s, expected):
    """Whose lock need not be seen from here; its clock may be ahead."""
    beat(folder, host="elsewhere", beat_at=NOW_S - silent_s, moved_at=NOW_S - silent_s)
    status = read_status(folder.root, NOW_S)
    assert status.state == expected and status.silent_s >= 0.0
    if expected == "stopped":
        assert "on elsewhere has not been heard of for 2 min 1 s" in status.reason


def test_a_lock_that_is_held_elsewhere_is_of_a_run_that_begins(folder):
    beat(folder, host="elsewhere", beat_at=NOW_S - 10_000)
    with sole_writer(folder.root):
        assert state(folder) == "starting"


@pytest.mark.parametrize(
    ("still_s", "usual_s", "expected"),
    [
        (590, 1.0, "training"),
        (610, 1.0, "stalled"),
        (610, 31.0, "training"),  # a call of many steps takes its time
        (630, 31.0, "stalled"),
        (1700, None, "training"),  # the first call
        (1900, None, "stalled"),
    ],
)
def test_a_run_that_lives_and_does_not_move(folder, still_s, usual_s, expected):
    beat(folder, moved_at=NOW_S - 1 - still_s, usual_s=usual_s)
    with sole_writer(folder.root):
        status = read_status(folder.root, NOW_S)
    assert status.state == expected and status.lives
    assert bool(status.reason) == (expected == "stalled")


@pytest.mark.parametrize("phase", ["finished", "stopped"])
def test_a_run_that_has_ended_says_how(folder, phase, dead):
    beat(folder, phase=phase, reason="No space left on device", pid=dead)
    status = read_status(folder.root, NOW_S + 1e6)
    assert (status.state, status.reason) == (phase, "No space left on device")


def test_runs_without_a_heartbeat(folder, tmp_path):
    """Of an earlier version, or before the first training step."""
    assert read_status(folder.root).state == "stopped"
    folder.weights("final").touch()
    assert state(folder) == "stopped"  # of an earlier start, with fewer epochs
    folder.write_run(TrainConfig(epochs=2, warmup_epochs=0.0), ("a", "b"))
    assert state(folder) == "finished"
    with sole_writer(folder.root):
        assert state(folder) == "starting"
    assert state(ModelDir(tmp_path / "absent")) == "not begun"


def test_a_run_is_read_whole_while_it_writes(folder):
    """A process that begins, writes and ends as fast as it can: no look fails or sees a death."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(folder.root)], cwd=ROOT)
    try:
        statuses, end_s = [], time.monotonic() + 60.0
        while time.monotonic() < end_s and not {"training", "finished"} <= {s for s, _ in statuses}:
            statuses.append(seen(folder))
        statuses += [seen(folder) for _ in range(300)]
    finally:
        writer.kill()
        writer.wait()
    states = {state for state, _ in statuses}
    assert {"training", "finished"} <= states <= {"stopped", "starting", "training", "finished"}
    assert not any("killed" in reason for _, reason in statuses)


WRITER = """
import os, pathlib, socket, sys, time
from r21d_keras.training.heartbeat import Heartbeat, write_heartbeat
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.run_lock import sole_writer

folder = ModelDir(pathlib.Path(sys.argv[1]))
while True:
    with sole_writer(folder.root):
        for phase in ["training"] * 50 + ["finished"]:
            now = time.time()
            write_heartbeat(folder, Heartbeat(phase=phase, host=socket.gethostname(),
                pid=os.getpid(), began_at=now, beat_at=now, moved_at=now, epoch=1, epochs=4,
                steps_per_epoch=9, replicas=1, reason="x" * 20000))
"""


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("progress.json", "", "is damaged"),
        ("progress.json", "[1]", "has version None; expected 1"),
        ("progress.json", '{"version": 99}', "has version 99; expected 1"),
        ("progress.json", '{"version": 1}', "is damaged .*missing"),
        ("history.csv", "epoch,loss\n1,many\n", "history.csv is damaged"),
        ("history.csv", "loss\n1\n", "is no history of a run"),
        ("config.json", "[]", "config.json: expected option names"),
    ],
)
def test_damaged_files_are_named(folder, name, text, message, capsys):
    (folder.root / name).write_text(text, "utf-8")
    assert cli.main(["status", str(folder.root)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_values_of_a_wrong_kind_are_damage(folder):
    beat(folder)
    values = json.loads(folder.progress.read_text("utf-8"))
    for name, value in (("pid", "1"), ("phase", "sleeping"), ("metrics", 1), ("beat_at", None)):
        folder.progress.write_text(json.dumps(values | {name: value}), "utf-8")
        with pytest.raises(ValueError, match=f"damaged .wrong {name}"):
            read_heartbeat(folder)


def test_folders_of_runs(folder, tmp_path):
    (tmp_path / "notes").mkdir()
    assert find_runs(tmp_path) == [folder.root] and find_runs(folder.root) == [folder.root]
    assert find_runs(tmp_path / "absent") == [tmp_path / "absent"]
    (tmp_path / "notes" / "a.txt").touch()
    for path in (tmp_path / "notes", tmp_path / "notes" / "a.txt"):
        with pytest.raises(ValueError, match="Expected the --model_dir of `r21d train`, or"):
            find_runs(path)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (5000, "1 h 23 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words
