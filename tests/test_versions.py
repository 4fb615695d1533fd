"""Versions come whole or not at all, whoever is watching and however an export ends."""

import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.remote import files
from r21d_keras.training.serving.names import SAVED_MODEL
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.serving.versions import new_version
from tests.waits import until


def numbers(out):
    return sorted(path.name for path in out.iterdir() if path.name.isdecimal())


def write(out, number=None, text="model"):
    """A version as any writer makes one; its place."""
    with new_version(out, number) as version:
        version.folder.mkdir(parents=True, exist_ok=True)
        (version.folder / SAVED_MODEL).write_text(text)
    return version.name


def test_numbers_go_on_from_the_highest(tmp_path):
    out = tmp_path / "models"
    assert write(out) == str(out / "1")
    assert write(out, 7) == str(out / "7")
    assert write(out) == str(out / "8")
    assert write(out, 2) == str(out / "2")
    (out / "notes").mkdir()
    (out / "11").mkdir()  # empty: taken for a version by a server, so never the next one's number
    assert write(out) == str(out / "12")
    assert write(out, 11) == str(out / "11")
    assert sorted(os.listdir(out)) == ["1", "11", "12", "2", "7", "8", "notes"]


def test_a_version_that_is_there_stays(tiny_run, tmp_path):
    write(tmp_path, 1, "old")
    started = []
    with pytest.raises(FileExistsError, match="1 exists already and is not overwritten"):
        with new_version(tmp_path, 1) as version:
            started.append(version)
    (tmp_path / "2").write_text("a file, no version")
    with pytest.raises(FileExistsError, match="2 exists already"), new_version(tmp_path, 2) as two:
        started.append(two)
    assert not started  # before any work
    with pytest.raises(FileExistsError, match="3 exists already"):
        with new_version(tmp_path, 3) as version:
            version.folder.mkdir()
            (version.folder / SAVED_MODEL).write_text("late")
            write(tmp_path, 3, "early")
    assert (tmp_path / "1" / SAVED_MODEL).read_text() == "old"


def test_two_at_once_get_two_numbers(tmp_path):
    """The number that was free when the first began is taken when it ends."""
    with new_version(tmp_path, None) as version:
        version.folder.mkdir()
        (version.folder / SAVED_MODEL).write_text("first to begin")
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / SAVED_MODEL).write_text("first to end")
    assert version.name == str(tmp_path / "2")
    assert (tmp_path / "1" / SAVED_MODEL).read_text() == "first to end"


def test_what_fails_leaves_nothing(tmp_path):
    out = tmp_path / "models"
    with pytest.raises(RuntimeError), new_version(out, None) as version:
        version.folder.mkdir(parents=True)
        (version.folder / SAVED_MODEL).write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="holds no training run"):
        export(tmp_path / "no_run", out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "number", "said"),
    [
        ("models/1", None, "named like a version; .* the folder above it, with --version=1"),
        ("models/1/", 2, "named like a version"),
        ("s3://bucket/models/3", None, "named like a version; .* --version=3"),
        ("models", 0, "version=0: expected a number from 1"),
        ("models", 2**63, "version=9223372036854775808: expected"),
        ("file", None, "out='file' is a file"),
    ],
)
def test_places_that_cannot_be_are_refused_before_any_work(
    tmp_path, monkeypatch, out, number, said
):
    monkeypatch.chdir(tmp_path)
    pathlib.Path("file").touch()
    with pytest.raises(ConfigError, match=said), new_version(out, number):
        raise AssertionError("the work has begun")
    assert os.listdir() == ["file"]


def test_a_bucket_numbers_its_versions_too():
    url = "ram://bucket/versions"
    for expected in ("1", "2"):
        assert write(url) == f"{url}/{expected}"
    assert write(url, 9) == f"{url}/9" and write(url) == f"{url}/10"
    with pytest.raises(FileExistsError, match="versions/2 exists already"):
        write(url, 2)
    assert files.read(f"{url}/2/{SAVED_MODEL}") == b"model"


def test_the_command_says_what_it_has_made(tiny_run, tmp_path, capsys):
    command = ["export", f"--model_dir={tiny_run(variant='f_r2d_10')}", f"--out={tmp_path}/m"]
    assert main([*command, "--version=3", "--top_k=2"]) == 0
    out = capsys.readouterr().out
    assert f"SavedModel: {tmp_path}/m/3\n" in out and f"see {tmp_path}/m/README.md" in out
    assert main([*command, "--top_k=9"]) == 1
    assert "top_k=9: expected a number from 1 to 8" in capsys.readouterr().err
    assert main([*command, "--model=mc3_18.kinetics400_16f"]) == 2
    assert "--model_dir and --model are both given" in capsys.readouterr().err
    assert numbers(tmp_path / "m") == ["3"]


def started(run, out):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "r21d_keras.training.cli", "export"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([*command, f"--model_dir={run}", f"--out={out}"], env=env)


def sizes(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_watching_server_never_sees_half_a_model(tiny_run, tmp_path):
    """Killed at its work it leaves no version; the next is whole as soon as it can be seen."""
    run, out = tiny_run(variant="f_r2d_10"), tmp_path / "models"
    killed = started(run, out)
    until(lambda: list(out.glob(".unfinished.*/*")), [killed])
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert numbers(out) == [] and len(list(out.glob(".unfinished.*"))) == 1
    seen, stop = {}, threading.Event()

    def watch():
        while not stop.is_set():
            if (out / "1").is_dir():
                seen.update(sizes(out / "1"))
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert started(run, out).wait(300) == 0
    finally:
        stop.set()
        watcher.join()
    assert seen == sizes(out / "1") and SAVED_MODEL in seen
    assert not list(out.glob(".unfinished.*"))
