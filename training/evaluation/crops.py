"""Which squares of its frames a network is shown in tests."""

import numpy as np

from ..data.frames import center_crop

NUM_CROPS = (1, 3)
"""One in the middle, or three along the longer side: at its ends and in the middle."""


def crops(clip: np.ndarray, side: int, count: int = 1) -> list[np.ndarray]:
    """`count` squares, one of NUM_CROPS, of a clip (..., H, W, C): each (..., side, side, C).

    Three lie left, in the middle and right of frames that are wider than high, as VMZ's
    crop_per_clip=3 and most later work have it, and above each other in others; in the middle of
    the shorter side.

    Raises:
        ValueError: frames smaller than the crop, or another `count`.
    """
    if count not in NUM_CROPS:
        raise ValueError(f"num_crops={count}: expected 1 or 3 crops a clip.")
    middle = center_crop(clip, side)
    if count == 1:
        return [middle]
    height, width = clip.shape[-3:-1]
    wide = width >= height
    band = _center_band(clip, side, -3 if wide else -2)
    ends = (slice(0, side), slice(max(width, height) - side, None))
    cut = [band[..., end, :] if wide else band[..., end, :, :] for end in ends]
    return [cut[0], middle, cut[1]]


def _center_band(clip: np.ndarray, side: int, axis: int) -> np.ndarray:
    """The middle `side` pixels of a clip along one axis."""
    first = (clip.shape[axis] - side) // 2
    return clip.take(range(first, first + side), axis)
