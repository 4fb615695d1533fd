"""Converted files: made on first use, once however many ask, and never half."""

import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from r21d_keras import VideoResNet
from r21d_keras._keras import KERAS3
from r21d_keras.zoo import cache
from r21d_keras.zoo.checkpoints.torch_names import differing
from r21d_keras.zoo.errors import CheckpointError, DownloadError
from tests.cached_rows import NUM_CLASSES, VARIANT, arrays, checkpoint, row_of, sha256
from tests.http_server import Answer

WEIGHTS = "weights" if KERAS3 else "weights-keras2"
NAME = "net.pkl"
ASK = """
import json, os, sys
from r21d_keras.zoo import cache
from tests.cached_rows import row_of
row = row_of(**json.loads(sys.argv[1]))

def ask():
    path = cache.weights_file(row)
    said = f"{path.stat().st_ino} {path.stat().st_mtime_ns}\\n"
    os.write(1, said.encode())  # at once, among what others say
"""
ASK_ONCE = ASK + "ask()"
# As eight replicas that one program starts.
ASK_EIGHT_TIMES = (
    ASK
    + """
import keras  # once for all, which takes seconds
children = []
for _ in range(8):
    children.append(os.fork())
    if not children[-1]:
        ask()
        os._exit(0)
assert not any(os.waitpid(child, 0)[1] for child in children)
"""
)


@pytest.fixture
def fields(server):
    server.serve(NAME, checkpoint())
    return {"url": f"{server.url}/{NAME}", "file_name": NAME, "file_hash": f"sha256:{sha256()}"}


def process(code, fields):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", code, json.dumps(fields)]
    return subprocess.Popen(command, env=env, text=True, **pipes)


def assert_converted(path):
    model = VideoResNet(
        VARIANT, num_classes=NUM_CLASSES, input_shape=(4, 16, 16, 3), classifier_activation=None
    )
    model.load_weights(str(path))
    assert differing(model, arrays()) == []


def test_converted_on_first_use_and_then_just_there(home, server, fields, monkeypatch):
    row = row_of(**fields)
    path = cache.weights_file(row)
    assert path == home / WEIGHTS / f"{VARIANT}.test_16f.weights.h5"
    assert_converted(path)
    card = json.loads((path.parent / f"{VARIANT}.test_16f.json").read_text())
    assert (card["variant"], card["source_sha256"]) == (VARIANT, sha256())
    made = path.stat()
    monkeypatch.setenv("R21D_OFFLINE", "1")
    (home / "downloads" / NAME).unlink()
    assert cache.weights_file(row).stat() == made and len(server.requests) == 1
    with pytest.raises(DownloadError, match="R21D_OFFLINE"):  # of the other file
        cache.weights_file(row_of(**{**fields, "file_hash": "sha256:00000000"}))


@pytest.mark.parametrize("card", [None, "{", '{"source_sha256": "0"}'])
def test_a_file_without_its_card_is_made_again(home, server, fields, card):
    weights = home / WEIGHTS / f"{VARIANT}.test_16f.weights.h5"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"anything")
    if card:
        (weights.parent / f"{VARIANT}.test_16f.json").write_text(card)
    assert_converted(cache.weights_file(row_of(**fields)))


def test_a_file_of_another_original_is_made_again(home, server, fields):
    row = row_of(**{**fields, "file_hash": None})
    path = cache.weights_file(row)
    made = path.stat().st_ino, path.stat().st_mtime_ns
    for name in (NAME, f"{NAME}.sha256"):  # as for a file that the user no longer trusts
        (home / "downloads" / name).unlink()
    server.serve(NAME, checkpoint(in_order=False))
    cache.original_file(row)
    again = cache.weights_file(row)
    assert (again.stat().st_ino, again.stat().st_mtime_ns) != made and len(server.requests) == 2


def test_a_checkpoint_of_another_network_says_what_to_delete(home, server, fields):
    row = row_of(**{**fields, "file_hash": None, "variant": "r3d_10"})
    with pytest.raises(CheckpointError, match="cannot be converted .* delete it and .*sha256"):
        cache.weights_file(row)
    assert os.listdir(home / WEIGHTS) == []


@pytest.mark.parametrize("classes", [NUM_CLASSES, None])
def test_a_checkpoint_with_other_classes_or_none_is_not_taken(home, server, fields, classes):
    """A file that was cut off before its classifier is a good file of a network without one."""
    if classes is None:
        server.serve(NAME, checkpoint(with_classifier=False))
    row = row_of(**{**fields, "file_hash": None, "num_classes": NUM_CLASSES + 1})
    said = f"has {classes or 'no'} classes and takes 3 channels; expected {NUM_CLASSES + 1} and 3"
    with pytest.raises(CheckpointError, match=f"{said}.*delete it and .*sha256"):
        cache.weights_file(row)
    assert os.listdir(home / WEIGHTS) == []


@pytest.mark.parametrize("size", [0, 100_000, -1])
def test_a_converted_file_that_was_cut_off_is_made_again(home, server, fields, size):
    row = row_of(**fields)
    path = cache.weights_file(row)
    whole = path.stat().st_size
    os.truncate(path, size % whole)
    assert cache.weights_file(row).stat().st_size == whole
    assert_converted(path)
    assert len(server.requests) == 1


@pytest.mark.skipif(not os.path.isfile("/sys/kernel/fscaps"), reason="a file that cannot be mapped")
def test_an_original_that_cannot_be_read_is_not_a_folder_that_cannot_be_written(home, fields):
    original = home / "downloads" / NAME
    original.parent.mkdir(parents=True)
    original.symlink_to("/sys/kernel/fscaps")
    published = hashlib.sha256(original.read_bytes()).hexdigest()
    with pytest.raises(
        DownloadError, match=f"{original} cannot be read .*device.* delete"
    ) as error:
        cache.weights_file(row_of(**{**fields, "file_hash": f"sha256:{published}"}))
    assert "cannot be made" not in str(error.value) and os.listdir(home / WEIGHTS) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts them with fork")
def test_eight_processes_convert_once(home, server, fields):
    server.serve(NAME, checkpoint(), Answer(status=503), Answer())
    with process(ASK_EIGHT_TIMES, fields) as all_eight:
        out, err = all_eight.communicate(timeout=120)
    assert all_eight.returncode == 0, err
    assert len(out.splitlines()) == 8 and len(set(out.splitlines())) == 1, out
    assert len(server.requests) == 2


def test_where_one_of_two_is_killed_the_other_converts(home, server, fields):
    both = {one.pid: one for one in (process(ASK_ONCE, fields), process(ASK_ONCE, fields))}
    killed = None
    while killed is None:
        assert any(one.poll() is None for one in both.values())
        for unfinished in home.glob(f"{WEIGHTS}/.partial.*"):
            killed = both.pop(int(unfinished.name.split(".")[2]))
            killed.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    killed.communicate()
    (other,) = both.values()
    out, err = other.communicate(timeout=120)
    assert (killed.returncode, other.returncode) == (-signal.SIGKILL, 0), err
    path = home / WEIGHTS / f"{VARIANT}.test_16f.weights.h5"
    assert_converted(path)
    assert out == f"{path.stat().st_ino} {path.stat().st_mtime_ns}\n"
    assert len(os.listdir(path.parent)) == 2 and len(server.requests) == 1


@pytest.fixture
def no_large_files():
    """No file that this process writes gets larger; Python ignores the signal of that."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_disk_too_full_for_the_weights_is_said(home, fields, request):
    cache.original_file(row_of(**fields))
    request.getfixturevalue("no_large_files")
    with pytest.raises(DownloadError, match="File too large") as error:
        cache.weights_file(row_of(**fields))
    assert all(said in str(error.value) for said in ("Make room", "R21D_HOME", NAME, row_of().page))
    assert "\n" not in str(error.value) and os.listdir(home / WEIGHTS) == []
