"""Random patches of colour on random grounds, drawn fast: what `motion` moves."""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64
"""Height and width of a frame in pixels: twice the 32 of the smallest networks, so that halving
it is a plain mean of 2x2 pixels."""
MIDDLE = (SIDE - 1) / 2
# Brightness on an axis from ground to patches, the same in each colour channel up to its sign:
# the patches differ from the ground in every channel, and either may have any hue.
GROUND, PATCHES = (0.0, 0.35), (0.45, 1.0)
CELLS = (4, 7)  # random cells along a side of the sheet, 4 to 6: patches of 11 to 16 pixels
COVERED = 0.6  # share of a frame that patches hide: motion is to be seen nearly everywhere
EDGE = 12.0  # steepness of a patch's edge, per unit of the field from which patches are cut


@dataclass(frozen=True)
class Look:
    """What is to be seen: `ground`, uint8 (SIDE, SIDE, 3), at rest behind a moving `sheet`.

    The sheet, uint8 RGBA (SIDE, SIDE, 4), repeats in both directions; between its patches it is
    clear. Its colours are multiplied by its opacity.
    """

    ground: np.ndarray
    sheet: np.ndarray


def random_look(draw: np.random.Generator) -> Look:
    """Patches and a ground that nobody has seen before."""
    signs = draw.random(3) < 0.5  # which channels are dark on bright
    ground = _signed(_scaled(_smooth(_cells(draw)), GROUND), signs)
    colors = _signed(_scaled(_smooth(_cells(draw)), PATCHES), signs)
    field = _smooth(_cells(draw)[..., :1])
    opacity = np.clip((field - np.quantile(field, 1 - COVERED)) * EDGE + 0.5, 0, 1)
    sheet = np.dstack([colors * opacity[..., None], opacity])
    return Look(_bytes(ground), _bytes(sheet))


def draw_frames(look: Look, middle, shifts, angles, scales) -> np.ndarray:
    """The look with its sheet at each of T places: uint8 (T, SIDE, SIDE, 3).

    middle: (2,), the column and row of the sheet that lie in the middle of an unshifted frame.
    shifts: (T, 2), columns and rows by which the sheet is moved over the frame, pixels.
    angles: (T,), degrees anticlockwise around `middle`. scales: (T,), size of the patches over
    that in `look`.
    """
    places = zip(shifts, angles, scales, strict=True)
    return np.stack([_frame(look, middle, *place) for place in places])


def _frame(look: Look, middle, shift, angle: float, scale: float) -> np.ndarray:
    matrix = cv2.getRotationMatrix2D((0.0, 0.0), angle, scale)
    matrix[:, 2] = MIDDLE + shift - matrix[:, :2] @ middle
    sheet = cv2.warpAffine(
        look.sheet, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    clear = cv2.cvtColor(255 - sheet[..., 3], cv2.COLOR_GRAY2RGB)
    behind = cv2.multiply(look.ground, clear, scale=1 / 255)
    return cv2.add(behind, cv2.cvtColor(sheet, cv2.COLOR_RGBA2RGB))


def _cells(draw: np.random.Generator) -> np.ndarray:
    """Random colours in [0, 1), float32 (n, n, 3), of random coarseness n."""
    side = int(draw.integers(*CELLS))
    return draw.random((side, side, 3), np.float32)


def _smooth(cells: np.ndarray) -> np.ndarray:
    """The cells as a smooth picture (SIDE, SIDE, n) whose opposite edges meet."""
    tiled = cv2.resize(np.tile(cells, (3, 3, 1)), (3 * SIDE, 3 * SIDE))
    return tiled[SIDE : 2 * SIDE, SIDE : 2 * SIDE]


def _scaled(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    low, high = limits
    return low + (high - low) * values


def _signed(colors: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Values on the axis from ground to patches, channels in `signs` turned round, float32."""
    return np.where(signs, 1 - colors, colors).astype(np.float32)


def _bytes(colors: np.ndarray) -> np.ndarray:
    return (np.clip(colors, 0, 1) * np.float32(255)).astype(np.uint8)
