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
    """A start in seconds, uniform over all at which the clip lies within the video.

    0.0 for a video shorter than the clip. This is the paper's temporal jittering (section 4.1).
    """
    slack_s = duration_s - clip_seconds(num_frames, frame_rate)
    return float(draw.uniform(0.0, slack_s)) if slack_s > 0 else 0.0


def uniform_starts(
    duration_s: float, num_frames: int, frame_rate: float, num_clips: int
) -> np.ndarray:
    """Starts in seconds, (num_clips,) float64, of evenly spaced clips (section 4.1: ten of them).

    The first starts with the video and the last ends with it; a single clip lies in the middle.
    All are 0.0 for a video shorter than the clip.

    Raises:
        ValueError: if `num_clips` is less than one.
    """
    if num_clips < 1:
        raise ValueError(f"num_clips={num_clips}: expected at least 1 clip a video.")
    slack_s = max(0.0, duration_s - clip_seconds(num_frames, frame_rate))
    if num_clips == 1:
        return np.array([slack_s / 2])
    return np.linspace(0.0, slack_s, num_clips)
