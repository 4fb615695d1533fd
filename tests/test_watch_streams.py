"""Streams of real processes over RTSP and HTTP, which stall, end, are killed and come back."""

import functools
import itertools
import pathlib
import shutil
import signal
import threading
import time
from dataclasses import replace

import av
import numpy as np
import pytest

from r21d_keras.training.data.video import every_frame
from r21d_keras.training.remote.urls import shown
from r21d_keras.training.watch import reading
from r21d_keras.training.watch.connection import LostError, connect
from r21d_keras.training.watch.source import find_source
from r21d_keras.training.watch.view import load_view
from r21d_keras.training.watch.watch import WatchOptions, watch
from tests.camera import Camera, camera
from tests.http_server import Answer
from tests.waits import until

PATIENT = WatchOptions(stall_s=5.0, give_up_s=120.0)


def into(told):
    """Appends events; where a machine is slow, windows are skipped at any time."""
    return lambda event: event.kind == "skipped" or told.append(event)


@pytest.fixture(scope="module")
def view(tiny_run):
    """Windows of 4 frames at every 2, by an f-R2D-10."""
    return load_view(tiny_run(variant="f_r2d_10"), overlap="recompute")


@pytest.fixture(scope="module")
def film(tmp_path_factory, encode_video):
    """A function: 40 frames of 48x40 at 15 Hz as a file with a suffix."""
    draw = np.random.default_rng(3)
    frames = draw.integers(0, 256, (40, 5, 6, 3), np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    folder = tmp_path_factory.mktemp("films")
    return functools.cache(lambda suffix: encode_video(folder / f"film{suffix}", frames))


def test_a_stream_that_stalls_and_is_killed_is_watched_again(view):
    """By HTTP, where a camera that stalls leaves the connection open."""
    told, answers = [], []
    with camera("http") as first:
        watched = watch(first.url, view, PATIENT, tell=into(told))
        try:
            answers += [next(watched) for _ in range(3)]
            first.send(signal.SIGSTOP)
            _until(told, "lost", watched, answers)
            first.send(signal.SIGCONT)
            _until(told, "back", watched, answers)
            stalled = answers[-1].piece
            first.send(signal.SIGKILL)
            second = _again(first)
            try:
                while answers[-1].piece == stalled:
                    answers.append(next(watched))
            finally:
                second.close()
        finally:
            watched.close()
    assert [event.kind for event in told[:3]] == ["lost", "back", "lost"]
    assert "nothing came for 5 s" in told[0].reason
    assert {event.name for event in told} == {first.url}
    assert [a.piece for a in answers] == sorted(a.piece for a in answers)
    starts = [answer.start_s for answer in answers]
    assert starts == sorted(starts) and all(answer.live for answer in answers)


def test_rtsp_is_watched_and_one_that_is_gone_is_given_up(view):
    told, answers = [], []
    with camera("rtsp") as running:
        watched = watch(running.url, view, replace(PATIENT, give_up_s=4.0), tell=into(told))
        answers += [next(watched) for _ in range(5)]
        running.send(signal.SIGKILL)
        with pytest.raises(LostError, match="gives no frame for .* s: cannot be opened: Conn"):
            answers.extend(watched)
    assert [event.kind for event in told] == ["lost"]
    assert all(0 <= answer.delay_s and answer.scores[0] > 0 for answer in answers)
    assert answers[0].picture.shape == (36, 40, 3) and answers[0].aspect == 64 / 48


def test_connections_that_end_are_followed_by_others(view):
    told = []
    with camera("http", frames=90) as running:
        watched = watch(running.url, view, PATIENT, tell=into(told))
        for answer in watched:
            if answer.piece == 1:
                break
        watched.close()
    assert [event.kind for event in told][:2] == ["lost", "back"]


def test_a_network_that_is_too_slow_skips_windows_and_counts_them(view, monkeypatch):
    score, told = view.alone, []

    def slow(clips):
        time.sleep(0.8)  # twelve frames, and a window is due at every two
        return score(clips)

    monkeypatch.setattr(view.answering, "_score", slow)
    with camera("rtsp") as running:
        options = replace(PATIENT, max_delay_s=0.2, give_up_s=4.0)
        watched = watch(running.url, view, options, tell=told.append)
        answers = [next(watched) for _ in range(6)]
        time.sleep(0.5)  # in which windows come that nobody asks for, until they are late
        running.send(signal.SIGKILL)
        time.sleep(0.5)
        with pytest.raises(LostError):
            answers.extend(watched)
    (skipped,) = (event for event in told if event.kind == "skipped")
    assert (
        skipped.skipped > answers[-1].skipped and f"{skipped.skipped:,} windows" in skipped.reason
    )
    counts = [answer.skipped for answer in answers]
    assert counts == sorted(counts) and counts[-1] > 0
    if answers[-1].piece == 0:
        hops = np.diff([answer.start_s for answer in answers]) * 15 / 2
        np.testing.assert_allclose(hops, np.diff(counts) + 1, atol=1e-6)


@pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
def test_a_file_on_a_web_server_is_watched_to_its_end(view, film, server, suffix):
    path = film(suffix)
    url = server.serve(f"film{suffix}", path.read_bytes())
    expected = list(watch(str(path), view))
    found = list(watch(url, view, PATIENT))
    # The last frame of a stream is not known to be over.
    assert len(expected) == 19 and len(found) == 18
    for answer, one in zip(found, expected, strict=False):
        assert not answer.live and answer.skipped == 0
        assert answer.start_s == pytest.approx(one.start_s, abs=0.002)
        np.testing.assert_allclose(answer.probabilities, one.probabilities, atol=1e-5)


def test_a_file_whose_server_breaks_off_is_not_begun_again(view, film, server):
    content, answers = film(".mkv").read_bytes(), []
    url = server.serve("film.mkv", content, Answer(cut=2 * len(content) // 3))
    with pytest.raises(LostError, match="is lost"):
        answers.extend(watch(url, view, PATIENT))
    assert {answer.piece for answer in answers} == {0} and len(answers) < 18


def test_packets_that_are_damaged_are_told_and_gone_past(view, film, server):
    content, told = bytearray(film(".mkv").read_bytes()), []
    with av.open(str(film(".mkv"))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    for packet in packets[10:13]:
        place = content.find(bytes(packet))
        content[place : place + packet.size] = bytes(packet.size)
    url = server.serve("damaged.mkv", bytes(content))
    answers = list(watch(url, view, PATIENT, tell=into(told)))
    assert len(answers) == 18
    assert {event.kind for event in told} == {"damaged"}


@pytest.mark.parametrize("limit", ["give_up_s", "duration_s"])
def test_a_folder_in_which_nothing_happens_is_left_in_the_end(view, tmp_path, limit):
    assert list(watch(str(tmp_path), view, WatchOptions(**{limit: 0.5}))) == []


@pytest.mark.parametrize("overlap", ["share", "recompute"])
def test_each_file_of_a_folder_is_answered_to_its_end(
    tiny_run, film, encode_video, tmp_path, overlap
):
    """Though no other follows it; one that is shorter than a window too."""
    view = load_view(tiny_run(variant="f_r2d_10"), overlap=overlap)
    alone = [answer.start_s for answer in watch(str(film(".mp4")), view)]
    shutil.copy(film(".mp4"), tmp_path / "0.mp4")
    encode_video(tmp_path / "1.mp4", np.zeros((3, 40, 48, 3), np.uint8))
    answers = list(watch(str(tmp_path), view, WatchOptions(give_up_s=6.0)))
    assert [answer.start_s for answer in answers] == [*alone, 0.0]
    assert pathlib.Path(answers[-1].name).name == "1.mp4"


def test_a_file_that_stalls_is_no_end_of_a_folder(view, film, tmp_path, monkeypatch):
    """As on a share that has gone: here what decodes the file."""
    shutil.copy(film(".mp4"), tmp_path / "0.mp4")
    goes_on = threading.Event()

    def stalling(path, *arguments, **named):
        yield from itertools.islice(every_frame(path, *arguments, **named), 10)
        goes_on.wait()

    monkeypatch.setattr(reading, "every_frame", stalling)
    watched = watch(str(tmp_path), view, WatchOptions(give_up_s=6.0))
    with pytest.raises(LostError, match="gives no frame for"):
        list(watched)
    goes_on.set()


def test_a_folder_that_stays_away_is_lost(view, tmp_path):
    folder, told = tmp_path / "videos", []
    folder.mkdir()
    source = find_source(str(folder))
    folder.rmdir()
    with pytest.raises(LostError, match="gives no frame for .*: cannot be read: No such file"):
        list(watch(source, view, WatchOptions(give_up_s=1.0), tell=into(told)))
    assert [event.kind for event in told] == ["lost"]


def test_what_is_no_video_is_told_at_once(view, server):
    url = server.serve("page.html", b"<html>no video</html>")
    for address in (url, server.url + "/none", "rtsp://127.0.0.1:9/live"):
        with pytest.raises(LostError, match="cannot be opened"):
            next(watch(address, view, PATIENT))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("rtsp://admin:p@ss@10.0.0.7/stream1", "rtsp://10.0.0.7/stream1"),
        (
            "rtsp://h/user=admin&password=secret&channel=1",
            "rtsp://h/user=admin&password=***&channel=1",
        ),
        ("http://h/x_password=secret_channel=1", "http://h/x_password=***"),
        ("https://h/v.mp4?access_token=secret", "https://h/v.mp4?access_token=***"),
        ("https://h/v.mp4?a=1&authToken=secret", "https://h/v.mp4?a=1&authToken=***"),
        ("https://h/v.mp4?X-Amz-Signature=secret&a=1", "https://h/v.mp4?X-Amz-Signature=***&a=1"),
        ("https://h/v.mp4?who=a@b", "https://h/v.mp4?who=a@b"),
        ("s3://bucket/design=3/sig=4/x", "s3://bucket/design=3/sig=4/x"),
    ],
)
def test_secrets_are_taken_out_of_urls(given, expected):
    assert shown(given) == expected


def test_passwords_are_not_shown():
    source = find_source("rtsp://user:secret@127.0.0.1:9/live")
    with pytest.raises(LostError) as error, connect(source, 5.0):
        pass
    assert str(error.value).startswith("rtsp://127.0.0.1:9/live: cannot be opened")


def _until(told, kind, watched, answers):
    """Takes answers until the last event is of a kind, and one answer more where it is "back"."""
    if kind == "lost":  # nothing comes
        until(lambda: told and told[-1].kind == kind)
        return
    while told[-1].kind != kind:
        answers.append(next(watched))
    piece = answers[-1].piece
    while answers[-1].piece == piece == answers[0].piece:
        answers.append(next(watched))


def _again(first: Camera) -> Camera:
    """Another camera where the first one was."""
    until_s = time.monotonic() + 60
    while True:
        try:
            return Camera("http", first.port)
        except ValueError:  # it has printed no port, as it has not got it
            assert time.monotonic() < until_s
