"""R21D_MIRROR: asked first, checked by its own list, never passed by in silence; and filling it."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import filelock
import pytest

from r21d_keras.zoo import cache
from r21d_keras.zoo.errors import CheckpointError, DownloadError
from tests.cached_rows import (
    BODY,
    NAME,
    OTHER,
    QUICK,
    SHA256,
    SHA256_OTHER,
    assert_says,
    get,
    row_of,
)
from tests.http_server import Answer
from tests.waits import until


@pytest.fixture
def row(server):
    """A row without a published hash, whose authors' server is `server`."""
    return row_of(url=server.serve(NAME, BODY), file_name=NAME)


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder that is a mirror, and holds the file."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    monkeypatch.setenv("R21D_MIRROR", str(folder))
    return folder


@pytest.mark.parametrize("offline", ["0", "1"])
def test_a_folder_is_a_mirror(home, server, row, mirror, monkeypatch, offline):
    monkeypatch.setenv("R21D_OFFLINE", offline)
    assert get(row).read_bytes() == BODY and server.requests == []
    (mirror / NAME).unlink()
    assert get(row).read_bytes() == BODY


def test_a_url_is_a_mirror(home, server, row, monkeypatch):
    monkeypatch.setenv("R21D_MIRROR", f"{server.url}/a/mirror/")
    server.serve("a/mirror/with%20space.pkl", BODY)
    get(row_of(url=row.url, file_name="with space.pkl"))
    asked = [request.path for request in server.requests]
    assert asked == ["/a/mirror/SHA256SUMS", "/a/mirror/with%20space.pkl"]


@pytest.mark.parametrize("by_url", [True, False])
def test_what_a_mirror_lacks_comes_from_its_authors(home, server, row, mirror, monkeypatch, by_url):
    (mirror / NAME).unlink()
    if by_url:
        monkeypatch.setenv("R21D_MIRROR", f"{server.url}/mirror")
    assert get(row).read_bytes() == BODY
    asked = [request.path for request in server.requests]
    assert asked == ["/mirror/SHA256SUMS", f"/mirror/{NAME}"] * by_url + [f"/{NAME}"]


def test_a_mirror_that_fails_is_not_passed_by(home, server, row, monkeypatch):
    server.serve(f"mirror/{NAME}", BODY, Answer(status=503))
    monkeypatch.setenv("R21D_MIRROR", f"{server.url}/mirror")
    with pytest.raises(DownloadError, match="503"):
        get(row)
    assert [request.path for request in server.requests][1:] == [f"/mirror/{NAME}"] * 2


def test_another_file_in_a_mirror_is_refused(home, server, mirror):
    (mirror / NAME).write_bytes(OTHER)
    row = row_of(url=f"{server.url}/{NAME}", file_name=NAME, file_hash=f"sha256:{SHA256}")
    with pytest.raises(CheckpointError) as error:
        get(row)
    assert_says(error, SHA256, SHA256_OTHER, mirror / NAME)
    assert not (home / "downloads" / NAME).exists() and server.requests == []


@pytest.mark.parametrize("value", ["/no/such/folder", "s3://bucket/zoo"])
def test_what_is_no_mirror(home, server, row, monkeypatch, value):
    monkeypatch.setenv("R21D_MIRROR", value)
    with pytest.raises(DownloadError, match=f"R21D_MIRROR='{value}' is neither"):
        get(row)
    assert server.requests == []


@pytest.fixture
def rows(server):
    """Three rows: with the hash of the file, without any, and with a dead link."""
    return [
        row_of(url=server.serve("a.pkl", BODY), file_name="a.pkl", file_hash=f"sha256:{SHA256}"),
        row_of(url=server.serve("b.pkl", OTHER), file_name="b.pkl"),
        row_of(url=f"{server.url}/c.pkl", file_name="c.pkl"),
    ]


def test_a_mirror_is_filled_but_for_dead_links(home, server, rows, tmp_path, monkeypatch):
    folder = tmp_path / "new" / "mirror"
    with pytest.raises(DownloadError, match=f"1 of the files are not in {folder}") as error:
        cache.fill_mirror(reversed(rows), folder, patience=QUICK)
    assert_says(error, "c.pkl", "404", rows[2].url)
    sums = folder / "SHA256SUMS"
    assert sums.read_text() == f"{SHA256}  a.pkl\n{SHA256_OTHER}  b.pkl\n"
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", sums.name], cwd=folder, check=True)
    asked = len(server.requests)
    cache.fill_mirror(rows[:2], folder)
    assert len(server.requests) == asked and not home.exists()
    monkeypatch.setenv("R21D_MIRROR", str(folder))
    monkeypatch.setenv("R21D_OFFLINE", "1")
    assert [get(row).read_bytes() for row in rows[:2]] == [BODY, OTHER]
    os.remove(folder / "b.pkl")
    cache.fill_mirror(rows[:2], folder)  # from the cache
    assert (folder / "b.pkl").read_bytes() == OTHER


def test_a_file_of_a_mirror_is_not_replaced_by_another(home, server, rows, tmp_path):
    cache.fill_mirror(rows[:2], tmp_path)
    for name in ("a.pkl", "b.pkl"):
        (tmp_path / name).write_bytes(b"other")
    with pytest.raises(DownloadError, match="2 of the files") as error:
        cache.fill_mirror(rows[:2], tmp_path)
    assert_says(error, SHA256, SHA256_OTHER, hashlib.sha256(b"other").hexdigest())
    assert (tmp_path / "b.pkl").read_bytes() == b"other"
    os.remove(tmp_path / "b.pkl")
    server.serve("b.pkl", BODY)
    with pytest.raises(DownloadError, match="Nothing was kept") as error:
        cache.fill_mirror(rows[1:2], tmp_path)
    assert_says(error, SHA256, SHA256_OTHER, tmp_path / "SHA256SUMS")
    assert not (tmp_path / "b.pkl").exists()
    assert re.search(f"{SHA256_OTHER}  b.pkl", (tmp_path / "SHA256SUMS").read_text())


def test_what_is_no_checkpoint_does_not_get_into_a_mirror(home, server, rows, tmp_path):
    server.serve("b.pkl", b'{"error": "rate limited"}')
    with pytest.raises(DownloadError, match="1 of the files .*\n.*b.pkl is no checkpoint"):
        cache.fill_mirror(rows[:2], tmp_path / "mirror")
    assert (tmp_path / "mirror" / "SHA256SUMS").read_text() == f"{SHA256}  a.pkl\n"
    assert not (tmp_path / "mirror" / "b.pkl").exists()


def test_a_mirror_is_filled_without_keras(home, rows, tmp_path):
    program = (
        "import sys; from r21d_keras.zoo import cache; from tests.cached_rows import row_of;"
        "assert 'keras' not in sys.modules;"
        "cache.fill_mirror([row_of(url=sys.argv[1], file_name='b.pkl')], sys.argv[2]);"
        "sys.exit('keras' in sys.modules)"
    )
    command = [sys.executable, "-c", program, rows[1].url, str(tmp_path / "mirror")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run(command, env=env, check=True, timeout=120)
    assert (tmp_path / "mirror" / "b.pkl").read_bytes() == OTHER


@pytest.mark.parametrize("by_url", [True, False])
def test_a_mirrors_own_list_of_hashes_is_compared(home, server, row, mirror, monkeypatch, by_url):
    """A list of good files beside a file that has changed since."""
    (mirror / "SHA256SUMS").write_text(f"{SHA256}  {NAME}\n")
    (mirror / NAME).write_bytes(OTHER)
    if by_url:
        serve_mirror(server, mirror, monkeypatch)
    for _ in range(2):
        with pytest.raises(
            CheckpointError, match="Nothing was kept of it. Fill the mirror"
        ) as error:
            get(row)
        assert_says(error, SHA256, SHA256_OTHER, os.environ["R21D_MIRROR"] + "/SHA256SUMS")
        assert os.listdir(home / "downloads") == [f"{NAME}.lock"]
    (mirror / NAME).write_bytes(BODY)
    if by_url:
        serve_mirror(server, mirror, monkeypatch)
    assert get(row).read_bytes() == BODY


def serve_mirror(server, folder, monkeypatch):
    for path in folder.iterdir():
        server.serve(f"mirror/{path.name}", path.read_bytes())
    monkeypatch.setenv("R21D_MIRROR", f"{server.url}/mirror")


@pytest.mark.parametrize("by_url", [True, False])
def test_a_list_of_hashes_that_is_none_is_said(home, server, row, mirror, monkeypatch, by_url):
    (mirror / "SHA256SUMS").write_text('{"error": "no such page"}')
    if by_url:
        serve_mirror(server, mirror, monkeypatch)
    with pytest.raises(CheckpointError, match="mirror/SHA256SUMS has lines that are not"):
        get(row)
    assert not (home / "downloads" / NAME).exists()


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_mirror_need_have_no_list(home, server, row, monkeypatch, status):
    server.serve(f"mirror/{NAME}", BODY)
    server.serve("mirror/SHA256SUMS", BODY, Answer(status=status))
    monkeypatch.setenv("R21D_MIRROR", f"{server.url}/mirror")
    assert get(row).read_bytes() == BODY


@pytest.mark.parametrize("status", [401, 403])
def test_a_mirror_that_refuses_is_not_passed_by(home, server, row, monkeypatch, status):
    server.serve(f"mirror/{NAME}", BODY, Answer(status=status))
    monkeypatch.setenv("R21D_MIRROR", f"{server.url}/mirror")
    with pytest.raises(
        DownloadError, match=f"/mirror/{NAME}: the server answered {status}"
    ) as error:
        get(row)
    assert_says(error, f"R21D_MIRROR='{server.url}/mirror'", "unset it", row.url)
    assert f"/{NAME}" not in [request.path for request in server.requests]


@pytest.mark.parametrize("status", [404, 410, None])
def test_a_mirror_without_the_file_is_named(home, server, row, mirror, monkeypatch, caplog, status):
    (mirror / NAME).unlink()
    what = f"{mirror / NAME} is not there"
    if status:
        url = server.serve(f"mirror/{NAME}", BODY, Answer(status=status))
        monkeypatch.setenv("R21D_MIRROR", f"{server.url}/mirror")
        what = f"{url}: the server answered {status}"
    said = (f"R21D_MIRROR='{os.environ['R21D_MIRROR']}' was asked first: ", what)
    assert get(row).read_bytes() == BODY
    assert all(part in caplog.text for part in (*said, row.url))
    (home / "downloads" / NAME).unlink()
    server.serve(NAME, BODY, Answer(status=404))
    with pytest.raises(DownloadError, match=f"/{NAME}: the server answered 404") as error:
        get(row)
    assert_says(error, *said, row.page)


def test_offline_says_what_became_of_the_mirror(home, server, row, mirror, monkeypatch):
    monkeypatch.setenv("R21D_OFFLINE", "1")
    (mirror / NAME).unlink()
    with pytest.raises(DownloadError, match="R21D_OFFLINE") as error:
        get(row)
    assert_says(error, f"R21D_MIRROR='{mirror}' was asked first: {mirror / NAME} is not there")
    monkeypatch.setenv("R21D_MIRROR", server.url)
    with pytest.raises(DownloadError, match="R21D_OFFLINE") as error:
        get(row)
    assert_says(error, f"R21D_MIRROR='{server.url}' is no folder, and was not asked")
    assert server.requests == []


def test_filling_the_cache_itself_waits_for_who_works_there(home, row, caplog):
    """Two downloads of one file would write to the same unfinished one."""
    folder = home / "downloads"
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(1) as pool:
        with filelock.FileLock(folder / f"{NAME}.lock"):
            waiting = pool.submit(cache.fill_mirror, [row], folder)
            until(lambda: "Waiting for another process" in caplog.text or waiting.done())
            assert not waiting.done()
            assert os.listdir(folder) == [f"{NAME}.lock"]
        waiting.result()
    assert (folder / NAME).read_bytes() == BODY and get(row).read_bytes() == BODY


def test_two_mirrors_are_filled_at_once(home, server, rows, tmp_path):
    """In either order: neither waits for a lock that the other keeps for good."""
    with ThreadPoolExecutor(2) as pool:
        for order in (rows[:2], rows[1::-1]):
            pool.submit(cache.fill_mirror, order, tmp_path / "mirror")
    names = (tmp_path / "mirror" / "SHA256SUMS").read_text().split()[1::2]
    assert names == ["a.pkl", "b.pkl"] and len(server.requests) == 2
