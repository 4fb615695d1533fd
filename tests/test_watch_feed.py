"""Frames between two threads: in order, in bounded memory, and what is dropped is known."""

import gc
import itertools
import threading
import time
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.data.video import read_clip
from r21d_keras.training.watch.connection import GAP_S, on_grid
from r21d_keras.training.watch.feed import Feed, Segment
from r21d_keras.training.watch.reading import Reader
from r21d_keras.training.watch.source import find_source
from r21d_keras.zoo.preprocessing import KINETICS
from tests.waits import until


class Stamped:
    def __init__(self, time_s):
        self.time_s = time_s


def frame(number):
    return np.full((1, 1, 3), number, np.int32)


def segment(live):
    return Segment("name", live, 0.0, 1.0)


def feed_of(room):
    return Feed(room, lambda silence_s: silence_s < 2)


def windows(part, count, step):
    """(start, the numbers in a window) of each that a segment gives."""
    start, found = 0, []
    while taken := part.take(start, count, step):
        start, frames = taken
        found.append((start, frames[:, 0, 0, 0].tolist()))
        start += step
    return found


@given(
    lengths=st.lists(st.integers(0, 40), min_size=1, max_size=3),
    count=st.integers(1, 8),
    step=st.integers(1, 12),
    spare=st.integers(0, 5),
)
def test_files_are_taken_whole_however_little_room_there_is(lengths, count, step, spare):
    feed = feed_of(count + spare)

    def read():
        for length in lengths:
            feed.begin(segment(False))
            for number in range(length):
                feed.put(frame(number))
        feed.finish()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    for part, length in zip(feed.segments(), lengths, strict=True):
        starts = range(0, length - count + 1, step)
        expected = [(start, list(range(start, start + count))) for start in starts]
        assert windows(part, count, step) == expected
        assert part.length == length and not part.cut
    thread.join()


@given(
    bursts=st.lists(st.integers(0, 30), min_size=1, max_size=8),
    count=st.integers(1, 6),
    step=st.integers(1, 8),
    spare=st.integers(0, 10),
)
def test_live_windows_are_whole_and_in_order_whatever_is_dropped(bursts, count, step, spare):
    """A burst is what comes while the network is at work on one window."""
    feed, part = feed_of(count + max(step, spare)), segment(True)
    feed.begin(part)
    came, start = 0, 0
    for burst in bursts:
        for number in range(came, came + burst):
            feed.put(frame(number))
        came += burst
        if came < start + count:
            continue  # taking would wait
        got, frames = part.take(start, count, step)
        assert frames[:, 0, 0, 0].tolist() == list(range(got, got + count))
        assert got % step == 0 and got >= start
        behind = came - (start + count)
        assert (got == start) == (came - start <= feed._room)
        if got != start:  # what is skipped makes room for the newest that is there
            assert behind > 0 and came - step < got + count <= came
        start = got + step
    feed.finish()
    assert list(feed.segments()) == [part]


def test_memory_holds_no_more_than_the_room():
    feed, kept = feed_of(5), []
    feed.begin(segment(True))
    for number in range(1000):
        pixels = frame(number)
        kept.append(weakref.ref(pixels))
        feed.put(pixels)
    del pixels
    gc.collect()
    assert [number for number, pixels in enumerate(kept) if pixels() is not None] == [
        *range(995, 1000)
    ]


def test_frames_that_nobody_took_before_the_segment_ended_are_known_to_be_cut():
    feed, part = feed_of(6), segment(True)
    feed.begin(part)
    for number in range(20):
        feed.put(frame(number))
    feed.begin(segment(True))
    for number in range(4):
        feed.put(frame(number))
    feed.finish()
    assert windows(part, 4, 2) == [] and part.cut and part.length == 20
    first, second = feed.segments()
    assert windows(second, 4, 2) == [(0, [0, 1, 2, 3])] and not second.cut


def test_frames_of_a_live_source_that_are_late_are_not_taken_though_they_are_there():
    feed = Feed(20, lambda silence_s: True, late_s=0.05)
    for live in (True, False):
        feed.begin(segment(live))
        for number in range(10):
            feed.put(frame(number))
    feed.finish()
    time.sleep(0.1)
    first, second = feed.segments()
    assert windows(first, 4, 2) == [] and first.cut
    assert len(windows(second, 4, 2)) == 4 and not second.cut


def test_a_segment_that_has_ended_is_taken_to_its_end_though_no_other_has_begun():
    feed, part = feed_of(9), segment(False)
    feed.begin(part)
    feed.put(frame(7))
    assert feed.is_reading
    feed.end()
    assert part.length == 1 and not feed.is_reading
    assert windows(part, 1, 1) == [(0, [7])]
    feed.begin(segment(False))
    feed.finish()
    assert len(list(feed.segments())) == 2


def test_it_is_known_when_a_frame_came_however_many_have_come_since():
    feed, part, before_s = feed_of(6), segment(True), time.monotonic()
    feed.begin(part)
    for number in range(4):
        feed.put(frame(number))
    after_s = time.monotonic()
    assert part.take(0, 4, 2)[0] == 0
    time.sleep(0.01)
    for number in range(100):  # while the network is at work
        feed.put(frame(number))
    assert before_s <= part.arrived_s(3) <= after_s
    assert part.take(2, 4, 2)[0] > 90 and len(part.came) < 20


def test_an_error_of_reading_comes_behind_the_frames():
    feed, part = feed_of(9), segment(False)
    feed.begin(part)
    feed.put(frame(7))
    feed.finish(OSError("unplugged"))
    segments = feed.segments()
    assert windows(next(segments), 1, 1) == [(0, [7])]
    with pytest.raises(OSError, match="unplugged"):
        next(segments)


def test_who_waits_is_asked_whether_to_go_on():
    waited = []
    feed = Feed(4, lambda silence_s: waited.append(silence_s) or len(waited) < 3)
    feed.begin(segment(True))
    part = next(feed.segments())
    assert part.take(0, 1, 1) is None
    assert waited == sorted(waited) and len(waited) == 3
    assert not feed.put(frame(0))


@given(
    gaps=st.lists(st.floats(0.001, 1.5), max_size=30),
    rate=st.sampled_from([5.0, 12.5, 15.0, 30.0]),
)
def test_the_grid_shows_what_is_on_show(gaps, rate):
    times = [3.7, *(3.7 + np.cumsum(gaps))]
    shown = [(piece, first, f.time_s) for piece, first, f in on_grid(map(Stamped, times), rate)]
    count = sum((place + 0.5) / rate + 3.7 < times[-1] - 0.002 for place in range(2000))
    places = 3.7 + (np.arange(count) + 0.5) / rate
    expected = [max(t for t in times if t <= place + 0.002) for place in places]
    assert shown == [(0, 3.7, time_s) for time_s in expected]


@pytest.mark.parametrize("jump_s", [GAP_S + 0.5, -GAP_S - 0.5])
def test_a_gap_begins_another_piece_with_a_grid_of_its_own(jump_s):
    one = np.arange(10) / 10
    other = one[-1] + jump_s + np.arange(8) / 10
    found = list(on_grid(map(Stamped, [*one, *other]), 10.0))
    assert [(piece, f.time_s) for piece, _, f in found] == [
        *((0, time_s) for time_s in one[:-1]),
        *((1, time_s) for time_s in other[:-1]),
    ]
    assert {first for piece, first, _ in found if piece} == {other[0]}


def test_frames_out_of_order_by_a_little_are_left_out():
    times = [0.0, 0.1, 0.05, 0.1, 0.2, 0.3]
    assert [f.time_s for _, _, f in on_grid(map(Stamped, times), 10.0)] == [0.0, 0.1, 0.2]


def test_what_is_read_of_every_real_file_is_what_clips_show(test_data):
    for path in sorted((test_data / "clips").iterdir()):
        feed = feed_of(24)
        Reader(find_source(str(path)), feed, KINETICS, 5.0, None).start()
        (part,) = itertools.islice(feed.segments(), 1)
        start, frames = part.take(0, 16, 1)
        clip = read_clip(path, 0.0, 16, KINETICS.frame_rate, "loop", (128, 171))
        np.testing.assert_array_equal(frames, clip, str(path))
        feed.close()


def test_folder_gives_files_once_they_are_whole(tmp_path, monkeypatch):
    from r21d_keras.training.watch import folder as module

    monkeypatch.setattr(module, "SETTLED_S", 0.2)
    (tmp_path / "notes.txt").write_text("no video")
    (tmp_path / ".hidden.mp4").write_bytes(b"0")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "b.mp4").write_bytes(b"first")
    folder, found = module.Folder(tmp_path), []

    def look(for_s):
        until_s = time.monotonic() + for_s
        while time.monotonic() < until_s:
            found.extend(path.name for path in folder.ready())
            time.sleep(0.02)

    assert folder.ready() == []
    with (tmp_path / "a.ts").open("wb") as file:  # grows while others are ready
        for _ in range(10):
            file.write(b"more")
            file.flush()
            look(0.05)
        assert found == ["b.mp4"]
    look(0.3)
    assert found == ["b.mp4", "a.ts"]
    (tmp_path / "b.mp4").write_bytes(b"another one of this name")
    look(0.3)
    assert found == ["b.mp4", "a.ts", "b.mp4"]
    away = tmp_path.with_name("away")
    tmp_path.rename(away)  # as a disk of the network that is gone for a while
    assert folder.ready() == [] and folder.trouble == "cannot be read: No such file or directory."
    away.rename(tmp_path)
    look(0.3)
    assert found == ["b.mp4", "a.ts", "b.mp4"] and not folder.trouble
    kept = tmp_path.with_name("kept")
    kept.mkdir()
    for path in tmp_path.iterdir():
        path.rename(kept / path.name)  # as a share that is not mounted: an empty folder
    assert folder.ready() == [] and not folder.trouble
    for path in kept.iterdir():
        path.rename(tmp_path / path.name)
    look(0.3)
    assert found == ["b.mp4", "a.ts", "b.mp4"]
    monkeypatch.setattr(module, "REMEMBERED", 1)
    for path in tmp_path.iterdir():
        path.unlink()
    assert folder.ready() == [] and len(folder._given) == 1


def test_a_folder_that_goes_away_and_comes_back_is_told(tmp_path):
    folder, told, feed = tmp_path / "in", [], feed_of(4)
    folder.mkdir()
    thread = Reader(find_source(str(folder)), feed, KINETICS, 5.0, told.append).start()
    for act, kind in ((folder.rmdir, "lost"), (folder.mkdir, "back")):
        act()
        until(lambda kind=kind: told and told[-1].kind == kind)
    feed.close()
    thread.join()
    assert [event.kind for event in told] == ["lost", "back"]
    assert told[0].reason == "cannot be read: No such file or directory."
