"""Labelled videos as clips: a set of them, and where their pixels come from."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from r21d_keras.clips import random_start, uniform_starts

from . import motion
from .frames import ClipSpec, center_crop, resize_clip
from .video import read_clips

Starts = Callable[[float], Sequence[float]]
"""From a video's duration to the starts of clips in it, all in seconds."""


class Files:
    """Video files: `paths[i]` is that of video i."""

    stream = "rgb"
    """What the source gives, one of flow.streams.STREAMS: frames uint8 RGB or float32 flow."""

    def __init__(self, paths: tuple[str, ...]):
        self.paths = paths

    def sizes(self) -> list[int]:
        """Bytes of each video, by which another one of the same name is told; -1 of one that went.

        All sources have it.
        """
        return [os.stat(path).st_size if os.path.exists(path) else -1 for path in self.paths]

    def read(self, index: int, starts_s: Starts, spec: ClipSpec) -> np.ndarray:
        """Clips of video `index`, resized, not cropped: uint8 (N, T, H, W, 3).

        Raises:
            VideoError: a file that cannot be read.
        """
        numbers = spec.preprocessing
        return read_clips(
            self.paths[index],
            starts_s,
            spec.num_frames,
            numbers.frame_rate,
            spec.short_video,
            numbers.resize,
        )

    def training_clip(
        self, index: int, label: int, draw: np.random.Generator, spec: ClipSpec
    ) -> np.ndarray:
        """One clip of video `index` at a random time, resized, not cropped: uint8 (T, H, W, 3)."""
        rate = spec.preprocessing.frame_rate
        return self.read(index, lambda s: [random_start(s, spec.num_frames, rate, draw)], spec)[0]


class Rendered:
    """Clips of `motion`, drawn anew whenever one is asked for; there are no files."""

    paths = ()
    stream = "rgb"

    def sizes(self) -> list[int]:
        """None, as there are no files."""
        return []

    def read(self, index: int, starts_s: Starts, spec: ClipSpec) -> np.ndarray:
        """Raises ValueError: there is no video to take clips from."""
        raise ValueError("motion: rendered anew each epoch; test on subset='test'.")

    def training_clip(
        self, index: int, label: int, draw: np.random.Generator, spec: ClipSpec
    ) -> np.ndarray:
        """A new clip of the motion `label`, resized, not cropped: uint8 (T, H, W, 3)."""
        numbers = spec.preprocessing
        clip = motion.render_clip(label, spec.num_frames, numbers.frame_rate, draw)
        return resize_clip(clip, numbers.resize)


@dataclass(frozen=True)
class VideoSet:
    """Videos with labels, checked: `labels[i]`, an index into `classes`, is that of `names[i]`.

    names: of the videos, the same wherever they lie: "Archery/v_Archery_g01_c01.avi".
    source: where the pixels come from.
    mirror_safe: a mirrored video is still of its class.
    left_out: (path, reason) of each file that on_bad_video="skip" has left out.
    label_sets: all labels of each video, where a video may have several; else empty. `labels`
        has the first of each.
    missing: names of videos that are listed, but not there, where the data set allows it.
    """

    name: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    source: Files | Rendered
    mirror_safe: bool = True
    left_out: tuple[tuple[str, str], ...] = ()
    label_sets: tuple[tuple[int, ...], ...] = ()
    missing: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.labels)

    @property
    def paths(self) -> tuple[str, ...]:
        """The videos' files; empty where they are none."""
        return self.source.paths

    def clip_at(self, index: int, draw: np.random.Generator, spec: ClipSpec) -> np.ndarray:
        """A clip of video `index` to train on: (T, S, S, C), start, crop and flip drawn.

        uint8 RGB, or float32 flow in pixels.

        Raises:
            VideoError: a video that cannot be read.
        """
        clip = self.source.training_clip(index, self.labels[index], draw, spec)
        return spec.augmented(clip, draw)

    def test_clips_at(self, index: int, num_clips: int, spec: ClipSpec) -> np.ndarray:
        """Evenly spaced centre crops of video `index`: (num_clips, T, S, S, C).

        uint8 RGB, or float32 flow in pixels.

        Raises:
            VideoError: a video that cannot be read.
            ValueError: a rendered set, which has no videos to take them from.
        """
        return evenly_spaced(self.source, index, num_clips, spec)


def evenly_spaced(source: Files | Rendered, index: int, num_clips: int, spec: ClipSpec):
    """Evenly spaced centre crops of one video, as `spec.seen`: (num_clips, T, S, S, C)."""
    rate = spec.preprocessing.frame_rate
    clips = source.read(index, lambda s: uniform_starts(s, spec.num_frames, rate, num_clips), spec)
    return spec.seen(center_crop(clips, spec.preprocessing.crop_size))


def read_test_clips(path, num_clips: int, spec: ClipSpec) -> np.ndarray:
    """Evenly spaced centre crops of one video file, as `spec.seen`: (num_clips, T, S, S, C).

    Raises:
        VideoError: a file that cannot be read.
    """
    return evenly_spaced(Files((path,)), 0, num_clips, spec)
