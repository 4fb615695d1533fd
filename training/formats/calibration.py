"""Clips of given videos, as an export takes them: what quantisation finds its ranges by."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from r21d_keras.clips import uniform_starts

from ..config import ConfigError
from ..data.disk import Disk
from ..data.frames import center_crop
from ..data.video import probe, read_clips
from ..flow.methods import check_method, clip_flow
from ..flow.streams import frames_shown
from ..remote.urls import is_remote, shown
from ..serving.servable import Servable

MOST_CLIPS = 100
"""Read unless another number is asked for; ranges change little after some dozens."""


def videos_of(places: Sequence[str | os.PathLike]) -> list[Path]:
    """The video files that are named, and those in named folders and below.

    Raises:
        ConfigError: a place that is not there, or at a URL, or a folder without videos.
    """
    videos = []
    for given in places:
        if not os.fspath(given) or is_remote(given):
            raise ConfigError(
                f"calibrate={shown(os.fspath(given))!r}: expected a video of this machine, or a "
                "folder of videos."
            )
        place = Path(given)
        if place.is_dir():
            found = [place / name for name in Disk(place).files]
            if not found:
                raise ConfigError(f"calibrate={str(place)!r} holds no videos; name another folder.")
            videos += found
        elif place.is_file():
            videos.append(place)
        else:
            raise ConfigError(
                f"calibrate={str(place)!r} is not there; expected videos, or folders of videos."
            )
    return videos


def calibration_clips(
    servable: Servable, videos: Sequence[Path], most: int = MOST_CLIPS
) -> list[np.ndarray]:
    """Clips (1, T, S, S, C), spread evenly over the videos and over the time of each.

    Args:
        servable: whose network is to see them: uint8 RGB, or float32 flow in pixels.
        videos: of which some are left out where there are more than `most`.
        most: clips in all.

    Raises:
        VideoError: a file that cannot be read.
        ValueError: flow that cannot be computed here.
    """
    numbers = servable.preprocessing
    if numbers.takes_flow:
        check_method(servable.flow_method, numbers.crop_size)
    places = np.linspace(0, len(videos) - 1, min(most, len(videos))).round().astype(int)
    share, rest = divmod(most, len(places))
    clips = []
    for number, place in enumerate(places):
        clips += _clips_of(servable, videos[place], share + (number < rest))
    return clips


def _clips_of(servable: Servable, video: Path, count: int) -> list[np.ndarray]:
    numbers = servable.preprocessing
    shown = frames_shown(servable.clip_frames, numbers)
    info = probe(video)

    def starts(duration_s):  # of a video that is shorter than a clip, one: the others are the same
        return np.unique(uniform_starts(duration_s, shown, numbers.frame_rate, count))

    size = numbers.resized(info.height, info.width)
    clips = read_clips(video, starts, shown, numbers.frame_rate, servable.short_video, size)
    clips = center_crop(clips, numbers.crop_size)
    if numbers.takes_flow:
        clips = clip_flow(clips, servable.flow_method)
    return [np.ascontiguousarray(clip[None]) for clip in clips]
