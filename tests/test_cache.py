"""Originals: got once, checked, mirrored. Their conversion is tests/test_cache_weights.py."""

import os
import pathlib
import sys
from concurrent.futures import ThreadPoolExecutor

import filelock
import pytest

from r21d_keras.zoo import cache
from r21d_keras.zoo.errors import CheckpointError, DownloadError
from tests.cached_rows import BODY, NAME, OTHER, SHA256, SHA256_OTHER, assert_says, get, row_of
from tests.waits import until


@pytest.fixture
def row(server):
    """A row without a published hash, whose authors' server is `server`."""
    return row_of(url=server.serve(NAME, BODY), file_name=NAME)


def test_home_is_r21d_home_else_in_keras_home(monkeypatch, tmp_path):
    monkeypatch.setenv("R21D_HOME", "~/here")
    assert cache.home() == pathlib.Path.home() / "here"
    monkeypatch.setenv("R21D_HOME", "")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert cache.home() == tmp_path / "r21d"
    monkeypatch.delenv("KERAS_HOME")
    assert cache.home() == pathlib.Path.home() / ".keras" / "r21d"


def test_an_original_is_fetched_once_and_its_hash_kept(home, server, row):
    path = get(row)
    assert path == home / "downloads" / NAME and path.read_bytes() == BODY
    assert get(row) == path and len(server.requests) == 1
    assert path.with_name(f"{NAME}.sha256").read_text() == f"{SHA256}  {NAME}\n"


def test_who_waits_for_another_process_says_so(home, row, caplog):
    (home / "downloads").mkdir(parents=True)
    lock = filelock.FileLock(home / "downloads" / f"{NAME}.lock")
    with ThreadPoolExecutor(1) as pool:
        with lock:
            waiting = pool.submit(get, row)
            until(lambda: "Waiting for another process" in caplog.text or waiting.done())
            assert not waiting.done()
        assert waiting.result().read_bytes() == BODY


def put_by_hand(home, body):
    path = home / "downloads" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(body)
    return path


@pytest.mark.parametrize("file_hash", [None, f"sha256:{SHA256}", f"sha256:{SHA256[:8]}"])
def test_an_original_put_there_by_hand_is_used(home, server, file_hash, monkeypatch):
    monkeypatch.setenv("R21D_OFFLINE", "1")
    path = put_by_hand(home, BODY)
    row = row_of(url=f"{server.url}/{NAME}", file_name=NAME, file_hash=file_hash)
    assert get(row) == path and server.requests == []
    assert SHA256 in path.with_name(f"{NAME}.sha256").read_text()


def test_another_file_put_there_is_neither_used_nor_replaced(home, server):
    path = put_by_hand(home, OTHER)
    url = server.serve(NAME, BODY)
    row = row_of(url=url, file_name=NAME, file_hash=f"sha256:{SHA256}")
    for _ in range(2):
        with pytest.raises(CheckpointError) as error:
            get(row)
        assert_says(error, SHA256, SHA256_OTHER, f"Delete {path}", row.page)
        assert path.read_bytes() == OTHER and server.requests == []
    path.unlink()
    assert get(row).read_bytes() == BODY


def test_the_first_file_seen_is_the_one_that_counts(home, server, row):
    path, kept = get(row), home / "downloads" / f"{NAME}.sha256"
    path.write_bytes(OTHER)  # it changes in the cache
    with pytest.raises(CheckpointError) as error:
        get(row)
    assert_says(error, SHA256, SHA256_OTHER, f"Delete {path}", kept)
    path.unlink()
    server.serve(NAME, OTHER)  # it changes at its origin
    with pytest.raises(CheckpointError) as error:
        get(row)
    assert_says(error, SHA256, SHA256_OTHER, "Nothing was kept", kept)
    assert not path.exists() and SHA256 in kept.read_text()
    kept.unlink()  # as the message says: the user trusts the new one
    assert get(row).read_bytes() == OTHER and SHA256_OTHER in kept.read_text()


def test_a_damaged_record_of_a_hash_is_said(home, row):
    get(row)
    kept = home / "downloads" / f"{NAME}.sha256"
    kept.write_text("?")
    with pytest.raises(CheckpointError, match=f"{kept} has lines .* Delete it"):
        get(row)


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_offline_says_which_file_to_put_where(home, server, row, monkeypatch, value):
    monkeypatch.setenv("R21D_OFFLINE", value)
    monkeypatch.setenv("R21D_MIRROR", server.url)
    with pytest.raises(DownloadError) as error:
        get(row)
    path = home / "downloads" / NAME
    assert_says(error, "R21D_OFFLINE", row.name, NAME, row.url, row.page, path)
    assert server.requests == []


@pytest.mark.parametrize("value", ["", "0", "False"])
def test_offline_can_be_said_not_to_be(home, row, monkeypatch, value):
    monkeypatch.setenv("R21D_OFFLINE", value)
    assert get(row).read_bytes() == BODY


def test_a_dead_link_says_which_file_to_put_where(home, server):
    row = row_of(url=f"{server.url}/gone.pkl", file_name=NAME)
    with pytest.raises(DownloadError, match="404") as error:
        get(row)
    assert_says(error, row.url, row.page, home / "downloads" / NAME)


@pytest.mark.skipif(sys.platform != "linux", reason="/sys, which root cannot write to either")
def test_a_home_that_cannot_be_written_to(row, server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for folder in ("/sys/kernel/r21d", tmp_path / "file" / "r21d"):
        monkeypatch.setenv("R21D_HOME", str(folder))
        for call in (cache.original_file, cache.weights_file):
            with pytest.raises(DownloadError, match="can be written to, or name another") as error:
                call(row)
            assert_says(error, "R21D_HOME", row.page, f"{folder}/downloads/{NAME}")
    assert server.requests == []


JUNK = {
    "nothing": b"",
    "json": b'{"error": "rate limited"}',
    "cut off": BODY[:-1000],
}


@pytest.mark.parametrize("kind", JUNK)
def test_what_is_no_checkpoint_is_neither_kept_nor_its_hash(home, server, row, kind):
    server.serve(NAME, JUNK[kind])
    for _ in range(2):
        with pytest.raises(CheckpointError, match=f"{NAME} is no checkpoint: ") as error:
            get(row)
        assert_says(error, "Nothing was kept", row.url, row.page, home / "downloads" / NAME)
        assert ".part" not in str(error.value)
        assert os.listdir(home / "downloads") == [f"{NAME}.lock"]
    server.serve(NAME, BODY)
    assert get(row).read_bytes() == BODY


def test_what_is_no_checkpoint_is_not_used_if_put_there_either(home, row):
    path = put_by_hand(home, JUNK["json"])
    with pytest.raises(CheckpointError, match=f"{NAME} is no checkpoint: .* Delete {path}"):
        get(row)
    assert path.read_bytes() == JUNK["json"]
    assert not path.with_name(f"{NAME}.sha256").exists()


@pytest.mark.skipif(not os.path.isfile("/proc/self/mem"), reason="a file that cannot be read")
@pytest.mark.parametrize("in_mirror", [True, False])
def test_a_file_that_cannot_be_read_is_not_one_that_cannot_be_written(
    home, row, tmp_path, monkeypatch, in_mirror
):
    unreadable = (tmp_path / "mirror" if in_mirror else home / "downloads") / NAME
    unreadable.parent.mkdir(parents=True)
    unreadable.symlink_to("/proc/self/mem")
    if in_mirror:
        monkeypatch.setenv("R21D_MIRROR", str(unreadable.parent))
    with pytest.raises(DownloadError, match=f"{unreadable} cannot be read .*nput/output") as error:
        get(row)
    assert_says(error, row.page)
    assert "cannot be made" not in str(error.value)
    assert not (home / "downloads" / f"{NAME}.part").exists()
