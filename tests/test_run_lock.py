import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from r21d_keras.training.config import ConfigError
from r21d_keras.training.state.run_lock import LOCK, is_held, sole_writer

ROOT = pathlib.Path(__file__).resolve().parent.parent

HOLDER = """
import pathlib, sys, time
from r21d_keras.training.state.run_lock import sole_writer
with sole_writer(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that trains, as far as the lock can tell."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_is_seen_until_its_process_is_killed(tmp_path, holder):
    assert is_held(tmp_path) is True
    with pytest.raises(ConfigError, match="Another process is training"), sole_writer(tmp_path):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait(60)
    assert is_held(tmp_path) is False
    with sole_writer(tmp_path):
        assert is_held(tmp_path) is True


def test_looking_makes_nothing_and_needs_nothing(tmp_path):
    assert is_held(tmp_path / "absent") is False
    assert is_held(tmp_path) is False
    assert not list(tmp_path.iterdir())


def test_any_number_may_look_at_once_and_none_keeps_a_run_from_starting(tmp_path):
    (tmp_path / LOCK).touch()
    wrong, stop = [], threading.Event()

    def look():
        while not stop.is_set():
            if is_held(tmp_path) is not False:
                wrong.append("a look was taken for a run")

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong

    with open(tmp_path / LOCK, encoding="utf-8") as file:  # a look that lasts
        fcntl.flock(file, fcntl.LOCK_SH)
        threading.Timer(0.1, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        with sole_writer(tmp_path):
            assert is_held(tmp_path) is True


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    names = ("final.weights.h5", "history.csv", "progress.json")
    for name in names:
        (tmp_path / f".partial.1.{name}").touch()
        (tmp_path / name).touch()
    with sole_writer(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, *names]
