"""The flow of whole videos as records, for `r21d flow`."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..records import keys
from ..records.plan import Encoder, Item
from ..records.rgb import FrameOptions, Pictures, encode_pictures
from .methods import METHODS, FlowFunction, check_method, grey
from .quantise import encode_levels, quantise
from .streams import PUBLISHED_METHOD

# MediaSequence's names (see records.keys): pictures of flow, and a list of numbers for each.
PREFIX = "FORWARD_FLOW/"
SCALE = "FLOW_SCALE/feature/floats"


@dataclass(frozen=True, kw_only=True)
class FlowOptions:
    """Which flow is kept: that of `frames`, resized and not cropped, by `method` of METHODS."""

    frames: FrameOptions
    method: str = PUBLISHED_METHOD

    def __post_init__(self):
        """Checks that it can be computed here.

        Raises:
            ValueError: as `check_method`.
        """
        asked = self.frames
        check_method(self.method, asked.short_side or min(asked.resize_height, asked.resize_width))

    @property
    def encoder(self) -> Encoder:
        """Encodes videos so."""
        return functools.partial(encode_flow, self)

    @property
    def as_json(self) -> dict:
        """What the manifest says of it."""
        frames = {name: v for name, v in self.frames.as_json.items() if name != "jpeg_quality"}
        return {"method": self.method, **frames}


def encode_flow(options: FlowOptions, item: Item) -> tuple[bytes, dict]:
    """A video's record and what the manifest says of it; an Encoder once `options` are bound.

    Field k is the flow from frame k to frame k + 1 of the grid that `rgb.encode_frames` keeps. The
    last one is from the last frame to the first: clips that are longer than the video, and begin
    it again, show it.

    Raises:
        VideoError: a file that cannot be read, or not to its end.
    """
    pictures = Pictures(
        keys=(PREFIX + keys.IMAGE, SCALE),
        make=functools.partial(_fields, METHODS[options.method].make()),
        prefix=PREFIX,
        format=b"PNG",
        channels=1,
        times_as_high=2,  # right lies above down
    )
    return encode_pictures(options.frames, item, pictures)


def _fields(between: FlowFunction, frames: Iterator[np.ndarray]) -> Iterator[tuple[bytes, float]]:
    """Picture and scale of each field of a video."""
    first = before = None
    for frame in frames:
        after = grey(frame)
        if before is None:
            first = after
        else:
            yield _kept(between(before, after))
        before = after
    yield _kept(between(before, first))


def _kept(field: np.ndarray) -> tuple[bytes, float]:
    levels, scale = quantise(field)
    return encode_levels(levels), float(scale)
