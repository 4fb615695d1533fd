import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from r21d_keras.training import motion
from r21d_keras.training.frames import resize_clip
from r21d_keras.training.shapes import SIDE, draw_frames, random_look
from r21d_keras.training.video import probe, read_clip

LABEL = {name: label for label, name in enumerate(motion.CLASSES)}


def _render(name: str, seed: int, num_frames: int = 8) -> np.ndarray:
    return motion.render_clip(LABEL[name], num_frames, 15.0, np.random.default_rng(seed))


def _shape_pixels(clip: np.ndarray, seed: int) -> np.ndarray:
    """Where the shape is, bool (T, SIDE, SIDE): whatever is not the ground."""
    ground = random_look(np.random.default_rng(seed)).ground  # the first that a clip draws
    return np.abs(clip.astype(int) - ground).max(axis=-1) > 8


def _turns(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Steps of the centre along an axis of the torus, in turns from -1/2 to 1/2: (T - 1,)."""
    share = pixels.sum(axis=axis)
    phase = np.angle(share @ np.exp(2j * np.pi * np.arange(SIDE) / SIDE)) / (2 * np.pi)
    return (np.diff(phase) + 0.5) % 1 - 0.5


@pytest.mark.parametrize("seed", range(5))
def test_directions(seed):
    for name, axis, sign in (("left", 1, -1), ("right", 1, 1), ("up", 2, -1), ("down", 2, 1)):
        steps = _turns(_shape_pixels(_render(name, seed), seed), axis)
        assert np.all(sign * steps > 0.6 / 32), name  # at least about 1 pixel of 32 a frame
        assert np.all(sign * steps < 3 / 32), name
        across = _turns(_shape_pixels(_render(name, seed), seed), 3 - axis)
        assert np.all(np.abs(across) < 0.4 / 32), name


@pytest.mark.parametrize("seed", range(5))
def test_growing_and_shrinking(seed):
    for name, sign in (("growing", 1), ("shrinking", -1)):
        area = _shape_pixels(_render(name, seed), seed).sum(axis=(1, 2))
        steps = sign * np.diff(area)
        assert (steps < 0).sum() <= 1  # where the growth path starts anew
        assert steps.max() > 0


def test_turns_are_anticlockwise_as_numpy_has_them():
    look = random_look(np.random.default_rng(4))
    look.ground[:] = 127
    middle, quarters = np.full(4, SIDE / 2), np.arange(4) * 90.0
    frames = draw_frames(look, middle, middle, quarters, np.full(4, 20.0))
    for quarter in range(4):
        difference = np.abs(np.rot90(frames[0], quarter).astype(int) - frames[quarter])
        assert difference.mean() < 1.0
    assert motion._MOTIONS["anticlockwise"][2] > 0 > motion._MOTIONS["clockwise"][2]


def test_every_class_starts_from_the_same_frames():
    for seed in range(10):
        first = [_render(name, seed)[0] for name in motion.CLASSES]
        assert all(np.array_equal(first[0], other) for other in first)


def test_single_frames_do_not_tell_the_classes():
    """A linear probe on one late frame of a clip stays at chance, 12.5 %."""
    labels = np.arange(4000) % 8
    frames = np.stack(
        [
            resize_clip(motion.render_clip(n, 8, 15.0, np.random.default_rng([7, i]))[7:], (12, 12))
            for i, n in enumerate(labels)
        ]
    )
    x = frames.reshape(len(labels), -1) / 255.0
    x = np.concatenate([x, np.abs(x - x.mean(1, keepdims=True)), np.ones((len(x), 1))], axis=1)
    train, test = slice(0, 2000), slice(2000, None)
    ridge = x[train].T @ x[train] + 10 * np.eye(x.shape[1])
    weights = np.linalg.solve(ridge, x[train].T @ np.eye(8)[labels[train]])
    hits = (x[test] @ weights).argmax(1) == labels[test]
    assert hits.mean() < 0.155  # four standard deviations above chance


def test_clips_are_a_function_of_the_generator():
    np.testing.assert_array_equal(_render("up", 1), _render("up", 1))
    assert not np.array_equal(_render("up", 1), _render("up", 2))


def test_a_higher_rate_repeats_frames_as_reading_a_file_does():
    slow = _render("left", 3, 4)
    fast = motion.render_clip(LABEL["left"], 8, 30.0, np.random.default_rng(3))
    np.testing.assert_array_equal(fast, slow.repeat(2, axis=0))


def test_videos_show_what_is_rendered(tmp_path):
    paths = motion.write_videos(tmp_path / "new" / "videos", 2, seed=5)
    assert [p.parent.name for p in paths] == [name for name in motion.CLASSES for _ in range(2)]
    for place, path in enumerate(paths):
        info = probe(path)
        assert (info.width, info.height, info.frame_rate) == (SIDE, SIDE, motion.FRAME_RATE)
        assert info.duration_s == pytest.approx(2.0)
        draw = np.random.default_rng([5, place // 2 * 2**32 + place % 2])
        rendered = motion.render_clip(place // 2, motion.VIDEO_FRAMES, 15.0, draw)
        read = read_clip(path, 0.0, motion.VIDEO_FRAMES)
        small = (32, 32)
        difference = resize_clip(rendered, small).astype(int) - resize_clip(read, small)
        assert np.abs(difference).mean() < 8
    again = motion.write_videos(tmp_path / "again", 2, seed=5)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in paths]


def test_an_existing_folder_stays(tmp_path):
    paths = motion.write_videos(tmp_path / "videos", 1, seed=5)
    before = paths[0].stat().st_mtime_ns
    motion.write_videos(tmp_path / "videos", 1, seed=5)
    assert paths[0].stat().st_mtime_ns == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OSError):
        motion.write_videos(tmp_path / "mine", 1, seed=5)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "videos"]


def test_two_writers_of_one_folder(tmp_path):
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(motion.write_videos, tmp_path / "both", 3, 0) for _ in range(2)]
        assert writers[0].result() == writers[1].result()
    assert len(list((tmp_path / "both").rglob("*.mp4"))) == 24
    assert [p.name for p in tmp_path.iterdir()] == ["both"]


WRITER = """
import sys
from r21d_keras.training import motion
motion.write_videos(sys.argv[1], 2000, 0)
"""


def test_a_killed_writer_leaves_no_half_folder(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "videos")])
    while writer.poll() is None and not list(tmp_path.glob("videos.making-*/left/*_005.mp4")):
        time.sleep(0.02)
    writer.kill()
    writer.wait()
    assert not (tmp_path / "videos").exists()
    (left,) = tmp_path.glob("videos.making-*")
    motion.write_videos(tmp_path / "videos", 1, 0)
    assert left.exists()  # it could belong to a process that still writes
    os.utime(left, (0, 0))
    motion.write_videos(tmp_path / "videos", 1, 0)
    assert not left.exists()


def test_held_out_videos_are_made_once(cache_home):
    paths = motion.held_out_videos()
    made = paths[0].stat().st_mtime_ns
    assert paths == motion.held_out_videos() and paths[0].stat().st_mtime_ns == made
    assert sorted(paths) == sorted(cache_home.rglob("*.mp4")) and len(paths) == 160
