"""Fields of flow as 8-bit pictures with a scale each: small, and with a known error."""

import cv2
import numpy as np

# Zero is a level of its own, so that what stands still stays exactly so; 127 lie on either side.
ZERO, LEVELS = 128, 127
# Faster motion, in pixels a frame, is kept as this: in frames of some 171 pixels it is a cut or a
# mistake, and would make all other vectors coarse. The tools of TSN (yjxiong/dense_flow) have the
# same bound.
LIMIT = 20.0
STILL = 1e-6  # pixels: a field that moves by less stands still


def quantise(field: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """A field of flow in 8 bits.

    Args:
        field: float32 (H, W, 2), pixels.

    Returns:
        uint8 (H, W, 2), and the scale: the largest displacement that they can tell, pixels.
        `restored` is off by scale / 254 at most, where the field is within LIMIT.
    """
    scale = np.float32(min(np.abs(field).max(initial=0.0), LIMIT))
    if scale < STILL:
        return np.full(field.shape, ZERO, np.uint8), np.float32(0)
    levels = np.rint(np.clip(field, -scale, scale) * (LEVELS / scale))
    return (levels + ZERO).astype(np.uint8), scale


def restored(levels: np.ndarray, scale: float) -> np.ndarray:
    """The field that `quantise` made `levels` (..., H, W, 2) of: float32, pixels."""
    return (levels.astype(np.float32) - ZERO) * np.float32(scale / LEVELS)


def encode_levels(levels: np.ndarray) -> bytes:
    """A grey PNG of uint8 (H, W, 2): the displacements right above those down.

    PNG, as JPEG adds errors without a bound. One picture, as OpenCV writes none of 2 channels.
    """
    stacked = np.concatenate([levels[..., 0], levels[..., 1]])  # (2H, W)
    return cv2.imencode(".png", stacked)[1].tobytes()


def decode_levels(png: bytes) -> np.ndarray:
    """What `encode_levels` was given: uint8 (H, W, 2).

    Raises:
        ValueError: no such picture.
    """
    stacked = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    if stacked is None or stacked.ndim != 2 or len(stacked) % 2:
        raise ValueError("is no picture of flow: expected a grey PNG of an even height")
    return stacked.reshape(2, -1, stacked.shape[1]).transpose(1, 2, 0)
