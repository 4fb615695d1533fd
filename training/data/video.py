"""Clips of video files, exact to the frame: the one place that reads video, through PyAV."""

import functools
import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np

from r21d_keras.clips import frame_times

from .decoder import TOLERANCE_S, UntrustedStamps, Video, VideoError, open_video
from .frames import resize_frame

SHORT_VIDEO = ("loop", "repeat_last")
"""What fills a clip that is longer than its video: the video again, or its last frame.

The last of those that the clip's frame rate takes, and the first follows it.
"""

# A file is called truncated or damaged when more than this of what it announces is absent:
# headers round, and count a few frames that decoders do not show.
MISSING_S = 0.5


@dataclass(frozen=True)
class VideoInfo:
    """What a file shows: seconds, Hz, and pixels after `rotation` (degrees anticlockwise)."""

    duration_s: float
    frame_rate: float
    width: int
    height: int
    rotation: int


def probe(path) -> VideoInfo:
    """Opens the file, decodes one frame and looks at its end; a second call costs nothing.

    Raises:
        VideoError: missing, a folder, empty, not a video, no video stream, damaged, truncated.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise VideoError(path, f"cannot be opened: {error.strerror}.") from None
    return _probe(os.fspath(path), status.st_mtime_ns, status.st_size)


def read_clip(
    path,
    start_s: float,
    num_frames: int,
    frame_rate: float = 15.0,
    short: str = "loop",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """One clip of a video: uint8 RGB (T, H, W, 3).

    Args:
        path: the file.
        start_s: seconds after the first frame that the file shows.
        num_frames: T.
        frame_rate: Hz; each frame is the one on show at its time (`clips.frame_times`).
        short: one of SHORT_VIDEO, for a clip longer than the video.
        size: (H, W) to resize to; None keeps the video's own.

    Raises:
        VideoError: as `probe`, or where the file cannot be decoded at these times.
    """
    return read_clips(path, [start_s], num_frames, frame_rate, short, size)[0]


def read_clips(
    path,
    starts_s: Sequence[float] | Callable[[float], Sequence[float]],
    num_frames: int,
    frame_rate: float = 15.0,
    short: str = "loop",
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """Several clips of one video, decoded in one pass: uint8 RGB (N, T, H, W, 3).

    As `read_clip`; `starts_s` may also be a function from the duration in seconds to the starts.
    Memory holds the clips and two frames, however long the video is.
    """
    if short not in SHORT_VIDEO:
        raise ValueError(f"short={short!r}: expected one of {', '.join(SHORT_VIDEO)}.")
    if num_frames < 1 or not 0 < frame_rate < np.inf:
        raise ValueError(
            f"num_frames={num_frames}, frame_rate={frame_rate}: expected at least 1 frame, "
            "and a rate above 0 Hz."
        )
    if callable(starts_s):
        starts_s = starts_s(probe(path).duration_s)
    starts_s = np.asarray(starts_s, np.float64)
    if not len(starts_s) or not np.all(np.isfinite(starts_s) & (starts_s >= 0)):
        raise ValueError(f"starts_s={starts_s.tolist()}: expected one or more seconds from 0 on.")
    times_s = np.stack([frame_times(start, num_frames, frame_rate) for start in starts_s])
    with_stamps = functools.partial(_fill, path, times_s, frame_rate, short, size)
    try:
        return with_stamps(by_count=False)
    except UntrustedStamps:
        return with_stamps(by_count=True)


def every_frame(
    path, frame_rate: float, by_count: bool = False, first: int = 0
) -> Iterator[np.ndarray]:
    """The frames that clips at multiples of a frame show, in order: uint8 RGB (H, W, 3).

    From number `first` on; one that is on show at several of these times is the same array again.

    Raises:
        UntrustedStamps: call again with `by_count`.
        VideoError: a file that cannot be read, or not to its end.
    """
    with open_video(path, by_count) as video:
        for place in itertools.count(first):
            shown = video.frame_at((place + 0.5) / frame_rate)
            if video.end_s is not None and place >= frames_in(video.end_s, frame_rate):
                break
            yield shown.pixels
        check_end(path, video.end_s)


def frames_in(end_s: float, frame_rate: float) -> int:
    """How many frames, at 0.5 / frame_rate and so on, a video shows before it ends at `end_s`."""
    return max(1, math.ceil((end_s + TOLERANCE_S) * frame_rate - 0.5))


def filled(times_s: np.ndarray, end_s: float, frame_rate: float, short: str) -> np.ndarray:
    """The times (N, T) of clips of a video, with those after its end as `short` fills them.

    What fills a clip is frames of its own grid, so that all clips of a video share theirs.
    """
    count = frames_in(end_s, frame_rate)
    again_s = np.full(times_s.shape, (count - 0.5) / frame_rate)
    if short == "loop" and times_s.shape[1] > count:
        again_s = times_s % (count / frame_rate)
    return np.where(_is_over(times_s, end_s), np.minimum(again_s, end_s), times_s)


def check_end(path, end_s: float) -> float:
    """The duration in seconds by the file's packets, if decoding came so far.

    Raises:
        VideoError: frames are missing, or the file is truncated.
    """
    duration_s = probe(path).duration_s
    if end_s < duration_s - MISSING_S:
        raise VideoError(
            path, f"damaged: decoding ends at {end_s:.2f} s of {duration_s:.2f} s. Replace it."
        )
    return duration_s


def _fill(path, times_s, frame_rate, short, size, by_count) -> np.ndarray:
    """The frames on show at `times_s` (N, T): (N, T, H, W, 3)."""
    frames = None
    with open_video(path, by_count) as video:
        for flat in np.argsort(times_s, axis=None):
            place = np.unravel_index(flat, times_s.shape)
            shown = video.frame_at(times_s[place])
            if frames is None:
                size = size or shown.pixels.shape[:2]
                frames = np.empty((*times_s.shape, *size, 3), np.uint8)
            frames[place] = resize_frame(shown.pixels, size)
        end_s = video.end_s
    if end_s is not None and (beyond := _is_over(times_s, end_s)).any():
        last_start_s = times_s[:, 0].max() - 0.5 / frame_rate
        duration_s = check_end(path, end_s)
        if last_start_s >= max(duration_s, end_s):
            raise VideoError(path, f"ends at {duration_s:.2f} s, before the wanted clip starts.")
        again_s = filled(times_s, end_s, frame_rate, short)[beyond][None]
        frames[beyond] = _fill(path, again_s, frame_rate, short, size, by_count)[0]
    return frames


def _is_over(times_s: np.ndarray, end_s: float) -> np.ndarray:
    """At which times a video that ends at `end_s` shows nothing any more."""
    return times_s >= end_s + TOLERANCE_S


@functools.lru_cache(maxsize=65536)  # UCF101 has 13,320 files, HMDB51 6,766
def _probe(path: str, mtime_ns: int, num_bytes: int) -> VideoInfo:
    try:
        return _info(path, by_count=False)
    except UntrustedStamps:
        return _info(path, by_count=True)


def _info(path: str, by_count: bool) -> VideoInfo:
    with open_video(path, by_count) as video:
        first = video.frame_at(0.0)
        height, width = first.pixels.shape[:2]
        return VideoInfo(_duration_s(path, video), 1 / video.frame_s, width, height, first.rotation)


def _duration_s(path: str, video: Video) -> float:
    """Seconds from the first frame to the end of the last, by the packets at the file's end."""
    first_s = float(video.first_pts * video.stream.time_base)
    origin_s = (video.container.start_time or 0) / av.time_base
    announced_s = (video.container.duration or 0) / av.time_base  # of the longest stream
    if video.container.format.name == "avi":  # FFmpeg fits an AVI's duration to the file's size
        announced_s = max(announced_s, video.stream.frames * video.frame_s)
    for read_ends in (video.packet_ends, video.all_packet_ends):  # a subtitle may last to the end
        ends = read_ends()
        present_s = max(ends.values(), default=origin_s) - origin_s
        if present_s >= announced_s - MISSING_S:
            return max(ends.get(video.stream.index, first_s) - first_s, video.frame_s)
    there = f"{present_s:.2f} s of {announced_s:.2f} s are there"
    raise VideoError(path, f"is truncated: {there}. Replace it.")
