"""Requests that a server is checked with: what an export answers, and what it refuses."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from .about import preprocessing_of
from .names import (
    CLIPS,
    CLIPS_FLOAT,
    FEATURES,
    FRAMES_BYTES,
    SERVING_DEFAULT,
    SIGNATURES,
)


@dataclass(frozen=True)
class Case:
    """A request. words: by which it is refused; "" is one that is answered.

    rest: whether it can be said in JSON, and is not tens of megabytes there.
    """

    name: str
    signature: str
    value: np.ndarray
    words: str = ""
    rest: bool = True

    @property
    def inputs(self) -> dict[str, np.ndarray]:
        """What is sent."""
        return {FRAMES_BYTES if self.signature == FRAMES_BYTES else CLIPS: self.value}


def stream_of(about: dict) -> str:
    """What the network of an export takes, "rgb" or "flow"."""
    return "flow" if len(about["preprocessing"]["mean"]) == 2 else "rgb"


def shortest(about: dict) -> Case:
    """A good request that costs as little as can be."""
    return Case("short", SERVING_DEFAULT, _taken(about, 1, _few(about), (8, 8)))


def answered(about: dict) -> Iterator[Case]:
    """Good requests: every signature, batches, lengths and sizes."""
    length, sizes = about["clip_frames"], about["warmed_up_batch_sizes"]
    for signature in SIGNATURES[stream_of(about)]:
        if signature == FRAMES_BYTES:
            value = _encoded(_taken(about, 2, length, (36, 48)))
        elif signature == CLIPS_FLOAT:
            value = _prepared(about, 1, length)
        else:
            value = _taken(about, 2, length, (36, 48))
        yield Case(signature, signature, value)
    for size in sizes:
        yield Case(f"{size} clips", SERVING_DEFAULT, _taken(about, size, _few(about), (24, 32)))
    if stream_of(about) == "rgb":
        for size in ((20, 90), (90, 20), (112, 112)):
            name = f"frames of {size[0]}x{size[1]} pixels"
            yield Case(name, SERVING_DEFAULT, _taken(about, 1, _few(about), size))
    other = length + 3 if length + 3 <= about["limits"]["max_frames"] else max(1, length - 3)
    if about["any_length"]:
        yield Case(f"{other} frames", SERVING_DEFAULT, _taken(about, 1, other, (16, 16)))


def refused(about: dict) -> Iterator[Case]:
    """Requests that cannot be answered, each with the words that name its fault."""
    yield from _refused_numbers(about)
    yield from _refused_lengths(about)
    if stream_of(about) == "rgb":
        yield from _refused_pixels(about)
        yield from _refused_bytes(about)


def _refused_pixels(about: dict) -> Iterator[Case]:
    few = _few(about)
    default, none = SERVING_DEFAULT, np.uint8
    yield Case("4 channels", default, np.zeros((1, few, 16, 16, 4), none), "of 4 channels")
    yield Case("1 channel", FEATURES, np.zeros((1, few, 16, 16, 1), none), "of 1 channels")
    yield Case("1 pixel", default, np.zeros((1, few, 1, 1, 3), none), "of 1x1 pixels")
    large = np.zeros((1, few, 2160, 3840, 3), none)
    yield Case("4K", default, large, "of 2160x3840 pixels", rest=False)
    half = np.full((1, few, 16, 16, 3), 0.5, np.float32)
    yield Case("another type", default, half, "uint8")
    if preprocessing_of(about).keeps_shape:
        side, times = about["limits"]["min_side"], about["limits"]["max_aspect"] + 1
        flat = np.zeros((1, few, side, side * times, 3), none)
        yield Case("flat frames", default, flat, f"a side at most {times - 1} times the other")


def _refused_numbers(about: dict) -> Iterator[Case]:
    for name, number in (("NaN", np.nan), ("infinity", np.inf)):
        value = _prepared(about, 1, _few(about)).copy()
        value[0, 0, 0, 0, 0] = number
        yield Case(name, CLIPS_FLOAT, value, "1 values that are NaN")
    value = _prepared(about, 1, _few(about))[:, :, 1:]
    yield Case("another size", CLIPS_FLOAT, value, "in clips: expected")


def _refused_lengths(about: dict) -> Iterator[Case]:
    """More frames than are answered, of one clip and in all, and none; another rank."""
    flow, few, limits = stream_of(about) == "flow", _few(about), about["limits"]
    frame = _prepared(about, 1, 1)[0, 0] if flow else np.zeros((8, 8, 3), np.uint8)
    default, most = SERVING_DEFAULT, limits["max_frames_in_all"]

    def clips(batch: int, frames: int) -> np.ndarray:
        return np.broadcast_to(frame, (batch, frames, *frame.shape))

    # Flow is of the size that the network sees: 10,000 of that are a gigabyte.
    frames = most + 1 if flow else 10_000
    yield Case("long clips", default, clips(1, frames), f"of {frames} frames", rest=False)
    many, words = clips(most // few + 1, few), f"at most {most} frames a request"
    yield Case("too many clips", default, many, words, rest=False)
    yield Case("no frames", default, clips(1, 0), "none 0", rest=False)
    yield Case("no clips", default, clips(0, few), "none 0", rest=False)
    yield Case("rank 4", default, clips(1, few)[0], "expected (batch, frames")
    if flow:
        wide = np.concatenate([clips(1, few)] * 2, axis=-1)
        yield Case("3 channels", FEATURES, wide[..., :3], "in clips: expected")
        whole = clips(1, few).astype(np.int32)  # in JSON no other type
        yield Case("another type", default, whole, "float", rest=False)


def _refused_bytes(about: dict) -> Iterator[Case]:
    good = _encoded(_taken(about, 1, _few(about), (36, 48)), ".jpg")
    large = cv2.imencode(".png", np.zeros((2160, 3840, 3), np.uint8))[1].tobytes()
    octets = good[0, 0]
    for name, frame, words in (
        ("no picture", b"this is no picture", "18 bytes that are neither JPEG nor PNG"),
        ("an empty frame", b"", "0 bytes that are neither"),
        ("a JPEG cut off", octets[: len(octets) // 2], "Invalid JPEG data"),
        ("a 4K picture", large, "of 2160x3840 pixels"),
    ):
        value = good.copy()
        value[0, -1] = frame
        yield Case(name, FRAMES_BYTES, value, words)
    if about["any_length"] or about["clip_frames"] > 1:
        value = _encoded(_taken(about, 1, max(2, _few(about)), (36, 48)), ".jpg")
        value[0, 0] = _encoded(_taken(about, 1, 1, (24, 48)), ".jpg")[0, 0]
        yield Case("sizes that differ", FRAMES_BYTES, value, "different sizes within a clip")
    value = np.full((1, 10_000), b"?", object)
    yield Case("10,000 encoded frames", FRAMES_BYTES, value, "10000 frames")


def _few(about: dict) -> int:
    return 1 if about["any_length"] else about["clip_frames"]


def _taken(about: dict, batch: int, frames: int, size: tuple[int, int]) -> np.ndarray:
    """What `serving_default` takes: pixels of smooth frames of a size, or flow."""
    if stream_of(about) == "flow":
        return _prepared(about, batch, frames)
    coarse = np.random.default_rng(0).integers(0, 256, (batch * frames, 4, 4, 3), np.uint8)
    pictures = [cv2.resize(frame, size[::-1], interpolation=cv2.INTER_LINEAR) for frame in coarse]
    return np.stack(pictures).reshape(batch, frames, *size, 3)


def _prepared(about: dict, batch: int, frames: int) -> np.ndarray:
    """What `clips_float` takes."""
    side, depth = about["preprocessing"]["crop_size"], len(about["preprocessing"]["mean"])
    shape = (batch, frames, side, side, depth)
    return np.random.default_rng(0).normal(size=shape).round(2).astype(np.float32)


def _encoded(clips: np.ndarray, ending: str = ".png") -> np.ndarray:
    """Each frame of uint8 RGB clips as a file: bytes objects (B, T)."""
    frames = np.empty(clips.shape[:2], object)
    for place in np.ndindex(frames.shape):
        frames[place] = cv2.imencode(ending, clips[place][..., ::-1])[1].tobytes()
    return frames
