"""The folder of checkpoints: what is kept, what goes, what a kill or a full disk leaves."""

import os
import pathlib
import resource
import subprocess
import sys

import pytest
import tensorflow as tf

from r21d_keras.training.state.place import Place
from r21d_keras.training.state.shelf import Shelf

ROOT = pathlib.Path(__file__).resolve().parent.parent


def checkpoint(value, size=1):
    return tf.train.Checkpoint(variable=tf.Variable(tf.fill([size], float(value))))


def read(shelf, place):
    """The value that `checkpoint` was given."""
    return tf.train.load_variable(shelf.prefix(place), "variable/.ATTRIBUTES/VARIABLE_VALUE")[0]


@pytest.fixture
def shelf(tmp_path):
    return Shelf(str(tmp_path / "shelf"))


PLACES = [Place(0, 2), Place(1), Place(1, 2), Place(1, 10), Place(2), Place(10)]


def test_states_are_found_by_how_far_they_are(shelf):
    assert shelf.places() == []
    for number, place in enumerate(PLACES):
        shelf.write(checkpoint(number), place)
    assert shelf.places() == PLACES[::-1]
    assert [read(shelf, place) for place in PLACES] == list(range(6))
    names = [os.path.basename(shelf.prefix(place)) for place in PLACES]
    assert names == ["ckpt-0-2", "ckpt-1", "ckpt-1-2", "ckpt-1-10", "ckpt-2", "ckpt-10"]
    assert tf.train.latest_checkpoint(shelf.root) == shelf.prefix(Place(10))


@pytest.mark.parametrize(
    "newest, best, kept",
    [(1, None, [5]), (2, None, [4, 5]), (2, 1, [1, 4, 5]), (2, 4, [4, 5]), (9, 1, [*range(6)])],
)
def test_the_newest_states_are_kept_and_the_best(shelf, newest, best, kept):
    for number, place in enumerate(PLACES):
        shelf.write(checkpoint(number), place)
    shelf.keep(Place(10), newest, None if best is None else PLACES[best])
    assert shelf.places() == [PLACES[number] for number in reversed(kept)]
    assert len(os.listdir(shelf.root)) == 2 * len(kept) + 1


def test_a_state_further_on_that_is_damaged_stays_until_it_is_written_anew(shelf):
    shelf.write(checkpoint(1), Place(1))
    pathlib.Path(f"{shelf.prefix(Place(3))}.index").write_bytes(b"damaged")
    shelf.write(checkpoint(2), Place(2))
    shelf.keep(Place(2), newest=1, best=None)
    assert shelf.places() == [Place(3), Place(2)]
    shelf.write(checkpoint(3), Place(3))
    assert read(shelf, Place(3)) == 3
    shelf.keep(Place(3), newest=1, best=None)
    assert shelf.places() == [Place(3)]


def test_what_is_half_written_is_no_state_and_is_swept_away(shelf):
    shelf.write(checkpoint(1), Place(1))
    root = pathlib.Path(shelf.root)
    (root / "ckpt-2_temp").mkdir()
    for name in (
        "ckpt-2_temp/part-00000-of-00001.data-00000-of-00001.tempstate123",
        "ckpt-3.data-00000-of-00001",
        "ckpt-3.index.tempstate123",
        "writing-ckpt-1.index",
        "writing-ckpt-4.data-00000-of-00001",
        "checkpoint.tmp",
        "notes.txt",
    ):
        (root / name).write_bytes(b"half")
    assert shelf.places() == [Place(1)]
    shelf.sweep()
    whole = ["checkpoint", "ckpt-1.data-00000-of-00001", "ckpt-1.index", "notes.txt"]
    assert sorted(os.listdir(root)) == whole


def test_a_write_that_fails_leaves_the_others_and_nothing_of_itself(shelf):
    shelf.write(checkpoint(1), Place(1))
    before = sorted(os.listdir(shelf.root))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(tf.errors.OpError, match="File too large"):
            shelf.write(checkpoint(2, size=100_000), Place(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(os.listdir(shelf.root)) == before and read(shelf, Place(1)) == 1
    shelf.write(checkpoint(2, size=100_000), Place(2))
    assert read(shelf, Place(2)) == 2


def test_what_is_being_written_has_no_name_of_a_state(shelf):
    """TensorFlow writes an index under the name that it is given, where a kill can leave half."""

    class Killed(BaseException):
        pass

    class Writer:
        def write(self, prefix):
            pathlib.Path(f"{prefix}.data-00000-of-00001").write_bytes(b"data")
            pathlib.Path(f"{prefix}.index").write_bytes(b"")
            assert shelf.places() == [Place(1)] and read(shelf, Place(1)) == 1
            raise Killed

    shelf.write(checkpoint(1), Place(1))
    before = sorted(os.listdir(shelf.root))
    for place in (Place(1), Place(2)):
        with pytest.raises(Killed):
            shelf.write(Writer(), place)
        assert sorted(os.listdir(shelf.root)) == before and read(shelf, Place(1)) == 1


def test_processes_killed_at_random_moments_leave_whole_states(tmp_path):
    """Each checks all that the one before has left, and goes on from it; see tests/saving.py."""
    command = [sys.executable, "-m", "tests.saving", str(tmp_path), "40"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert process.returncode == 0, process.stderr
    furthest, before, *_ = process.stdout.splitlines()
    assert furthest != before
