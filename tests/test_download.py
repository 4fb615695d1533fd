"""Downloads from a server that misbehaves; how they are continued is tests/test_partial.py."""

import hashlib
import os
import pty
import random
import re
import socket
import subprocess
import sys
import termios
import time
from email.utils import formatdate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from r21d_keras.zoo.download import MissingError, Patience, copy_file, download
from r21d_keras.zoo.errors import CheckpointError, DownloadError
from tests.http_server import Answer

BODY = random.Random(0).randbytes(3_000_000)
SHA256, SHA1 = hashlib.sha256(BODY).hexdigest(), hashlib.sha1(BODY).hexdigest()
PAGE = "https://authors.example/models"
QUICK = Patience(backoff_s=0.001, connect_s=5.0, read_s=0.5)
FETCH = """
import sys
from r21d_keras.zoo.download import download
print(download(sys.argv[1], sys.argv[2]))
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "downloads" / "net.pth"


def fetch(url, path, **options):
    return download(
        url, path, hint=f"Or see {PAGE}, and put it at {path}.", patience=QUICK, **options
    )


def process(code, *arguments, **options):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=env, text=True, **options)


def assert_nothing_but(path):
    """No other file is left beside `path`, and `path` holds BODY."""
    assert os.listdir(path.parent) == [path.name] and path.read_bytes() == BODY


@pytest.mark.parametrize(
    "file_hash", [None, f"sha256:{SHA256}", f"sha256:{SHA256[:8]}", f"sha1:{SHA1}"]
)
def test_a_file_comes_whole(server, path, file_hash):
    assert fetch(server.serve("net.pth", BODY), path, file_hash=file_hash) == SHA256
    assert_nothing_but(path)
    (request,) = server.requests
    assert request.headers["Accept-Encoding"] == "identity" and "Range" not in request.headers


@pytest.mark.parametrize(
    "file_hash", [f"sha256:{'0' * 64}", f"sha256:{'0' * 8}", f"sha1:{'f' * 40}"]
)
def test_another_hash_is_refused(server, path, file_hash):
    url = server.serve("net.pth", BODY)
    with pytest.raises(CheckpointError, match=f"{SHA256}|{SHA1}") as caught:
        fetch(url, path, file_hash=file_hash)
    for said in (file_hash.split(":")[1], url, PAGE, str(path)):
        assert said in str(caught.value)
    assert os.listdir(path.parent) == [] and len(server.requests) == 1


def test_a_hash_that_is_none_is_refused_before_any_request(server, path):
    with pytest.raises(ValueError, match="file_hash='md5:"):
        fetch(server.serve("net.pth", BODY), path, file_hash="md5:" + "0" * 32)
    assert server.requests == []


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_missing_file_is_asked_for_once(server, path, status):
    url = server.serve("net.pth", BODY, Answer(status=status))
    with pytest.raises(MissingError, match=str(status)) as caught:
        fetch(url, path)
    for said in (url, PAGE, str(path)):
        assert said in str(caught.value)
    assert len(server.requests) == 1 and not path.exists()


@pytest.mark.parametrize("status", [400, 204, 501])
def test_other_answers_are_failures(server, path, status):
    with pytest.raises(DownloadError, match=f"answered {status}"):
        fetch(server.serve("net.pth", BODY, Answer(status=status)), path)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_server_is_asked_again(server, path, status):
    fetch(server.serve("net.pth", BODY, *[Answer(status=status)] * 4, Answer()), path)
    assert len(server.requests) == 5
    assert_nothing_but(path)


def test_a_server_that_stays_busy_is_given_up(server, path):
    with pytest.raises(DownloadError, match=r"in 5 tries: .* 503") as caught:
        fetch(server.serve("net.pth", BODY, Answer(status=503)), path)
    assert len(server.requests) == 5 and PAGE in str(caught.value)


def test_retry_after_is_waited_for(server, path):
    later = Answer(status=429, headers={"Retry-After": "1"})
    past = Answer(status=503, headers={"Retry-After": formatdate(0, usegmt=True)})
    start = time.monotonic()
    fetch(server.serve("net.pth", BODY, past, later, Answer()), path)
    assert time.monotonic() - start >= 1.0
    assert_nothing_but(path)


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_server_that_wants_an_hour_is_given_up(server, path, form):
    wait = {"seconds": "3600", "date": formatdate(time.time() + 3600, usegmt=True)}[form]
    answer = Answer(status=429, headers={"Retry-After": wait})
    with pytest.raises(DownloadError, match=r"429 .* asks to wait 3\d\d\d s"):
        fetch(server.serve("net.pth", BODY, answer), path)
    assert len(server.requests) == 1


def test_a_web_page_is_no_file(server, path):
    answer = Answer(body=b"<html>Gone", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(DownloadError, match="web page") as caught:
        fetch(server.serve("net.pth", BODY, answer), path)
    assert len(server.requests) == 1 and PAGE in str(caught.value)
    assert os.listdir(path.parent) == []


def test_redirects_are_followed(server, path):
    server.serve("there", BODY)
    away = Answer(status=302, headers={"Location": "/there"})
    fetch(server.serve("net.pth", BODY, away), path)
    assert_nothing_but(path)
    assert [request.path for request in server.requests] == ["/net.pth", "/there"]


def test_redirects_in_a_circle_are_a_failure(server, path):
    away = Answer(status=302, headers={"Location": "/net.pth"})
    with pytest.raises(DownloadError, match="redirects"):
        fetch(server.serve("net.pth", BODY, away), path)


def test_a_length_too_long_is_a_broken_transfer(server, path):
    with pytest.raises(DownloadError, match="in 5 tries"):
        fetch(server.serve("net.pth", BODY, Answer(lie=10, headers={"ETag": None})), path)
    assert len(server.requests) == 5 and not path.exists()


def test_a_length_too_short_is_told_by_the_hash(server, path):
    with pytest.raises(CheckpointError, match=SHA256):
        fetch(server.serve("net.pth", BODY, Answer(lie=-10)), path, file_hash=f"sha256:{SHA256}")
    assert os.listdir(path.parent) == []


def test_a_body_compressed_unasked_is_uncompressed(server, path):
    small = Answer(compressed=True)
    fetch(server.serve("net.pth", BODY, Answer(compressed=True, cut=1_500_000), small), path)
    assert_nothing_but(path)
    assert "Range" not in server.requests[1].headers  # of bytes that are not the file's


def test_a_server_that_stalls_is_asked_again(server, path):
    fetch(server.serve("net.pth", BODY, Answer(stall=1_000_000), Answer()), path)
    assert_nothing_but(path)
    assert len(server.requests) == 2


def test_no_server_at_all(path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/net.pth"
    with pytest.raises(DownloadError, match="in 5 tries: .*refused") as caught:
        fetch(url, path)
    for said in (url, PAGE, str(path)):
        assert said in str(caught.value)


@pytest.mark.parametrize("url", ["net.pth", "ftp://127.0.0.1/net.pth", "http://"])
def test_what_is_no_http_url(path, url):
    with pytest.raises(DownloadError, match="cannot be got"):
        fetch(url, path)


def test_a_connection_that_is_not_safe_is_not_tried_again(server, path):
    url = server.serve("net.pth", BODY).replace("http:", "https:")
    with pytest.raises(DownloadError, match="no safe connection"):
        fetch(url, path)
    assert server.requests == [] and not path.exists()


def test_proxies_of_the_environment_are_used(server, path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.delenv("NO_PROXY")
    server.serve("net.pth", BODY)
    fetch("http://authors.invalid/net.pth", path)  # a name that no server bears
    assert_nothing_but(path)


def test_a_file_that_the_disk_cannot_hold_is_not_begun(server, path):
    url = server.serve("net.pth", BODY, Answer(lie=10**18))
    with pytest.raises(DownloadError, match=r"1,000,000,000,003,000,000 bytes to come") as caught:
        fetch(url, path)
    assert "Make room" in str(caught.value) and len(server.requests) == 1
    assert path.with_name("net.pth.part").stat().st_size == 0


@pytest.mark.skipif(sys.platform != "linux", reason="/sys, which root cannot write to either")
def test_a_folder_that_cannot_be_written_to(server, tmp_path):
    (tmp_path / "file").touch()
    for folder in ("/sys/kernel/r21d", tmp_path / "file" / "r21d"):
        with pytest.raises(DownloadError, match="can be written to, or name another") as caught:
            fetch(server.serve("net.pth", BODY), f"{folder}/net.pth")
        assert PAGE in str(caught.value) and f"{folder}/net.pth" in str(caught.value)
    assert server.requests == []


def test_a_progress_bar_is_for_terminals(server, path):
    url = server.serve("net.pth", BODY)
    main_end, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 80))
    with process(FETCH, url, path, stdout=subprocess.PIPE, stderr=terminal) as seen:
        os.close(terminal)
        shown = b""
        while not re.search(rb"100%", shown):
            shown += os.read(main_end, 4096)
        assert seen.communicate(timeout=60)[0] == f"{SHA256}\n"
    os.close(main_end)
    assert b"net.pth" in shown and b"3.00M" in shown
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with process(FETCH, url, path, **pipes) as unseen:
        out, err = unseen.communicate(timeout=60)
    assert out == f"{SHA256}\n" and "net.pth" not in err


ANSWERS = [
    Answer(),
    Answer(status=500),
    Answer(cut=0),
    Answer(cut=1_000_000),
    Answer(cut=1_000_000, headers={"ETag": None}),
    Answer(cut=1_000_000, headers={"ETag": 'W/"1"'}),
    Answer(cut=2_900_000, ranges=False),
    Answer(cut=1_000_000, body=BODY[::-1], headers={"ETag": '"2"'}),
    Answer(cut=500_000, body=BODY[::-1], headers={"ETag": '"2"'}, careless=True),
    Answer(compressed=True, cut=2_000_000),
    Answer(lie=7),
]


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(answers=st.lists(st.sampled_from(ANSWERS), max_size=6))
def test_whatever_the_answers_the_file_is_right_or_not_there(server, path, answers):
    path.unlink(missing_ok=True)
    url = server.serve("net.pth", BODY, *answers, Answer())
    assert download(url, path, patience=Patience(tries=8, backoff_s=0.0)) == SHA256
    assert_nothing_but(path)


def test_a_copy_is_checked(tmp_path, path):
    source = tmp_path / "net.pth"
    with pytest.raises(DownloadError, match="No such file.*HINT"):
        copy_file(source, path, hint="HINT")
    source.write_bytes(BODY)
    with pytest.raises(CheckpointError, match=f"{SHA256}.*copied from {source}"):
        copy_file(source, path, file_hash="sha256:00000000")
    assert os.listdir(path.parent) == []
    assert copy_file(source, path, file_hash=f"sha1:{SHA1[:8]}") == SHA256
    assert_nothing_but(path)
