"""Which seconds of a video a clip shows: arithmetic shared by training, testing and serving."""

import numpy as np


def clip_seconds(num_frames: int, frame_rate: float) -> float:
    """Length in seconds of a clip of `num_frames` frames at `frame_rate` Hz."""
    return num_frames / frame_rate


def frame_times(start_s: float, num_frames: int, frame_rate: float) -> np.ndarray:
    """Times in seconds, (T,) float64, at which the frames of a clip are taken.

    Each is the middle of its frame interval, so that rounding of time stamps in the file
    (1 ms in Matroska) never picks the neighbour when the file has the same rate.
    """
    return start_s + (np.arange(num_frames) + 0.5) / frame_rate


def random_start(
    duration_s: float, num_frames: int, frame_rate: float, draw: np.random.Generator
) -> float:
    """A start in seconds, drawn from all at which the clip lies within the video.

    Starts are multiples of 1 / frame_rate, so that all clips of a video show the frames of one
    grid, and those may have been decoded before. 0.0 for a video shorter than the clip. This is
    the paper's temporal jittering (section 4.1).
    """
    return float(draw.integers(_last_start(duration_s, num_frames, frame_rate) + 1) / frame_rate)


def uniform_starts(
    duration_s: float, num_frames: int, frame_rate: float, num_clips: int
) -> np.ndarray:
    """Starts in seconds, (num_clips,) float64, of evenly spaced clips (section 4.1: ten of them).

    The first starts with the video and the last ends with it; a single clip lies in the middle;
    all of them to the nearest multiple of 1 / frame_rate that is early enough, as in
    `random_start`. All are 0.0 for a video shorter than the clip.

    Raises:
        ValueError: if `num_clips` is less than one.
    """
    if num_clips < 1:
        raise ValueError(f"num_clips={num_clips}: expected at least 1 clip a video.")
    last = _last_start(duration_s, num_frames, frame_rate)
    places = np.linspace(0, last, num_clips) if num_clips > 1 else np.array([last / 2])
    return np.floor(places + 0.5) / frame_rate


def _last_start(duration_s: float, num_frames: int, frame_rate: float) -> int:
    """The last frame of the grid at which a clip can start, so as to end with its video."""
    # Seconds times Hz fall short of whole numbers by rounding: hence the millionth of a frame.
    slack_s = duration_s - clip_seconds(num_frames, frame_rate)
    return max(0, int(np.floor(slack_s * frame_rate + 1e-6)))
