import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from r21d_keras.training.data import motion
from r21d_keras.training.data.draws import generator
from r21d_keras.training.data.frames import resize_clip
from r21d_keras.training.data.shapes import SIDE, draw_frames, random_look
from r21d_keras.training.data.video import probe, read_clip
from tests.waits import until

LABEL = {name: label for label, name in enumerate(motion.CLASSES)}


def _render(name: str, seed: int, num_frames: int = 8) -> np.ndarray:
    return motion.render_clip(LABEL[name], num_frames, 15.0, np.random.default_rng(seed))


def _flow(clip: np.ndarray) -> np.ndarray:
    """Mean optical flow over time, columns and rows a frame: (SIDE, SIDE, 2)."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
    pairs = zip(grey, grey[1:], strict=False)
    flows = [cv2.calcOpticalFlowFarneback(*pair, None, 0.5, 3, 15, 3, 5, 1.1, 0) for pair in pairs]
    return np.median(flows, axis=0)  # the one jump of a growth path counts for nothing


def _along(name: str, flow: np.ndarray) -> float:
    """How much of `flow` is the motion that the class is named after, pixels a frame."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    outward = np.stack([x, y], axis=-1) / np.hypot(x, y)[..., None]
    fields = {
        "left": (-1, 0),
        "right": (1, 0),
        "up": (0, -1),
        "down": (0, 1),
        "clockwise": np.stack([-outward[..., 1], outward[..., 0]], axis=-1),  # rows run down
        "anticlockwise": np.stack([outward[..., 1], -outward[..., 0]], axis=-1),
        "growing": outward,
        "shrinking": -outward,
    }
    return float((flow * fields[name]).sum(-1).mean())


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", motion.CLASSES)
def test_optical_flow_sees_the_motion_of_the_classes_name(name, seed):
    flow = _flow(_render(name, seed))
    best = max(motion.CLASSES, key=lambda other: _along(other, flow))
    assert best == name
    assert _along(name, flow) > 0.2


def test_a_full_turn_and_a_period_of_the_sheet_change_nothing():
    look = random_look(np.random.default_rng(4))
    turns, still = np.array([0.0, 360.0, 0.0]), np.ones(3)
    shifts = np.array([(0, 0), (0, 0), (SIDE, -SIDE)])
    frames = draw_frames(look, np.zeros(2), shifts, turns, still)
    for other in frames[1:]:
        assert np.abs(frames[0].astype(int) - other).max() <= 1


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
        draw = generator("motion_file", 5, place // 2, place % 2)
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
from r21d_keras.training.data import motion
motion.write_videos(sys.argv[1], 2000, 0)
"""


def test_a_killed_writer_leaves_no_half_folder(tmp_path):
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "videos")])
    until(lambda: list(tmp_path.glob("videos.making-*/left/*_005.mp4")), [writer])
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
