"""Broken transfers: continued where the server still has the same file, else begun again."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from r21d_keras.zoo.download import Patience, download
from r21d_keras.zoo.errors import CheckpointError, DownloadError
from tests.http_server import Answer

BODY = random.Random(0).randbytes(3_000_000)
OTHER = random.Random(1).randbytes(3_000_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
CUT = 2_000_000
QUICK = Patience(backoff_s=0.001)
ONCE = Patience(tries=1)
LONG_AGO = "Wed, 21 Oct 2015 07:28:00 GMT"
DATED = {"ETag": None, "Last-Modified": LONG_AGO}
FETCH = """
import sys
from r21d_keras.zoo.download import download
download(sys.argv[1], sys.argv[2])
"""
NO_LARGE_FILES = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.pth"


def process(code, *arguments):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)


def part(path):
    return path.with_name(path.name + ".part")


def begun(server, path, *answers, first):
    """URL of a file whose first transfer broke off, as `first` says; then come `answers`."""
    url = server.serve("net.pth", BODY, first, *(answers or [Answer()]))
    with pytest.raises(DownloadError, match="in 1 tries"):
        download(url, path, patience=ONCE)
    assert 0 < part(path).stat().st_size <= CUT and not path.exists()
    return url


def assert_comes(server, url, path, ranges, **options):
    """The file comes right, by requests with these ranges: the beginning of each, None for all."""
    before = len(server.requests)
    assert download(url, path, patience=QUICK, **options) == SHA256
    assert path.read_bytes() == BODY and os.listdir(path.parent) == [path.name]
    asked = [request.headers.get("Range") for request in server.requests[before:]]
    assert asked == [None if start is None else f"bytes={start}-" for start in ranges]


@pytest.mark.parametrize("headers", [{}, DATED], ids=["etag", "date"])
def test_a_broken_transfer_is_continued(server, path, headers):
    answers = [Answer(cut=CUT, headers=headers), Answer(headers=headers)]
    url = begun(server, path, answers[1], first=answers[0])
    assert_comes(server, url, path, [part(path).stat().st_size])
    assert server.requests[1].headers["If-Range"] == headers.get("Last-Modified", '"1"')


def test_most_of_what_came_is_kept(server, path):
    begun(server, path, first=Answer(cut=CUT))
    assert part(path).stat().st_size > CUT - 2**18


@pytest.mark.parametrize(
    "headers",
    [
        {"ETag": None},
        {"ETag": 'W/"1"'},
        {"ETag": None, "Last-Modified": LONG_AGO, "Date": LONG_AGO},
        {"ETag": None, "Last-Modified": "long ago"},
        {"ETag": None, "Last-Modified": "Wed, 99 Oct 99999 07:28:00 GMT"},
    ],
    ids=["nothing", "weak", "just changed", "no date", "no day"],
)
def test_what_tells_no_version_is_begun_again(server, path, headers):
    answers = [Answer(cut=CUT, headers=headers), Answer(headers=headers)]
    assert_comes(server, begun(server, path, answers[1], first=answers[0]), path, [None])


def test_a_file_that_has_changed_is_begun_again(server, path):
    url = begun(server, path, first=Answer(cut=CUT, body=OTHER, headers={"ETag": '"0"'}))
    assert_comes(server, url, path, [part(path).stat().st_size])  # and the answer is all of it


@pytest.mark.parametrize(
    "answer",
    [
        Answer(headers={"ETag": '"2"'}, careless=True),
        Answer(headers={"Content-Range": "bytes 7-2999999/3000000"}),
        Answer(headers={"Content-Range": "bytes"}),
        Answer(headers={"Content-Encoding": "gzip"}),
    ],
    ids=["other etag", "other range", "no range", "compressed"],
)
def test_a_rest_of_something_else_is_not_taken(server, path, answer):
    url = begun(server, path, answer, Answer(), first=Answer(cut=CUT))
    assert_comes(server, url, path, [part(path).stat().st_size, None])


def test_a_server_without_ranges_sends_all_again(server, path):
    url = begun(server, path, Answer(ranges=False), first=Answer(cut=CUT))
    assert_comes(server, url, path, [part(path).stat().st_size])


def test_another_address_is_not_continued(server, path):
    begun(server, path, first=Answer(cut=CUT, body=OTHER))
    assert_comes(server, server.serve("other.pth", BODY), path, [None])


@pytest.mark.parametrize("note", ["", "[]", '{"url": 1}', "\0"])
def test_a_damaged_note_is_no_note(server, path, note):
    url = begun(server, path, first=Answer(cut=CUT))
    part(path).with_name("net.pth.part.json").write_text(note)
    assert_comes(server, url, path, [None])


def test_progress_renews_patience(server, path):
    """Five pieces of more than a mebibyte come although two failures in a row are too many."""
    body = BODY * 3
    url = server.serve("net.pth", body, Answer(cut=1_800_000))
    download(url, path, patience=Patience(tries=2, backoff_s=0.001))
    assert path.read_bytes() == body and len(server.requests) >= 5


def leave(url, path, content):
    """What a process leaves that was killed between the last byte and the renaming."""
    part(path).write_bytes(content)
    note = {"url": url, "validator": '"1"'}
    part(path).with_name("net.pth.part.json").write_text(json.dumps(note))


def test_a_finished_part_is_checked_and_taken(server, path):
    url = server.serve("net.pth", BODY)
    leave(url, path, BODY)
    assert_comes(server, url, path, [len(BODY)], file_hash=f"sha256:{SHA256}")


def test_a_finished_part_that_is_wrong_is_fetched_again(server, path):
    url = server.serve("net.pth", BODY)
    leave(url, path, OTHER)
    assert_comes(server, url, path, [len(BODY), None], file_hash=f"sha256:{SHA256}")


def test_a_damaged_part_is_fetched_again_once(server, path):
    url = server.serve("net.pth", BODY)
    leave(url, path, OTHER[:CUT])
    assert_comes(server, url, path, [CUT, None], file_hash=f"sha256:{SHA256}")
    leave(url, path, OTHER[:CUT])
    with pytest.raises(CheckpointError, match=SHA256):
        download(url, path, file_hash="sha256:00000000", patience=QUICK)
    assert len(server.requests) == 4 and not part(path).exists()


def test_a_part_longer_than_the_file_is_begun_again(server, path):
    url = server.serve("net.pth", BODY)
    leave(url, path, BODY + b"more")
    assert_comes(server, url, path, [len(BODY) + 4, None])


def test_a_killed_process_is_continued_by_the_next(server, path):
    url = server.serve("net.pth", BODY, Answer(stall=CUT), Answer())
    with process(FETCH, url, path) as killed:
        while killed.poll() is None:
            if part(path).is_file() and part(path).stat().st_size > CUT // 2:
                killed.send_signal(signal.SIGKILL)
            time.sleep(0.01)
    assert killed.returncode == -signal.SIGKILL and not path.exists()
    assert_comes(server, url, path, [part(path).stat().st_size])


def test_a_full_disk_is_said_and_what_came_is_kept(server, path):
    url = server.serve("net.pth", BODY)
    with process(NO_LARGE_FILES + FETCH, url, path) as full:
        error = full.communicate(timeout=60)[1].splitlines()[-1]
    assert full.returncode == 1 and "DownloadError" in error
    assert all(said in error for said in ("Make room", "R21D_HOME", url, str(path))), error
    assert_comes(server, url, path, [1_000_000])
