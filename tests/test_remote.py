"""Files at URLs: what a server does, well or badly, is told in bounded time."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.config import ConfigError
from r21d_keras.training.remote import bounded, copies, files, schemes, urls, window
from r21d_keras.training.remote.urls import AbsentError, RemoteError
from tests import buckets
from tests.moody_server import STALLED

BODY = bytes(range(256)) * 4000  # 1 MB: more than any buffer on the way


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    """A web server on a folder with one file, x."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "x").write_bytes(BODY)
    (folder / "empty").touch()
    with buckets.web(folder) as server:
        yield server


@pytest.fixture(autouse=True)
def good_mood(web, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield
    web.mood, web.moods, web.cut = "well", [], None
    web.requests.clear()


@pytest.mark.parametrize(
    ("place", "remote"),
    [
        ("s3://bucket/x", True),
        ("GS://bucket", True),
        ("https://host/x", True),
        ("/tmp/x", False),
        ("runs/x", False),
        ("C:\\runs", False),
        ("", False),
        (pathlib.Path("x"), False),
    ],
)
def test_what_is_a_url(place, remote):
    assert urls.is_remote(place) == remote


def test_urls_are_joined_and_shown_without_passwords():
    assert urls.join("s3://bucket/run/", "a", "b") == "s3://bucket/run/a/b"
    assert urls.shown("https://me:secret@host/x") == "https://host/x"
    assert "secret" not in str(RemoteError("https://me:secret@host/x", "gone"))


def test_a_file_is_read_in_whole_and_in_part(web, tmp_path):
    url = f"{web.url}/x"
    assert files.size(url) == len(BODY) and files.read(url) == BODY
    assert files.read_range(url, 1000, 300, len(BODY)) == BODY[1000:1300]
    assert files.read_range(url, len(BODY) - 5, 300, len(BODY)) == BODY[-5:]
    assert files.read_range(url, len(BODY), 300, len(BODY)) == b""
    assert files.size(f"{web.url}/empty") == 0 and files.read(f"{web.url}/empty") == b""
    files.download(url, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == BODY


def test_an_absent_file_is_told_from_a_refused_one(web):
    with pytest.raises(AbsentError, match=r"http://.*/none: 404 .*Look at the name"):
        files.size(f"{web.url}/none")
    web.mood = 403
    with pytest.raises(RemoteError, match=r"/x: 403 Forbidden\. Check the credentials") as caught:
        files.read(f"{web.url}/x")
    assert not isinstance(caught.value, AbsentError)
    assert len(web.requests) == 2  # each once: neither passes


def test_a_busy_server_is_asked_again(web, log):
    web.moods = [503, 429, 500]
    assert files.read(f"{web.url}/x") == BODY
    assert "503 Service Unavailable. Asked again, for 60 s." in log.text
    assert log.text.count("Asked again") == 1


@pytest.mark.parametrize("mood", [503, STALLED])
def test_a_server_that_stays_busy_or_silent_is_given_up(web, monkeypatch, mood):
    monkeypatch.setenv(bounded.TIMEOUT, "1.5")
    web.mood = mood
    told = {503: "503 Service Unavailable, for 1.5 s", STALLED: "no answer within 1.5 s|timed out"}
    with pytest.raises(RemoteError, match=told[mood]):
        files.size(f"{web.url}/x")


def test_a_body_that_stalls_is_given_up(web, monkeypatch):
    monkeypatch.setenv(bounded.TIMEOUT, "1")
    web.cut = 1000
    with pytest.raises(RemoteError, match="no answer within|timed out"):
        files.read_range(f"{web.url}/x", 0, 10_000, len(BODY))


def test_no_server_at_all(monkeypatch):
    monkeypatch.setenv(bounded.TIMEOUT, "1")
    with pytest.raises(RemoteError, match="not reached, Connection refused"):
        files.size("http://127.0.0.1:9/x")


def test_a_server_without_ranges_is_told_of(tmp_path, monkeypatch):
    """Python's own is one: it sends all of a file, whatever part is asked for."""
    (tmp_path / "x").write_bytes(BODY)
    with buckets.web(tmp_path, "http.server") as server:
        with pytest.raises(RemoteError, match=r"200 where 206 .* heeds Range"):
            files.size(f"{server.url}/x")
        with pytest.raises(RemoteError, match="heeds Range"):
            files.read_range(f"{server.url}/x", 5, 10, len(BODY))


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_the_time_limit_is_a_number(web, monkeypatch, text):
    monkeypatch.setenv(bounded.TIMEOUT, text)
    with pytest.raises(ConfigError, match=rf"R21D_REMOTE_TIMEOUT_S='{text}': expected seconds"):
        files.size(f"{web.url}/x")


def test_nothing_is_written_to_the_web(web, tmp_path):
    for ask in (
        lambda: files.upload(tmp_path, f"{web.url}/x"),
        lambda: files.names(web.url, "x"),
        lambda: files.remove(f"{web.url}/x"),
    ):
        with pytest.raises(RemoteError, match="http:// is read alone"):
            ask()
    assert not web.requests


def test_errors_of_programs_are_not_taken_for_a_servers():
    with pytest.raises(ZeroDivisionError):
        bounded.bounded(lambda: 1 / 0, "s3://bucket/x", lambda error: None)


def test_a_scheme_that_nobody_has():
    with pytest.raises(ConfigError, match=r"foo://x: TensorFlow .* has no foo://\. tensorflow-io"):
        files.size("foo://x")


@pytest.mark.skipif(
    schemes.is_registered("s3") or importlib.util.find_spec("tensorflow_io") is not None,
    reason="tensorflow-io is here",
)
@pytest.mark.parametrize("scheme", ["s3", "az", "hdfs"])
def test_without_tensorflow_io_the_stacks_that_have_it_are_named(scheme):
    told = rf"TensorFlow 2\.\S+ without tensorflow-io has no {scheme}://.*2\.15 to 2\.17.*io\.txt"
    with pytest.raises(ConfigError, match=told):
        files.size(f"{scheme}://bucket/x")


def test_files_of_tensorflow_are_written_listed_and_removed(tmp_path):
    """ram:// is a file system of TensorFlow itself, on every stack."""
    (tmp_path / "x").write_bytes(BODY)
    (tmp_path / "empty").touch()
    assert files.names("ram://bucket/run", "x") == []
    for name in ("x", "a/b/y", "empty"):
        source = "empty" if name == "empty" else "x"
        files.upload(tmp_path / source, f"ram://bucket/run/{name}")
    assert files.names("ram://bucket/run/", "x") == ["a/b/y", "empty", "x"]
    assert files.read("ram://bucket/run/a/b/y") == BODY
    assert files.read_range("ram://bucket/run/x", 1000, 300, len(BODY)) == BODY[1000:1300]
    for name, size in (("x", len(BODY)), ("empty", 0)):
        files.download(f"ram://bucket/run/{name}", tmp_path / "copy")
        assert files.size(f"ram://bucket/run/{name}") == size == os.path.getsize(tmp_path / "copy")
    files.remove("ram://bucket/run/x")
    for name in ("x", "a"):
        with pytest.raises(AbsentError, match=f"ram://bucket/run/{name}: 404"):
            files.size(f"ram://bucket/run/{name}")


@given(
    body=st.binary(max_size=300),
    bounds=st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted),
    reads=st.lists(st.tuples(st.integers(0, 320), st.integers(0, 320)), max_size=5),
    piece=st.integers(1, 64),
)
def test_a_window_reads_as_a_file_does(body, bounds, reads, piece):
    start, end = bounds
    asked = []

    def fetch(first, last):
        asked.append((first, last))
        return body[first:last]

    whole = window.PIECE_BYTES
    window.PIECE_BYTES = piece
    try:
        with window.Window(fetch, start, end) as file:
            for place, length in reads:
                if place < start:
                    with pytest.raises(ValueError, match="before the window"):
                        file.seek(place)
                    continue
                file.seek(place)
                assert file.read(length) == body[:end][place : place + length]
    finally:
        window.PIECE_BYTES = whole
    assert all(start <= first < last <= end and last - first <= piece for first, last in asked)


def test_pieces_are_fetched_once(web):
    shared = window.Windows(web.url)
    for _ in range(3):
        with shared.opened("x", 100, 5000) as file:
            file.seek(200)
            assert file.read(100) == BODY[200:300]
    assert len(web.requests) == 2  # the size, and the bytes


def test_copies_of_what_is_there(web, tmp_path):
    with copies.fetched(web.url, ["x", "none"]) as root:
        assert [path.name for path in root.iterdir()] == ["x"] and (root / "x").stat().st_size
    assert not root.exists()
    with copies.fetched(tmp_path, ["x"]) as root:
        assert root == tmp_path
    assert (copies.kept(web.url, ["x"]) / "x").read_bytes() == BODY


def test_errors_of_a_copy_tell_of_the_url(web):
    with pytest.raises(ValueError, match=rf"^{web.url}/x is bad$"):
        with copies.fetched(web.url, ["x"]) as root:
            raise ValueError(f"{root}/x is bad")


def test_files_are_sent_when_all_went_well():
    with pytest.raises(ZeroDivisionError), copies.sent("ram://bucket/sent") as root:
        (root / "x").write_bytes(BODY)
        _ = 1 / 0
    assert files.names("ram://bucket/sent", "x") == []
    with copies.sent("ram://bucket/sent") as root:
        (root / "a").mkdir()
        (root / "a" / "x").write_bytes(BODY)
    assert files.names("ram://bucket/sent", "x") == ["a/x"]


def test_what_was_sent_of_a_new_folder_is_removed_where_the_rest_is_not_taken(monkeypatch):
    upload = files.upload

    def refused(path, url):
        if url.endswith("last"):
            raise RemoteError(url, "503, busy")
        upload(path, url)

    monkeypatch.setattr(files, "upload", refused)
    with pytest.raises(RemoteError, match="503, busy"):
        with copies.sent("ram://bucket/new/1", last="last", new=True) as root:
            for name in ("a", "last", "z"):
                (root / name).write_bytes(BODY)
    assert files.names("ram://bucket/new", "x") == []
    monkeypatch.setattr(files, "remove", lambda url: refused("", f"{url}/last"))
    with pytest.raises(RemoteError, match="503, busy .*bucket/new/1 may have stayed; remove them"):
        with copies.sent("ram://bucket/new/1", last="last", new=True) as root:
            (root / "last").write_bytes(BODY)


def test_a_process_ends_as_it_wants_to_while_a_server_keeps_it_waiting(web):
    """TensorFlow is not needed for that: a thread that is not back when Python ends."""
    script = (
        "import sys, time; from r21d_keras.training.remote import bounded, leaving\n"
        "try:\n"
        "    bounded.bounded(lambda: time.sleep(60), 's3://bucket/x', lambda error: None)\n"
        "except OSError as error:\n"
        "    print(error, end='')\n"
    )
    for end, code in (
        ("sys.exit(leaving.exits_with(7))", 7),
        ("raise ValueError", 1),
        ("print('.')", 0),
    ):
        done = subprocess.run(
            [sys.executable, "-c", script + end],
            env={**os.environ, bounded.TIMEOUT: "0.2"},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == code and "no answer within 0.2 s" in done.stdout, done.stderr
