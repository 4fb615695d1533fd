"""A whole video in blocks of frames, so that memory holds one of them however long it is."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .decoder import UntrustedStamps
from .frames import ClipSpec, resize_frame
from .video import every_frame, frames_in
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
    done, by_count, frame = 0, False, None
    while done < len(counts):
        frames = every_frame(path, rate, by_count, first=sum(counts[:done]))
        try:
            for count in counts[done:]:
                block = np.empty((count, *size, 3), np.uint8)
                for place in range(count):
                    frame = next(frames, frame)  # decoding may end a frame before its packets do
                    block[place] = resize_frame(frame, size)
                yield block
                done += 1
        except UntrustedStamps:  # the rest by counting frames from the first
            by_count = True
