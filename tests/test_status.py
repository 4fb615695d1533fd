"""What `r21d status` says of folders as runs leave them, without a run."""

import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

import pytest

from r21d_keras.training import cli
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.heartbeat import BEAT_S, Heartbeat, read_heartbeat, write_heartbeat
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.run_lock import sole_writer
from r21d_keras.training.status import EXIT_CODES, SILENT_S, duration, find_runs, read_status

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOW_S = 1_700_000_000.0
HISTORY = (
    "epoch,loss,accuracy,learning_rate,val_loss,val_accuracy,seconds\n"
    "1,2.0,0.25,0.01,1.9,0.5,3.0\n"
    "2,1.0,0.5,0.005,1.2,0.5,3.0\n"
)


@pytest.fixture
def folder(tmp_path):
    """The folder of a run of four epochs that has done two."""
    folder = ModelDir(tmp_path / "run")
    folder.write_run(TrainConfig(epochs=4, warmup_epochs=0.0), ("a", "b"))
    folder.history.write_text(HISTORY, "utf-8")
    return folder


@pytest.fixture(scope="session")
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def beat(folder, **values):
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


def test_all_of_it_in_words(folder, capsys):
    now_s = time.time()
    beat(folder, began_at=now_s - 7320, beat_at=now_s - 1, moved_at=now_s - 3)
    with sole_writer(folder.root):
        assert cli.main(["status", str(folder.root)]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{folder.root}: training, epoch 3 of 4, step 25 of 100, 56.2 %"
    told = {line[2:12].strip(): line[12:] for line in lines[1:]}
    assert told["speed"] == "41.26 clips/s on 2 replicas, 13 % of the time waiting for clips"
    assert told["left"].startswith("about 1 h 23 min, to ")
    assert told["now"] == "loss 0.75  accuracy 0.625"
    assert told["epoch 2"].startswith("loss 1  accuracy 0.5  learning_rate 0.005  val_loss 1.2")
    assert told["best"] == "val_accuracy 0.5 (epoch 1)"
    assert told["process"].startswith(f"{os.getpid()} on {socket.gethostname()}, since 2 h 1 min; ")


def test_several_runs_and_the_code_of_the_one_to_look_after(folder, tmp_path, capsys, dead):
    other = ModelDir(tmp_path / "other")
    other.write_run(TrainConfig(epochs=4, warmup_epochs=0.0), ("a", "b"))
    beat(other, phase="finished", pid=dead)
    assert cli.main(["status", str(other.root)]) == 0
    beat(folder, pid=dead)
    capsys.readouterr()
    assert cli.main(["status", str(tmp_path)]) == 5
    finished, killed = capsys.readouterr().out.splitlines()
    assert finished.split()[1] == "finished," and killed.split()[1] == "stopped,"
    assert cli.main(["status", "--json", str(other.root), str(folder.root)]) == 5
    facts = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(f["state"], f["exit_code"], f["epoch"]) for f in facts] == [
        ("finished", 0, 3),
        ("stopped", 5, 3),
    ]
    assert facts[1]["last"]["val_loss"] == 1.2 and facts[1]["lives"] is False


def test_nothing_there(tmp_path, capsys):
    assert cli.main(["status", str(tmp_path / "absent")]) == EXIT_CODES["not begun"] == 6
    assert capsys.readouterr().out == f"{tmp_path / 'absent'}: not begun\n"
    assert cli.main(["status", str(tmp_path)]) == 6
    assert cli.main(["status"]) == 2
    assert "no run given" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_watch_ends_with_the_run(folder, capsys):
    """In a process of its own, without keras: a look is cheap."""
    beat(folder, beat_at=time.time(), moved_at=time.time())
    code = (
        "import sys; from r21d_keras.training import cli; code = cli.main(sys.argv[1:]);"
        "assert not {'keras', 'tensorflow'} & set(sys.modules); sys.exit(code)"
    )
    command = [sys.executable, "-c", code, "status", "--watch", str(folder.root)]
    with sole_writer(folder.root):
        watch = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        first = watch.stdout.readline()
        beat(folder, beat_at=time.time(), moved_at=time.time(), phase="finished", epoch=4)
    out, _ = watch.communicate(timeout=60)
    assert ": training, epoch 3 of 4" in first
    assert ": finished" in out and watch.returncode == 0


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
