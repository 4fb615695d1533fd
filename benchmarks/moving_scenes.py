"""Videos whose optical flow is known exactly: a texture that is a formula, under a known motion."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Motion:
    """What happens from one frame to the next, around the frame's middle.

    shift: pixels right and down. turn: degrees clockwise, as rows run down. zoom: factor.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    zoom: float = 1.0

    def moved(self, places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Where `places` (..., 2), right and down, are one frame later, in frames of `size`."""
        return (places - _middle(size)) @ self._matrix().T + _middle(size) + self.shift

    def before(self, places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Where they were one frame earlier."""
        inverse = np.linalg.inv(self._matrix())
        return (places - _middle(size) - self.shift) @ inverse.T + _middle(size)

    def _matrix(self) -> np.ndarray:
        angle = np.radians(self.turn)
        turn = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return self.zoom * np.array(turn)


# Of up to three pixels a frame at a distance of 50 from the middle, as in video of 112 pixels.
MOTIONS = {
    "still": Motion(),
    "right": Motion(shift=(2.0, 0.0)),
    "slowly up and left": Motion(shift=(-0.5, -1.25)),
    "fast down": Motion(shift=(1.0, 3.0)),
    "clockwise": Motion(turn=3.0),
    "growing": Motion(zoom=1.03),
    "shrinking": Motion(zoom=0.96),
    "all at once": Motion(shift=(-1.0, 0.5), turn=-1.5, zoom=1.02),
}


def scene(motion: Motion, num_frames: int, size=(112, 112), seed=0):
    """uint8 RGB frames (num_frames, H, W, 3), and the flow from each to its next, (H, W, 2)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    grid = np.stack([columns, rows], axis=-1).astype(float)
    places, frames = grid, []
    for _ in range(num_frames):
        frames.append(_texture(places, seed))
        places = motion.before(places, size)
    return np.stack(frames), motion.moved(grid, size) - grid


def end_point_error(flow: np.ndarray, truth: np.ndarray, margin: int = 8) -> float:
    """Mean distance in pixels between two fields (..., H, W, 2), but for a margin.

    At the edge the next frame does not show where pixels have gone.
    """
    inside = (..., slice(margin, -margin), slice(margin, -margin), slice(None))
    return float(
        np.linalg.norm(flow[inside] - np.broadcast_to(truth, flow.shape)[inside], axis=-1).mean()
    )


def _texture(places: np.ndarray, seed: int) -> np.ndarray:
    """Waves of 8 to 42 pixels in all directions: uint8 RGB (H, W, 3)."""
    draw = np.random.default_rng(seed)
    directions = draw.normal(size=(60, 2))
    directions *= draw.uniform(0.15, 0.8, (60, 1)) / np.linalg.norm(directions, axis=1)[:, None]
    waves = np.sin(places @ directions.T + draw.uniform(0, 2 * np.pi, 60))
    height = waves @ draw.uniform(0.5, 1, 60)
    colours = np.array([14.0, 12.0, 10.0])
    return np.clip(128 + height[..., None] * colours, 0, 255).round().astype(np.uint8)


def _middle(size: tuple[int, int]) -> np.ndarray:
    return np.array([size[1] - 1, size[0] - 1]) / 2
