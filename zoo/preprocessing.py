"""What a network's weights saw in training: frame rate, size, crop and normalisation, as data."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How video becomes a network's input.

    frame_rate: Hz. resize: (height, width) in pixels before the crop, or the shorter side in
    pixels with the aspect kept. crop_size: side of the square crop in pixels. scale: what frames
    are divided by first, 255 for uint8 and 1 for optical flow in pixels. mean, std: of each
    channel after that, subtracted from and divided into frames.
    """

    frame_rate: float = 15.0
    resize: tuple[int, int] | int = (128, 171)
    crop_size: int = 112
    scale: float = 255.0
    mean: tuple[float, ...] = (0.43216, 0.394666, 0.37645)
    std: tuple[float, ...] = (0.22803, 0.22145, 0.216989)

    @property
    def takes_flow(self) -> bool:
        """Whether the input is optical flow, of 2 channels, and not RGB video."""
        return len(self.mean) == 2

    @property
    def keeps_shape(self) -> bool:
        """Whether frames keep their shape when they are resized: `resize` is a shorter side."""
        return isinstance(self.resize, int)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """(height, width) in pixels to which frames of this height and width are resized.

        A shorter side fixes the longer one, rounded down: GluonCV's get_resize_sizes (torch/data/
        transforms/videotransforms/functional.py) and torchvision's Resize do the same.
        """
        if not self.keeps_shape:
            return tuple(self.resize)
        longer = self.resize * max(height, width) // min(height, width)
        return (self.resize, longer) if height <= width else (longer, self.resize)


# Frame rate: VMZ issue 55 (weights of c2/tutorials/models.md). Size and crop: section 4.1.
# Mean and std: VMZ ops/av_input_op.h (there times 255) and torchvision's video classification
# presets, which agree.
KINETICS = Preprocessing()
# VMZ ops/av_input_op.h: mean and std of displacements in pixels. Size and crop are the RGB models'.
FLOW = Preprocessing(scale=1.0, mean=(0.0046635, 0.0046261), std=(0.972347, 0.755146))


def preprocess_input(frames, weights) -> np.ndarray:
    """Clips as the network of a checkpoint takes them: resized, cropped in the middle, normalised.

    >>> clip = np.zeros((16, 240, 320, 3), np.uint8)
    >>> preprocess_input(clip, get_weights("r2plus1d_18", "kinetics400")).shape
    (16, 112, 112, 3)

    Args:
        frames: uint8 RGB video (T, H, W, 3) or (N, T, H, W, 3), at the frame rate of the weights.
            For optical flow rows, float (..., T, H, W, 2) with (right, down) in pixels; flow of
            the crop's size is taken as it is (see `crop_frames`), other sizes are resized, the
            vectors with them.
        weights: a row of `list_weights()`, its name VARIANT.TAG, or a `Preprocessing` such as
            KINETICS, whose numbers VMZ's and torchvision's weights share. GluonCV's differ.

    Returns:
        float32 (..., T, S, S, C) with S = `crop_size`. The argument stays as it was.

    Raises:
        TypeError: frames of another type than uint8 (float for flow); `weights` that is no row.
        ValueError: frames of another shape or with other channels.
    """
    numbers = _numbers(weights)
    clips = _crop(_checked(frames, numbers), numbers)  # float32 (..., T, S, S, C)
    clips /= np.float32(numbers.scale)
    clips -= np.asarray(numbers.mean, np.float32)
    clips /= np.asarray(numbers.std, np.float32)
    return clips


def crop_frames(frames, weights) -> np.ndarray:
    """The uint8 pixels (..., T, S, S, 3) of uint8 video that a network sees, before normalisation.

    To show, and to compute optical flow from: VMZ computed it on these pixels, in grey (PyTorch
    caffe2/video/video_io.cc, ClipTransformOpticalFlow). For `weights` of an optical flow row,
    `frames` are the RGB video all the same. Arguments and errors as for `preprocess_input`.
    """
    numbers = _numbers(weights)
    return _crop(_check_video(np.asarray(frames)), numbers).astype(np.uint8)


def _numbers(weights) -> Preprocessing:
    if isinstance(weights, str):
        from .weights import weights_named  # the rows are made of what is above

        weights = weights_named(weights)
    numbers = getattr(weights, "preprocessing", weights)
    if not isinstance(numbers, Preprocessing):
        raise TypeError(
            f"weights={weights!r}: expected a row of list_weights(), its name, or a Preprocessing. "
            'For example "r2plus1d_18.kinetics400".'
        )
    return numbers


def _checked(frames, numbers) -> np.ndarray:
    frames = np.asarray(frames)
    return _check_flow(frames) if numbers.takes_flow else _check_video(frames)


def _check_video(frames) -> np.ndarray:
    if frames.dtype != np.uint8:
        raise TypeError(
            f"Frames are {frames.dtype}; expected uint8 RGB with values from 0 to 255, which are "
            "normalised here. Pass them as decoded; for values in [0, 1] pass "
            "np.rint(frames * 255).astype(np.uint8)."
        )
    return _check_shape(frames, 3, "RGB frames; frames[..., ::-1] turns BGR into RGB")


def _check_flow(frames) -> np.ndarray:
    if frames.dtype.kind != "f":
        raise TypeError(
            f"Optical flow is {frames.dtype}; expected floats in pixels a frame. These weights "
            "take flow, not video: compute it from crop_frames(video, weights)."
        )
    return _check_shape(frames, 2, "flow, (right, down) in pixels")


def _check_shape(frames, channels, what) -> np.ndarray:
    if frames.ndim not in (4, 5) or frames.shape[-1] != channels or 0 in frames.shape:
        raise ValueError(
            f"Frames have shape {frames.shape}; expected (T, H, W, {channels}) or "
            f"(N, T, H, W, {channels}), channels last and nothing empty. Pass {what}."
        )
    return frames


def _crop(frames, numbers) -> np.ndarray:
    """float32 (..., S, S, C): the middle of the resized frames, in whole grey levels for uint8."""
    height, width, channels = frames.shape[-3:]
    side = numbers.crop_size
    is_flow = frames.dtype.kind == "f"
    if is_flow and (height, width) == (side, side):
        return frames.astype(np.float32)
    size = numbers.resized(height, width)
    rows = _line_of_pixels(height, size[0], side)
    columns = _line_of_pixels(width, size[1], side)
    cropped = np.empty((*frames.shape[:-3], side, side, channels), np.float32)
    source = frames.reshape(-1, height, width, channels)
    for frame, into in zip(source, cropped.reshape(-1, side, side, channels), strict=True):
        into[...] = _between(_between(frame, rows, 0), columns, 1)
    if is_flow:  # displacements grow with the picture
        cropped *= np.asarray([size[1] / width, size[0] / height], np.float32)
    else:
        np.rint(cropped, out=cropped)  # training resizes to uint8
    return cropped


def _line_of_pixels(length, resized, side):
    """Where the middle `side` of `resized` pixels lie in a line of `length`: (low, high, share).

    Bilinear with half-pixel centres and no antialiasing, as cv2.INTER_LINEAR, tf.image.resize and
    torch's interpolate have it; beyond the outermost centres the line is constant.
    """
    if side > resized:
        raise ValueError(
            f"A crop of {side} pixels does not fit in frames resized to {resized}; crop less, or "
            "resize to more."
        )
    # VMZ av_input_op.h. For odd remainders torchvision and GluonCV may start one pixel later.
    places = np.arange(side) + (resized - side) // 2
    places = np.clip((places + 0.5) * length / resized - 0.5, 0, length - 1)
    low = np.floor(places).astype(int)
    return low, np.minimum(low + 1, length - 1), (places - low).astype(np.float32)


def _between(image, line, axis):
    """Values along `axis` of `image` (H, W, C) at the places of `line`, interpolated: float32."""
    low, high, share = line
    share = share.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
    before = image.take(low, axis).astype(np.float32)
    after = image.take(high, axis).astype(np.float32)
    return before + (after - before) * share
