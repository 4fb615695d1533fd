"""Random textured shapes on random textured grounds, drawn fast: what `motion` moves."""

from dataclasses import dataclass

import cv2
import numpy as np

SIDE = 64
"""Height and width of a frame in pixels: twice the 32 of the smallest networks, so that halving
it is a plain mean of 2x2 pixels."""
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
    ground = low + (high - low) * _texture(draw)
    shape = _halves(draw) + GRAIN * (_texture(draw) - 0.5)
    opacity = np.zeros((SIDE, SIDE), np.uint8)
    fixed = np.round((_outline(draw) * SPRITE_RADIUS + (SIDE - 1) / 2) * 16).astype(np.int32)
    cv2.fillPoly(opacity, [fixed], 255, cv2.LINE_AA, shift=4)
    sprite = np.empty((SIDE, SIDE, 4), np.uint8)
    sprite[..., :3] = _bytes(shape, signs) * (opacity[..., None] / np.float32(255))
    sprite[..., 3] = opacity
    return Look(_bytes(ground, signs), sprite)


def draw_frames(look: Look, rows, columns, angles, radii) -> np.ndarray:
    """The look with its shape at each of T places: uint8 (T, SIDE, SIDE, 3).

    rows, columns: of the centre, pixels, taken modulo SIDE (what leaves comes in on the other
    side). angles: degrees anticlockwise. radii: pixels. All of them (T,).
    """
    layers = np.empty((len(rows), SIDE, SIDE, 4), np.uint8)
    for layer, row, column, angle, radius in zip(layers, rows, columns, angles, radii, strict=True):
        # Every frame is resampled once, at a fraction of a pixel, then shifted by whole pixels,
        # whatever moves: sharpness tells nothing.
        center = ((SIDE - 1) / 2, (SIDE - 1) / 2)
        matrix = cv2.getRotationMatrix2D(center, angle, radius / SPRITE_RADIUS)
        matrix[:, 2] += column % 1, row % 1
        warped = cv2.warpAffine(look.sprite, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        shift = int(row) - SIDE // 2, int(column) - SIDE // 2
        layer.view(np.uint32)[..., 0] = np.roll(warped.view(np.uint32)[..., 0], shift, (0, 1))
    seen = (255 - layers[..., 3:]).astype(np.uint16)  # of the ground, (T, SIDE, SIDE, 1)
    return layers[..., :3] + ((seen * look.ground + 127) // 255).astype(np.uint8)


def _texture(draw: np.random.Generator) -> np.ndarray:
    """Smooth random colours in [0, 1], float32 (SIDE, SIDE, 3), of random coarseness."""
    cells = int(draw.integers(3, 9))
    return cv2.resize(draw.random((cells, cells, 3), np.float32), (SIDE, SIDE))


def _halves(draw: np.random.Generator) -> np.ndarray:
    """Two plain colours with a straight border through the middle, float32 (SIDE, SIDE, 3)."""
    near = draw.uniform(*NEAR_HALF, 3).astype(np.float32)
    far = draw.uniform(*FAR_HALF, 3).astype(np.float32)
    angle = draw.uniform(0, 2 * np.pi)
    place = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2
    side = place[:, None] * np.sin(angle) + place * np.cos(angle) > 0
    return np.where(side[..., None], near, far)


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


def _bytes(colors: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """Values on the axis from ground to shape as uint8, channels in `signs` turned round."""
    colors = np.clip(colors, 0, 1) * np.float32(255)
    return np.where(signs, 255 - colors, colors).astype(np.uint8)
