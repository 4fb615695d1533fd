"""Frames of a video as JPEG, by the grid that clips are taken from."""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import PurePosixPath

import cv2
import numpy as np

from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing

from ..data.decoder import UntrustedStamps
from ..data.frames import resize_frame
from ..data.video import every_frame, probe
from ..options import ConfigError
from . import keys
from .plan import Encoder, Item
from .sequence_example import Value, encode

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
    jpegs = functools.partial(_jpegs, quality=options.jpeg_quality)
    return encode_pictures(options, item, Pictures(keys=(keys.IMAGE,), make=jpegs))


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """What a record has for the frames of a video, a picture each.

    keys: of the feature lists, the pictures' first. make: from the frames in order, uint8 RGB
    (H, W, 3), to the values of these lists for each. prefix: before the keys that say what the
    pictures are: of which format, how many channels, how many times as high as the frames.
    """

    keys: tuple[str, ...]
    make: Callable[[Iterator[np.ndarray]], Iterator[tuple[Value, ...]]]
    prefix: str = ""
    format: bytes = b"JPEG"
    channels: int = 3
    times_as_high: int = 1


def encode_pictures(options: FrameOptions, item: Item, pictures: Pictures) -> tuple[bytes, dict]:
    """A record of pictures that are made of a video's frames, and what the manifest says of it.

    Raises:
        VideoError: a file that cannot be read, or not to its end.
    """
    info, rate, prefix = probe(item.path), options.frame_rate, pictures.prefix
    size = height, width = options.size(info.height, info.width)
    try:
        made = list(pictures.make(_frames(item.path, size, rate, by_count=False)))
    except UntrustedStamps:
        made = list(pictures.make(_frames(item.path, size, rate, by_count=True)))
    context = {
        prefix + keys.FORMAT: [pictures.format],
        prefix + keys.CHANNELS: [pictures.channels],
        prefix + keys.HEIGHT: [pictures.times_as_high * height],
        prefix + keys.WIDTH: [width],
        prefix + keys.FRAME_RATE: [float(rate)],
        **_of_video(item, info.duration_s),
    }
    lists = {key: [[row[i]] for row in made] for i, key in enumerate(pictures.keys)}
    lists[prefix + keys.TIMESTAMP] = [[round((k + 0.5) / rate * 1e6)] for k in range(len(made))]
    return encode(context, lists), {
        "frames": len(made),
        "frame_rate": rate,
        "duration_s": info.duration_s,
        "height": height,
        "width": width,
    }


def decode_frame(jpeg) -> np.ndarray | None:
    """uint8 RGB (H, W, 3) of a JPEG; None where it is none."""
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)


def _of_video(item: Item, duration_s: float) -> dict:
    """The features that say of which video a record is."""
    return {
        keys.LABEL: list(item.labels),
        keys.LABEL_NAME: [name.encode() for name in item.label_names],
        keys.PATH: [item.name.encode("utf-8", "surrogateescape")],
        keys.MEDIA_ID: [PurePosixPath(item.name).stem.encode("utf-8", "surrogateescape")],
        keys.START: [0],
        keys.END: [round(duration_s * 1e6)],
    }


def _frames(path: str, size: tuple[int, int], rate: float, by_count: bool) -> Iterator[np.ndarray]:
    """`every_frame`, resized; one that comes again is the same array again."""
    before = None
    for frame in every_frame(path, rate, by_count):
        if frame is not before:
            before, resized = frame, resize_frame(frame, size)
        yield resized


def _jpegs(frames: Iterator[np.ndarray], quality: int) -> Iterator[tuple[bytes]]:
    before = None
    for frame in frames:
        if frame is not before:
            bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        yield (jpeg,)
        before = frame
