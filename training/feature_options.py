"""What can be chosen about the features of videos."""

import math
import pathlib
from dataclasses import dataclass

POOL = ("avg", "none")
"""What is kept of a layer for each clip: its mean over time and space, or all of it."""
ON_BAD_VIDEO = ("stop", "skip")
"""Whether a file that cannot be read is an error, or is left out and reported."""


@dataclass(frozen=True, kw_only=True)
class FeatureOptions:
    """Which features of which clips; checked as it is made.

    layers: as for `zoo.feature_extractor`. num_clips: of each video, evenly spaced. pool,
    on_bad_video: one of POOL and ON_BAD_VIDEO. clip_frames: frames of a clip. crop_size: side of
    the square crop, pixels. frame_rate: Hz. None: as the network was trained.

    Raises:
        ValueError: values that cannot be.
    """

    layers: tuple[str, ...] = ("avgpool",)
    num_clips: int = 10
    pool: str = POOL[0]
    on_bad_video: str = ON_BAD_VIDEO[0]
    clip_frames: int | None = None
    crop_size: int | None = None
    frame_rate: float | None = None

    def __post_init__(self):
        """Checks the values."""
        for name, known in (("pool", POOL), ("on_bad_video", ON_BAD_VIDEO)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: expected one of {', '.join(known)}."
                )
        if isinstance(self.layers, str) or not self.layers:
            raise ValueError(f"layers={self.layers!r}: expected names such as ('layer3',).")
        for name in ("num_clips", "clip_frames", "crop_size", "frame_rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}={value!r}: expected a number above 0.")


def check_out(out: pathlib.Path) -> None:
    """Raise ValueError if no .npz file can be written as `out`."""
    if out.suffix != ".npz":
        raise ValueError(f"--out={out}: expected a name that ends in .npz.")
    if out.is_dir() or not out.absolute().parent.is_dir():
        raise ValueError(f"--out={out}: expected a file in a folder that exists. Make it first.")
