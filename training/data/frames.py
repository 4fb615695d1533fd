"""uint8 frames on their way to a network: one resize, one crop, one flip for a whole clip."""

from dataclasses import dataclass

import cv2
import numpy as np

from r21d_keras.zoo.preprocessing import Preprocessing

cv2.setNumThreads(0)  # many videos at once are the parallelism


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, C) at `size` = (height, width); the frame itself where it has that size.

    Bilinear with half-pixel centres and no antialiasing: cv2.INTER_LINEAR, tf.image.resize and
    torch's interpolate agree on it, so that training, serving and the published weights do.
    """
    if frame.shape[:2] == tuple(size):
        return frame
    return cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def resize_clip(clip: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A clip (T, H, W, C) with every frame at `size` = (height, width)."""
    return np.stack([resize_frame(frame, size) for frame in clip])


def center_crop(clip: np.ndarray, side: int) -> np.ndarray:
    """The middle square of a clip (..., H, W, C): (..., side, side, C).

    Raises:
        ValueError: frames smaller than the crop.
    """
    height, width = _checked(clip, side)
    return _cut(clip, (height - side) // 2, (width - side) // 2, side)


def random_crop(clip: np.ndarray, side: int, draw: np.random.Generator) -> np.ndarray:
    """A square drawn at random, the same of every frame of (..., H, W, C).

    Raises:
        ValueError: frames smaller than the crop.
    """
    height, width = _checked(clip, side)
    top, left = draw.integers(height - side + 1), draw.integers(width - side + 1)
    return _cut(clip, top, left, side)


def random_flip(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The clip (..., H, W, C), or with even odds its mirror image, left for right."""
    return clip[..., ::-1, :] if draw.random() < 0.5 else clip


def random_scale(clip: np.ndarray, largest: float, draw: np.random.Generator) -> np.ndarray:
    """The clip (T, H, W, C) enlarged by a factor uniform from 1 to `largest`, at least 1."""
    factor = draw.uniform(1.0, largest)
    return resize_clip(clip, tuple(round(side * factor) for side in clip.shape[1:3]))


def random_color(clip: np.ndarray, most: float, draw: np.random.Generator) -> np.ndarray:
    """The clip, uint8 (..., C), in another light: each channel times a gain, plus an offset.

    Gains are uniform from 1 - most to 1 + most, offsets from -most / 2 to most / 2 of white; one
    for all channels and one for each channel, of half the range, make up both.
    """
    gains = 1 + most * (draw.uniform(-1, 1) + 0.5 * draw.uniform(-1, 1, 3)) / 1.5
    offsets = most / 2 * (draw.uniform(-1, 1) + 0.5 * draw.uniform(-1, 1, 3)) / 1.5
    levels = np.arange(256)[:, None]
    table = np.clip(levels * gains + 255 * offsets, 0, 255).astype(np.uint8)  # (256, C)
    return cv2.LUT(clip.reshape(-1, 1, 3), table[:, None]).reshape(clip.shape)


@dataclass(frozen=True, kw_only=True)
class ClipSpec:
    """What a clip is to be: num_frames and `preprocessing` of the network, and the liberties.

    short_video: "loop" or "repeat_last". random_flip: mirror one clip in two. jitter_scale,
    jitter_color: as `random_scale` and `random_color` have it; 1 and 0 change nothing.
    """

    num_frames: int
    preprocessing: Preprocessing
    short_video: str = "loop"
    random_flip: bool = False
    jitter_scale: float = 1.0
    jitter_color: float = 0.0

    def augmented(self, clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """One scale, crop, flip and light, drawn for the whole clip: contiguous (T, S, S, C)."""
        if self.jitter_scale > 1:
            clip = random_scale(clip, self.jitter_scale, draw)
        clip = random_crop(clip, self.preprocessing.crop_size, draw)
        clip = np.ascontiguousarray(random_flip(clip, draw) if self.random_flip else clip)
        return random_color(clip, self.jitter_color, draw) if self.jitter_color else clip


def _checked(clip: np.ndarray, side: int) -> tuple[int, int]:
    height, width = clip.shape[-3:-1]
    if side > min(height, width):
        raise ValueError(
            f"A crop of {side}x{side} does not fit in frames of {height}x{width}; "
            "resize larger or crop smaller."
        )
    return height, width


def _cut(clip: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    return clip[..., top : top + side, left : left + side, :]
