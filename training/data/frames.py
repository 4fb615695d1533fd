"""Frames on their way to a network, RGB or flow: one resize, one crop, one flip for a whole clip.

Clips of 3 channels are RGB. Those of 2 are optical flow, (right, down) in pixels, whose vectors
change with the picture.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing

from ..flow.fields import MIRROR, growth, is_flow
from ..flow.methods import clip_flow
from .augmentation import random_cutout, random_hue, random_sharpness, random_warp
from .augmentation_options import Augmentation

cv2.setNumThreads(0)  # many videos at once are the parallelism


def resize_frame(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame (H, W, C) at `size` = (height, width); the frame itself where it has that size.

    Bilinear with half-pixel centres and no antialiasing: cv2.INTER_LINEAR, tf.image.resize and
    torch's interpolate agree on it, so that training, serving and the published weights do. The
    vectors of flow grow with the picture.
    """
    if frame.shape[:2] == tuple(size):
        return frame
    resized = cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return resized * growth(frame.shape[:2], size) if is_flow(frame) else resized


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


def mirrored(clip: np.ndarray) -> np.ndarray:
    """The clip (..., H, W, C) left for right; in flow, what went right goes left."""
    seen = clip[..., ::-1, :]
    return seen * MIRROR if is_flow(clip) else seen


def random_flip(clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """The clip (..., H, W, C), or with even odds its mirror image."""
    return mirrored(clip) if draw.random() < 0.5 else clip


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
    """What a clip is to be: frames of a source, `preprocessing` of the network, and the liberties.

    num_frames: that are taken of a source; with flow_method one more than the network's.
    short_video: "loop" or "repeat_last". augmentation: the liberties. flow_method: one of
    flow.methods.METHODS, by which cropped RGB frames become flow; "": they stay what the source
    gives.
    """

    num_frames: int
    preprocessing: Preprocessing
    short_video: str = "loop"
    augmentation: Augmentation = Augmentation(random_flip=False)
    flow_method: str = ""

    def augmented(self, clip: np.ndarray, draw: np.random.Generator) -> np.ndarray:
        """All that is drawn for the whole clip at once, then `seen`: (T, S, S, C)."""
        wanted, side = self.augmentation, self.preprocessing.crop_size
        if wanted.jitter_scale > 1:
            clip = random_scale(clip, wanted.jitter_scale, draw)
        if wanted.jitter_rotation or wanted.jitter_shear:
            angles = wanted.jitter_rotation, wanted.jitter_shear
            clip = random_warp(clip, *angles, self._fill(clip), draw)
        clip = random_crop(clip, side, draw)
        clip = np.ascontiguousarray(random_flip(clip, draw) if wanted.random_flip else clip)
        if wanted.jitter_color:
            clip = random_color(clip, wanted.jitter_color, draw)
        if wanted.jitter_hue or wanted.jitter_saturation:
            clip = random_hue(clip, wanted.jitter_hue, wanted.jitter_saturation, draw)
        if wanted.jitter_sharpness:
            clip = random_sharpness(clip, wanted.jitter_sharpness, draw)
        clip = self.seen(clip)
        # After flow is computed: what does not move in a hidden square has no flow.
        if wanted.cutout:
            clip = random_cutout(clip, wanted.cutout, self._fill(clip), draw)
        return clip

    def seen(self, clips: np.ndarray) -> np.ndarray:
        """What the network gets, before normalisation, of cropped clips (..., num_frames, S, S, C).

        The clips themselves, or with flow_method their flow, float32 (..., T, S, S, 2) in pixels.
        """
        return clip_flow(clips, self.flow_method) if self.flow_method else clips

    def _fill(self, clip: np.ndarray) -> tuple[float, ...]:
        """What is seen where there is no picture: zero once normalised, or no flow."""
        if is_flow(clip):
            return (0.0, 0.0)
        numbers = KINETICS if self.preprocessing.takes_flow else self.preprocessing
        return tuple(float(round(mean * numbers.scale)) for mean in numbers.mean)


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
