"""The picture of a watch: bounded memory, what is drawn, what a report says."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from r21d_keras.training.watch import timeline as module
from r21d_keras.training.watch.reading import Event
from r21d_keras.training.watch.report import Report
from r21d_keras.training.watch.timeline import MAX_PICTURES, MAX_POINTS, Timeline
from r21d_keras.training.watch.watch import Answer

CLASSES = ("juggling", "$climbing$", "w\u00e4ving", "other")


def answer(start_s, best=0, piece=0, live=True, **changed):
    probabilities = np.full(4, 0.1, np.float32)
    probabilities[best] = 0.7
    usual = {
        "name": "rtsp://camera",
        "live": live,
        "piece": piece,
        "start_s": start_s,
        "end_s": start_s + 1.0,
        "probabilities": probabilities,
        "labels": tuple(CLASSES[place] for place in np.argsort(-probabilities, kind="stable")),
        "scores": tuple(np.sort(probabilities)[::-1].astype(float)),
        "clock_s": 1.7e9 + start_s,
        "delay_s": 0.25,
        "skipped": 0,
        "picture": np.full((9, 12, 3), 50 * best, np.uint8),
        "aspect": 16 / 9,
    }
    return Answer(**usual | changed)


def timeline():
    return Timeline(CLASSES, 0.5, "rtsp://camera")


def colours(path):
    return {tuple(pixel) for pixel in np.unique(imread(path)[..., :3].reshape(-1, 3), axis=0)}


@pytest.mark.parametrize("pieces", [1, 7, 5000])
def test_memory_is_bounded_however_long_a_watch_is(pieces):
    line, count = timeline(), 5000
    for number in range(count):
        line.add(answer(number * 0.5, number // 1000 % 4, number * pieces // count))
        assert len(line._points) <= MAX_POINTS and len(line._pictures) <= MAX_PICTURES
    assert line._points[0].start == 0.0 and line._points[-1].end == count * 0.5 + 0.5
    assert len(line._starts) == 1
    # Nothing is lost, but that neighbours are one.
    assert sum(point.count for point in line._points) == count
    total = sum(point.probabilities for point in line._points)
    np.testing.assert_allclose(total / count, [0.34, 0.22, 0.22, 0.22], atol=1e-5)


def test_rows_are_of_the_labels_that_were_best_the_longest():
    means = np.array([[0.6, 0.1, 0.2, 0.1]] * 3 + [[0.1, 0.1, 0.2, 0.6]] * 4)
    assert module._labels_shown(means, means.argmax(axis=1)).tolist() == [3, 0, 2]


def test_what_was_lost_is_grey_and_the_best_is_coloured(tmp_path):
    line, without = timeline(), timeline()
    for start in range(10):
        line.add(answer(start))
        without.add(answer(start))
        line.add(answer(start + 30, 1, piece=1)) if start == 9 else None
    for name, drawn in (("lost.png", line), ("whole.png", without)):
        drawn.draw(tmp_path / name)
    faint = np.float32([0xD1 / 255, 0xD5 / 255, 0xDB / 255])
    best = np.float32([0xC2 / 255, 0x41 / 255, 0x0C / 255])
    shares = {}
    for name in ("lost.png", "whole.png"):
        pixels = imread(tmp_path / name)[..., :3]
        shares[name] = [np.isclose(pixels, c, atol=1e-3).all(axis=-1).mean() for c in (faint, best)]
    assert shares["lost.png"][0] > 0.1 > 0.02 > shares["whole.png"][0]
    assert min(shares["lost.png"][1], shares["whole.png"][1]) > 0.01
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["lost.png", "whole.png"]


def test_files_follow_each_other_on_the_axis():
    line = timeline()
    for piece in range(3):
        for start in (0.0, 0.5, 1.0):
            line.add(answer(start, piece=piece, live=False))
    bounds, _, _ = line._columns()
    assert bounds.tolist() == [
        [2.0 * piece + start, 2.0 * piece + end]
        for piece in range(3)
        for start, end in ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0))
    ]


def test_nothing_is_drawn_of_nothing(tmp_path):
    timeline().draw(tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def test_text_says_when_what_and_how_it_went(capsys):
    report = Report(False, 2)
    report.event(Event("file", "a.mp4"))
    report.event(Event("file", "b.mp4"))  # which is read while a.mp4 is answered
    report.answer(answer(3.0, 2, live=False))
    report.event(Event("lost", "rtsp://camera", "it has ended."))
    report.answer(answer(9.5, 1, skipped=4, delay_s=1.5))
    report.event(Event("bad_file", "b.mp4", "is empty (0 bytes)."))
    out, err = capsys.readouterr()
    first, second, third = out.splitlines()
    assert first == "rtsp://camera"  # what the answer is of, not what is read
    assert second == "     3.0 s    70.0%  w\u00e4ving    10.0%  juggling"
    assert third.split()[1:] == ["9.5", "s", "70.0%", "$climbing$", "10.0%", "juggling"]
    assert err.splitlines()[0] == "r21d watch: rtsp://camera: it has ended. Trying again."
    assert "4 windows skipped: the network is slower than the source" in err
    assert report.summary() == (
        "2 answers, 4 windows skipped, at most 1.50 s late, lost 1 time, 1 file could not be read."
    )


def test_windows_that_are_skipped_behind_the_last_answer_are_told(capsys):
    report = Report(True, 1)
    report.event(Event("skipped", "rtsp://camera", "3 windows so far.", 3))
    out, err = capsys.readouterr()
    assert json.loads(out)["skipped"] == 3 and "3 windows skipped" in err
    assert report.summary() == "0 answers, 3 windows skipped."


def test_json_lines_are_answers_and_events(capsys):
    report = Report(True, 1)
    report.answer(answer(3.0, 2))
    report.event(Event("back", "rtsp://camera"))
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first == {
        "source": "rtsp://camera",
        "start_s": 3.0,
        "end_s": 4.0,
        "labels": [{"label": "w\u00e4ving", "score": 0.7}],
        "clock": "2023-11-14T22:13:23.000+00:00",
        "delay_s": 0.25,
        "skipped": 0,
    }
    assert second["event"] == "back" and "reason" not in second
