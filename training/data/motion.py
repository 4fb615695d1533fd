"""The built-in data set `motion`: eight classes of small videos that differ by motion alone.

Patches of colour on a ground at rest move left, right, up or down, turn around the middle of the
frame, grow or shrink. They fill the frame: motion that only a small shape shows takes a network
that starts from nothing ten times as many clips to notice. No frame tells the classes apart,
because the law of a single frame is the same in all of them:

- the patches lie on an endless repeating sheet, any point of which may be in the middle;
- the angle is uniform;
- the size follows a growth path, periodic in time, from a uniform phase. Growing runs along it,
  shrinking runs against it, all others stand still on it.

Left is right played backwards, and so for the other three pairs: within a pair only the order of
the frames tells.
"""

import os
import pathlib
import shutil
import tempfile
import time
from dataclasses import dataclass

import av
import numpy as np

from r21d_keras.clips import frame_times
from r21d_keras.zoo.cache import home

from .draws import generator
from .shapes import SIDE, Look, draw_frames, random_look

# Per class: columns and rows moved, turns (anticlockwise), size, as signs.
_MOTIONS = {
    "left": (-1, 0, 0, 0),
    "right": (1, 0, 0, 0),
    "up": (0, -1, 0, 0),
    "down": (0, 1, 0, 0),
    "clockwise": (0, 0, -1, 0),
    "anticlockwise": (0, 0, 1, 0),
    "growing": (0, 0, 0, 1),
    "shrinking": (0, 0, 0, -1),
}
CLASSES = tuple(_MOTIONS)
"""The eight classes; a label is an index into it."""

CLIPS_PER_EPOCH = 2048
"""Training clips an epoch where the configuration does not say: 64 steps of 32."""
FRAME_RATE = 15.0  # Hz, that of the published weights and of TrainConfig
VIDEO_FRAMES = 30  # two seconds: several different clips of 8 or 16 frames
VIDEOS_PER_CLASS = 20  # 160 in all: one video more or less right is 0.6 %
TEST_SEED = 20171130  # day on which the paper was submitted
# A change of anything that is drawn makes other test videos: count this up with it.
VERSION = 4
STALE_S = 3600.0  # age at which an unfinished folder of videos was left by a killed process

# Speeds a second, as shares of the frame's side, degrees, and periods of the growth path. At
# 15 Hz: 0.03 to 0.08 of the side a frame (1 to 2.6 pixels of 32: visible, and below half of the
# smallest patch, so none can be taken for its neighbour coming from the other side), 7 to 17
# degrees, 3 to 6 % of size.
SHIFT_SPEED = (0.45, 1.2)
TURN_SPEED = (105.0, 255.0)
GROWTH_SPEED = (0.4, 0.8)
SMALLEST, LARGEST = 0.8, 2.4  # size of the patches over shapes.CELLS'


@dataclass(frozen=True)
class _Path:
    """Where the patches are at time 0, and how fast they move."""

    middle: np.ndarray  # column and row of the sheet in the middle of the frame
    start: np.ndarray  # column, row, angle, phase: pixels, degrees, periods
    speed: np.ndarray  # of the same, all a second

    def frames(self, look: Look, times_s: np.ndarray) -> np.ndarray:
        """uint8 (T, SIDE, SIDE, 3)."""
        places = self.start + times_s[:, None] * self.speed  # (T, 4)
        scales = SMALLEST * (LARGEST / SMALLEST) ** (places[:, 3] % 1)
        return draw_frames(look, self.middle, places[:, :2], places[:, 2], scales)


def render_clip(
    label: int, num_frames: int, frame_rate: float, draw: np.random.Generator
) -> np.ndarray:
    """A clip of class `label`, all else drawn: uint8 (T, SIDE, SIDE, 3).

    As read from a video of FRAME_RATE: at a higher `frame_rate` frames repeat.
    """
    look = random_look(draw)
    shown = np.floor(frame_times(0.0, num_frames, frame_rate) * FRAME_RATE)
    return _random_path(label, draw).frames(look, shown / FRAME_RATE)


def held_out_videos() -> list[pathlib.Path]:
    """The test videos, VIDEOS_PER_CLASS of each class in turn, made where they are not yet.

    They lie under R21D_HOME (default ~/.keras/r21d).
    """
    folder = home() / "motion" / f"test-{VERSION}"
    if folder.is_dir():
        return [folder / name for name in _names(VIDEOS_PER_CLASS)]
    return write_videos(folder, VIDEOS_PER_CLASS, TEST_SEED)


def write_videos(folder, per_class: int, seed: int) -> list[pathlib.Path]:
    """Renders `folder/<class>/<class>_<number>.mp4`, `per_class` of each; the same for one seed.

    The folder appears whole or not at all, and where another process was first, its videos stay.

    Returns:
        The files, by class and number.

    Raises:
        ValueError: a folder that holds something else.
    """
    folder = pathlib.Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(folder)
    names = _names(per_class)
    making = pathlib.Path(tempfile.mkdtemp(prefix=f"{folder.name}.making-", dir=folder.parent))
    try:
        for place, name in enumerate(names):
            (making / name).parent.mkdir(exist_ok=True)
            label, number = divmod(place, per_class)
            draw = generator("motion_file", seed, label, number)
            _encode(making / name, render_clip(label, VIDEO_FRAMES, FRAME_RATE, draw))
        making.chmod(0o755)
        os.rename(making, folder)  # fails where the folder exists and is not empty
    except OSError:
        if not all((folder / name).is_file() for name in names):
            raise
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return [folder / name for name in names]


def _names(per_class: int) -> list[str]:
    return [f"{name}/{name}_{i:03d}.mp4" for name in CLASSES for i in range(per_class)]


def _remove_stale(folder: pathlib.Path) -> None:
    """Removes what killed processes left beside `folder`."""
    for left in folder.parent.glob(f"{folder.name}.making-*"):
        if time.time() - left.stat().st_mtime > STALE_S:
            shutil.rmtree(left, ignore_errors=True)


def _random_path(label: int, draw: np.random.Generator) -> _Path:
    columns, rows, turns, growth = _MOTIONS[CLASSES[label]]
    middle = draw.random(2) * SIDE
    start = draw.random(4) * (0.0, 0.0, 360.0, 1.0)
    speeds = [draw.uniform(*limits) for limits in (SHIFT_SPEED, TURN_SPEED, GROWTH_SPEED)]
    signs = np.array([columns * SIDE, rows * SIDE, turns, growth])
    return _Path(middle, start, signs * (speeds[0], speeds[0], speeds[1], speeds[2]))


def _encode(path: pathlib.Path, frames: np.ndarray) -> None:
    """Writes `frames` as an MPEG-4 video of FRAME_RATE: a codec that every FFmpeg has."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=round(FRAME_RATE))
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.codec_context.qmin = stream.codec_context.qmax = 2  # the finest quantiser
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
