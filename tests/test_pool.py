"""Processes that encode videos: whichever ends, and whenever, nothing waits for it for ever."""

import contextlib
import functools
import resource
import signal
import time

import psutil
import pytest

from r21d_keras.training.records.manifest import read_manifest
from r21d_keras.training.records.plan import Item
from r21d_keras.training.records.pool import CRASHED, encode_all
from r21d_keras.training.records.prepare import prepare
from tests.preparing import contents, failing, held, noted, padded, plan_of, unpicklable
from tests.waits import until

LARGE = 3_000_000  # bytes: far more than a pipe holds


@pytest.fixture(autouse=True)
def no_hang():
    """Ends a test that hangs."""

    def hangs(*_):
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(240)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def items(count):
    return [Item(str(place), "", (0,), ("a",)) for place in range(count)]


def children():
    """The processes that encode, without multiprocessing's own tracker of resources."""
    return [c for c in psutil.Process().children() if "spawn_main" in " ".join(c.cmdline())]


def test_closed_while_large_records_are_sent(tmp_path):
    results = encode_all(items(20), functools.partial(noted, tmp_path, LARGE), 2)
    assert next(results)[0].name == "0"
    results.close()
    assert not children()


def test_killed_while_they_send_their_videos_are_encoded_anew(tmp_path):
    results = encode_all(items(6), functools.partial(noted, tmp_path, LARGE), 2)
    found = [next(results)]
    until(lambda: len({path.name.split("_")[1] for path in tmp_path.iterdir()}) == 2)  # both work
    until(lambda: len(list(tmp_path.iterdir())) >= 3)  # of which nobody takes two yet
    time.sleep(0.1)
    for process in children():
        process.kill()
    found += results
    assert [item.name for item, _ in found] == list("012345")
    assert all(len(encoded[0]) == LARGE for _, encoded in found)
    assert not children()


def test_what_is_tried_again_is_not_given_to_an_idle_process_that_is_dead_too(tmp_path):
    results = encode_all(items(2), functools.partial(held, tmp_path), 2)
    assert next(results)[0].name == "0"
    until((tmp_path / "1").exists)
    for process in children():
        process.kill()
    assert [encoded[0] for _, encoded in results] == [b"1"]


def test_other_errors_are_raised_with_where_they_came_from():
    with pytest.raises(ZeroDivisionError) as caught:
        list(encode_all(items(3), failing, 2))
    assert "in failing" in caught.value.__notes__[0]
    assert not children()


def test_processes_that_cannot_begin_are_no_bad_videos(capfd):
    with pytest.raises(RuntimeError, match="ended as it began, with exit code 1"):
        list(encode_all(items(3), functools.partial(failing, unpicklable), 2))
    assert CRASHED not in capfd.readouterr().err


@contextlib.contextmanager
def largest_file(octets):
    """As if the disk were full beyond so many bytes of a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full_from_the_start(tiny_videos, tmp_path):
    plan = plan_of(tiny_videos, padded)
    for most in (100, 900_000):  # neither the plan fits, nor the first video
        with largest_file(most), pytest.raises(OSError) as caught:
            prepare(plan, tmp_path, processes=1)
        said = f"{tmp_path} takes no more (File too large). Make room and run the same command"
        assert str(caught.value).startswith(said)


def test_a_full_disk_ends_all_processes_and_loses_nothing(tiny_videos, tmp_path):
    plan, out = plan_of(tiny_videos, padded), tmp_path / "out"
    said = "4 of 10 videos are done and kept; the rest wants about 6.1 MB. Make room and run"
    with largest_file(2_500_000), pytest.raises(OSError, match=said):
        prepare(plan, out, processes=2)
    assert not children() and read_manifest(out) is None
    prepare(plan, out, processes=2)
    prepare(plan, tmp_path / "whole", processes=1)
    assert contents(out) == contents(tmp_path / "whole")
