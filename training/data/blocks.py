"""A whole video in blocks of frames, so that memory holds one of them however long it is."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from r21d_keras.clips import frame_times

from .decoder import UntrustedStamps, Video, open_video
from .frames import ClipSpec, resize_frame
from .video import check_end, frames_in
from .video_set import Files


def grid_frames(source, index: int, spec: ClipSpec) -> int:
    """How many frames video `index` of a source has at the rate of `spec`, from its first on.

    Raises:
        VideoError: a video that cannot be read.
    """
    durations_s = []

    def first(duration_s: float) -> list[float]:
        durations_s.append(duration_s)
        return [0.0]

    source.read(index, first, replace(spec, num_frames=1))
    return frames_in(durations_s[0], spec.preprocessing.frame_rate)


def video_blocks(source, index: int, spec: ClipSpec, counts: Sequence[int]) -> Iterator[np.ndarray]:
    """The frames of video `index` in order, `counts` of them at a time: (n, H, W, C), resized.

    They are those that clips at multiples of a frame show (`clips.frame_times`): uint8 RGB, or
    what else the source gives.

    Raises:
        VideoError: a video that cannot be read, or ends early.
    """
    rate = spec.preprocessing.frame_rate
    if isinstance(source, Files):  # open once, and decoded in one go
        yield from _file_blocks(source.paths[index], rate, spec.preprocessing.resize, counts)
        return
    start = 0
    for count in counts:
        at_s = start / rate
        yield source.read(index, lambda _, s=at_s: [s], replace(spec, num_frames=count))[0]
        start += count


def _file_blocks(path, rate: float, size, counts: Sequence[int]) -> Iterator[np.ndarray]:
    done, by_count = 0, False
    while done < len(counts):
        try:
            for block in _decoded(path, rate, size, counts, done, by_count):
                yield block
                done += 1
        except UntrustedStamps:  # the rest by counting frames from the first
            by_count = True


def _decoded(path, rate, size, counts, done, by_count) -> Iterator[np.ndarray]:
    """The blocks of a file from number `done` on."""
    path = os.fspath(path)
    with open_video(path, by_count) as video:
        start = sum(counts[:done])
        for count in counts[done:]:
            yield _block(video, frame_times(start / rate, count, rate), size)
            start += count
        if video.end_s is not None:
            check_end(path, video.end_s)


def _block(video: Video, times_s: np.ndarray, size) -> np.ndarray:
    """The frames on show at `times_s`, (n, H, W, 3)."""
    block = np.empty((len(times_s), *size, 3), np.uint8)
    for place, time_s in enumerate(times_s):
        block[place] = resize_frame(video.frame_at(time_s).pixels, size)
    return block
