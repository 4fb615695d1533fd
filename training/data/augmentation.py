"""Liberties taken with clips: turned, sheared, sharpened, in other colours, in part hidden.

What is drawn is drawn once for all frames. Each function does what tensorflow-addons' of its kind
does, to a level or two of 255, and to flow what that does to vectors.
"""

import math

import cv2
import numpy as np

from ..flow.fields import is_flow

BLUR = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13  # PIL's ImageFilter.SMOOTH
# Luminance and two axes of colour, NTSC's: columns of what R, G and B make up.
YIQ = np.array([[0.299, 0.596, 0.211], [0.587, -0.274, -0.523], [0.114, -0.322, 0.312]])


def random_warp(
    clip: np.ndarray, degrees: float, shear: float, fill: tuple, draw: np.random.Generator
) -> np.ndarray:
    """The clip turned and sheared, as `rotation` and `shearing`, by what is drawn up to these."""
    inverse = np.eye(2)
    if degrees:
        inverse = rotation(draw.uniform(-degrees, degrees))
    if shear:
        inverse = inverse @ shearing(draw.uniform(-shear, shear))
    return warped(clip, inverse, fill)


def random_hue(
    clip: np.ndarray, degrees: float, saturation: float, draw: np.random.Generator
) -> np.ndarray:
    """The clip with its hues turned by up to `degrees`, its colourfulness up to 1 +- saturation."""
    angle = draw.uniform(-degrees, degrees)
    return in_hue(clip, angle, draw.uniform(1 - saturation, 1 + saturation))


def random_sharpness(clip: np.ndarray, most: float, draw: np.random.Generator) -> np.ndarray:
    """The clip `sharpened` by a factor from 1 - most to 1 + most."""
    return sharpened(clip, draw.uniform(1 - most, 1 + most))


def random_cutout(
    clip: np.ndarray, share: float, fill: tuple, draw: np.random.Generator
) -> np.ndarray:
    """The clip with a square of a share of its shorter side `hidden`, whose middle is anywhere."""
    height, width = clip.shape[1:3]
    side = 2 * max(1, round(share * min(height, width) / 2))
    return hidden(clip, side, (draw.integers(height), draw.integers(width)), fill)


def rotation(degrees: float) -> np.ndarray:
    """From places in a picture turned against the clock to those before, (right, down): (2, 2)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, -s], [s, c]])


def shearing(level: float) -> np.ndarray:
    """From places in a picture, each row `level` times its height further left: (2, 2)."""
    return np.array([[1.0, level], [0.0, 1.0]])


def warped(clip: np.ndarray, inverse: np.ndarray, fill: tuple) -> np.ndarray:
    """A clip (T, H, W, C) moved about its middle, bilinear; what was outside is `fill`, C numbers.

    OpenCV before 5 goes by places to 1/32 of a pixel; tf and tfa by exact ones. The vectors of
    flow are moved with the picture.

    Args:
        clip: uint8 RGB or float32 flow.
        inverse: from places (right, down) of the middle after to those before, (2, 2).
        fill: what is seen where no picture is.
    """
    height, width = clip.shape[1:3]
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.column_stack([inverse, middle - inverse @ middle])  # (2, 3)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (width, height)
    moved = np.stack(
        [cv2.warpAffine(frame, matrix, size, flags=flags, borderValue=fill) for frame in clip]
    )
    if is_flow(clip):
        return moved @ np.linalg.inv(inverse).T.astype(np.float32)
    return moved


def in_hue(clip: np.ndarray, degrees: float, saturation: float) -> np.ndarray:
    """A clip, uint8 (..., 3), with its hues turned and its distance from grey times `saturation`.

    Brightness, as it is seen, stays: tfa.image.adjust_hsv_in_yiq, in YIQ.
    """
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.eye(3)
    turn[1:, 1:] = saturation * np.array([[c, s], [-s, c]])
    matrix = YIQ @ turn @ np.linalg.inv(YIQ)  # of rows (R, G, B)
    return cv2.transform(clip.reshape(-1, 1, 3), matrix.T).reshape(clip.shape)


def sharpened(clip: np.ndarray, factor: float) -> np.ndarray:
    """A clip, uint8 (T, H, W, 3), away from what it is blurred by BLUR, by `factor`.

    0 is blurred, 1 as it was, 2 sharpened; pixels at the border stay: tfa.image.sharpness, PIL's
    ImageEnhance.Sharpness.
    """
    seen = clip.copy()
    for frame, into in zip(clip, seen, strict=True):
        blurred = cv2.filter2D(frame, -1, BLUR)
        mixed = cv2.addWeighted(frame, factor, blurred, 1 - factor, 0)
        into[1:-1, 1:-1] = mixed[1:-1, 1:-1]
    return seen


def hidden(clip: np.ndarray, side: int, middle: tuple[int, int], fill: tuple) -> np.ndarray:
    """A clip (T, H, W, C) with `fill` in a square of an even `side` around (row, column) `middle`.

    What of the square is beyond the border is not seen: tfa.image.cutout.
    """
    seen, half = clip.copy(), side // 2
    rows, columns = (slice(max(0, m - half), m + half) for m in middle)
    seen[:, rows, columns] = np.asarray(fill, clip.dtype)
    return seen
