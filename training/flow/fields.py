"""Flow as pictures whose values mean places: what a resize and a mirror do to vectors."""

import numpy as np


def is_flow(clip: np.ndarray) -> bool:
    """Whether a clip (..., C) is optical flow, of 2 channels, and not RGB."""
    return clip.shape[-1] == 2


def growth(before: tuple[int, int], after: tuple[int, int]) -> np.ndarray:
    """What vectors (right, down) are multiplied by when frames of (height, width) are resized."""
    return np.asarray([after[1] / before[1], after[0] / before[0]], np.float32)


# What went right goes left in the mirror, and down stays down.
MIRROR = np.asarray([-1, 1], np.float32)
