"""The flow of whole videos as records, for `r21d flow`."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..data.decoder import UntrustedStamps
from ..data.frames import resize_frame
from ..data.video import probe
from ..records import keys
from ..records.plan import Encoder, Item
from ..records.rgb import FrameOptions, grid_frames, video_context
from ..records.sequence_example import encode
from .methods import METHODS, check_method, grey
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
    info, rate = probe(item.path), options.frames.frame_rate
    height, width = options.frames.size(info.height, info.width)
    try:
        kept = list(_fields(item.path, (height, width), options, by_count=False))
    except UntrustedStamps:
        kept = list(_fields(item.path, (height, width), options, by_count=True))
    context = {
        PREFIX + keys.FORMAT: [b"PNG"],
        PREFIX + keys.CHANNELS: [1],
        PREFIX + keys.HEIGHT: [2 * height],  # of the pictures: right lies above down
        PREFIX + keys.WIDTH: [width],
        PREFIX + keys.FRAME_RATE: [float(rate)],
        **video_context(item, info.duration_s),
    }
    lists = {
        PREFIX + keys.IMAGE: [[png] for png, _ in kept],
        PREFIX + keys.TIMESTAMP: [[round((k + 0.5) / rate * 1e6)] for k in range(len(kept))],
        SCALE: [[float(scale)] for _, scale in kept],
    }
    return encode(context, lists), {
        "frames": len(kept),
        "frame_rate": rate,
        "duration_s": info.duration_s,
        "height": height,
        "width": width,
    }


def _fields(
    path: str, size: tuple[int, int], options: FlowOptions, by_count: bool
) -> Iterator[tuple[bytes, np.float32]]:
    """Picture and scale of each field of a video."""
    between = METHODS[options.method].make()
    first = before = None
    for frame in grid_frames(path, options.frames.frame_rate, by_count):
        after = grey(resize_frame(frame, size))
        if before is None:
            first = after
        else:
            yield _kept(between(before, after))
        before = after
    yield _kept(between(before, first))


def _kept(field: np.ndarray) -> tuple[bytes, np.float32]:
    levels, scale = quantise(field)
    return encode_levels(levels), scale
