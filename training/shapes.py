"""Random textured shapes on random textured grounds, drawn fast: what `motion` moves."""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64
"""Height and width of a frame in pixels: twice the 32 of the smallest networks, so that halving
it is a plain mean of 2x2 pixels."""
MIDDLE = (SIDE - 1) / 2
SPRITE_RADIUS = 30.0  # pixels of the sprite, so that with its soft edge it fits in SIDE
# Brightness on an axis from ground to shape, the same in each colour channel up to its sign: the
# shape differs from the ground in every channel, its two halves from each other, and all three
# may have any hue.
GROUND, NEAR_HALF, FAR_HALF = (0.0, 0.35), (0.5, 0.7), (0.8, 1.0)
GRAIN = 0.15  # range of the shape's own texture, on the same axis
CORNERS = 48  # of an outline


@dataclass(frozen=True)
class Look:
    """What is to be seen: `ground` uint8 (SIDE, SIDE, 3) and `sprite`, the shape, uint8 RGBA.

    The sprite is centred, SPRITE_RADIUS in size, its colours multiplied by its opacity.
    """

    ground: np.ndarray
    sprite: np.ndarray


def random_look(draw: np.random.Generator) -> Look:
    """A shape and a ground that nobody has seen before."""
    signs = draw.random(3) < 0.5  # which channels are dark on bright
    low, high = GROUND
    ground = _smooth(_signed(low + (high - low) * _cells(draw), signs))
    near, far = _signed(
        draw.uniform(*np.transpose([NEAR_HALF, FAR_HALF])[..., None], (2, 3)), signs
    )
    shape = _halves(near, far, draw.uniform(0, 2 * np.pi)) + _smooth(GRAIN * (_cells(draw) - 0.5))
    opacity = np.zeros((SIDE, SIDE), np.uint8)
    fixed = np.round((_outline(draw) * SPRITE_RADIUS + MIDDLE) * 16).astype(np.int32)
    cv2.fillPoly(opacity, [fixed], 255, cv2.LINE_AA, shift=4)
    sprite = cv2.cvtColor(_times(_bytes(shape), opacity), cv2.COLOR_RGB2RGBA)
    sprite[..., 3] = opacity
    return Look(_bytes(ground), sprite)


def draw_frames(look: Look, rows, columns, angles, radii) -> np.ndarray:
    """The look with its shape at each of T places: uint8 (T, SIDE, SIDE, 3).

    rows, columns: of the centre, pixels, taken modulo SIDE (what leaves comes in on the other
    side). angles: degrees anticlockwise. radii: pixels. All of them (T,).
    """
    places = zip(rows, columns, angles, radii, strict=True)
    layers = np.concatenate([_layer(look.sprite, *place) for place in places])  # (T*SIDE, SIDE, 4)
    hidden = _times(np.tile(look.ground, (len(rows), 1, 1)), 255 - layers[..., 3])
    return cv2.add(hidden, cv2.cvtColor(layers, cv2.COLOR_RGBA2RGB)).reshape(-1, SIDE, SIDE, 3)


def _layer(sprite, row: float, column: float, angle: float, radius: float) -> np.ndarray:
    """The shape at its place, RGBA as the sprite is: uint8 (SIDE, SIDE, 4)."""
    # Every frame is resampled once, at a fraction of a pixel, then shifted by whole pixels,
    # whatever moves: sharpness tells nothing.
    matrix = cv2.getRotationMatrix2D((MIDDLE, MIDDLE), angle, radius / SPRITE_RADIUS)
    matrix[:, 2] += column % 1, row % 1
    layer = cv2.warpAffine(sprite, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
    shift = int(row) - SIDE // 2, int(column) - SIDE // 2
    return np.roll(layer.view(np.uint32), shift, (0, 1)).view(np.uint8)


def _times(colors: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) times opacity (H, W), of which 255 is all."""
    return cv2.multiply(colors, cv2.cvtColor(opacity, cv2.COLOR_GRAY2RGB), scale=1 / 255)


def _cells(draw: np.random.Generator) -> np.ndarray:
    """Random colours in [0, 1), float32 (n, n, 3), of random coarseness n."""
    side = int(draw.integers(3, 9))
    return draw.random((side, side, 3), np.float32)


def _smooth(cells: np.ndarray) -> np.ndarray:
    return cv2.resize(cells, (SIDE, SIDE))


def _signed(colors: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Values on the axis from ground to shape, channels in `signs` turned round, float32."""
    return np.where(signs, 1 - colors, colors).astype(np.float32)


def _halves(near: np.ndarray, far: np.ndarray, angle: float) -> np.ndarray:
    """Two plain colours with a straight border through the middle, float32 (SIDE, SIDE, 3)."""
    along = 2 * SIDE * np.array([np.cos(angle), np.sin(angle)])
    across = along[::-1] * (-1, 1)
    corners = np.stack([along, along + across, across - along, -along]) + MIDDLE
    halves = _smooth(near.reshape(1, 1, 3))
    return cv2.fillConvexPoly(halves, np.round(corners).astype(np.int32), far.tolist())


def _bytes(colors: np.ndarray) -> np.ndarray:
    return (np.clip(colors, 0, 1) * np.float32(255)).astype(np.uint8)


def _outline(draw: np.random.Generator) -> np.ndarray:
    """A closed line around 0, (corners, 2), whose farthest corner is 1 away.

    An angular polygon, a star or a smooth blob; stretched, so that no turn by less than 180
    degrees (with the two colours: 360) brings it back onto itself.
    """
    kind = draw.integers(3)
    points = int(draw.integers(3, 7))
    if kind == 2:
        angles = np.arange(CORNERS) * (2 * np.pi / CORNERS)
        waves = draw.uniform(-0.3, 0.3, (2, 3)) @ np.stack(
            [np.ones(CORNERS), np.cos(2 * angles + points), np.sin(3 * angles + points)]
        )
        radii = 1 + waves[0] * np.cos(angles) + waves[1] * np.sin(angles)
    else:
        points *= 1 + int(kind == 1)
        jitter = draw.uniform(-0.3, 0.3, points)
        angles = (np.arange(points) + jitter) * (2 * np.pi / points)
        radii = draw.uniform(0.7, 1.0, points)
        if kind == 1:
            radii[1::2] *= 0.5
    line = np.stack([radii * np.cos(angles), draw.uniform(0.55, 0.85) * radii * np.sin(angles)], 1)
    return line / np.linalg.norm(line, axis=1).max()
