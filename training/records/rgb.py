"""Frames of a video as JPEG, by the grid that clips are taken from."""

import functools
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath

import cv2
import numpy as np

from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing

from ..data.decoder import UntrustedStamps, open_video
from ..data.frames import resize_frame
from ..data.video import check_end, frames_in, probe
from ..options import ConfigError
from . import keys
from .plan import Encoder, Item
from .sequence_example import encode

KIND = "rgb"


@dataclass(frozen=True, kw_only=True)
class FrameOptions:
    """How frames are kept: `size` in pixels, at `frame_rate` Hz, as JPEG of `jpeg_quality`.

    short_side: keep the aspect, with the shorter side at this; 0: resize_height x resize_width.
    """

    resize_height: int = KINETICS.resize[0]
    resize_width: int = KINETICS.resize[1]
    short_side: int = 0
    frame_rate: float = KINETICS.frame_rate
    jpeg_quality: int = 95  # OpenCV's own default

    def __post_init__(self):
        """Checks the values.

        Raises:
            ConfigError: one of them is out of range.
        """
        limits = {"jpeg_quality": (1, 100), "short_side": (0, 4096), "frame_rate": (1e-3, 1e3)}
        for field in fields(self):
            low, high = limits.get(field.name, (8, 4096))
            value = getattr(self, field.name)
            if not (math.isfinite(value) and low <= value <= high):
                raise ConfigError(f"{field.name}={value!r}: expected from {low:g} to {high:g}.")

    def size(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels at which a video of these is kept."""
        resize = self.short_side or (self.resize_height, self.resize_width)
        return Preprocessing(resize=resize).resized(height, width)

    @property
    def encoder(self) -> Encoder:
        """Encodes videos so."""
        return functools.partial(encode_frames, self)

    @property
    def as_json(self) -> dict:
        """What the manifest says of it."""
        unused = ("resize_height", "resize_width") if self.short_side else ("short_side",)
        return {name: value for name, value in asdict(self).items() if name not in unused}


def encode_frames(options: FrameOptions, item: Item) -> tuple[bytes, dict]:
    """A video's record and what the manifest says of it; an Encoder once `options` are bound.

    Frame k is the one on show at (k + 0.5) / frame_rate seconds, as clips that start on a multiple
    of 1 / frame_rate take them.

    Raises:
        VideoError: a file that cannot be read, or not to its end.
    """
    info = probe(item.path)
    height, width = options.size(info.height, info.width)
    try:
        jpegs = _jpegs(item.path, (height, width), options, by_count=False)
    except UntrustedStamps:
        jpegs = _jpegs(item.path, (height, width), options, by_count=True)
    rate = options.frame_rate
    context = {
        keys.FORMAT: [b"JPEG"],
        keys.CHANNELS: [3],
        keys.HEIGHT: [height],
        keys.WIDTH: [width],
        keys.FRAME_RATE: [float(rate)],
        **video_context(item, info.duration_s),
    }
    lists = {
        keys.IMAGE: [[jpeg] for jpeg in jpegs],
        keys.TIMESTAMP: [[round((k + 0.5) / rate * 1e6)] for k in range(len(jpegs))],
    }
    return encode(context, lists), {
        "frames": len(jpegs),
        "frame_rate": rate,
        "duration_s": info.duration_s,
        "height": height,
        "width": width,
    }


def video_context(item: Item, duration_s: float) -> dict:
    """The features that say of which video a record is."""
    return {
        keys.LABEL: list(item.labels),
        keys.LABEL_NAME: [name.encode() for name in item.label_names],
        keys.PATH: [item.name.encode("utf-8", "surrogateescape")],
        keys.MEDIA_ID: [PurePosixPath(item.name).stem.encode("utf-8", "surrogateescape")],
        keys.START: [0],
        keys.END: [round(duration_s * 1e6)],
    }


def decode_frame(jpeg) -> np.ndarray | None:
    """uint8 RGB (H, W, 3) of a JPEG; None where it is none."""
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


def grid_frames(path: str, frame_rate: float, by_count: bool) -> Iterator[np.ndarray]:
    """Every frame of the grid of `frame_rate` Hz, in order: uint8 RGB (H, W, 3).

    A frame that is on show at several of these times is the same array again.

    Raises:
        UntrustedStamps: call again with `by_count`.
        VideoError: a file that cannot be read, or not to its end.
    """
    with open_video(path, by_count) as video:
        count = 0
        while True:
            shown = video.frame_at((count + 0.5) / frame_rate)
            if video.end_s is not None and count >= frames_in(video.end_s, frame_rate):
                break
            yield shown.pixels
            count += 1
        check_end(path, video.end_s)


def _jpegs(path: str, size: tuple[int, int], options: FrameOptions, by_count: bool) -> list[bytes]:
    quality = [cv2.IMWRITE_JPEG_QUALITY, options.jpeg_quality]
    jpegs, before = [], None
    for frame in grid_frames(path, options.frame_rate, by_count):
        if frame is not before:
            bgr = cv2.cvtColor(resize_frame(frame, size), cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", bgr, quality)[1].tobytes()
        jpegs.append(jpeg)
        before = frame
    return jpegs
