"""Video as a checkpoint takes it: against OpenCV, and against numbers worked out by hand."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.data.frames import center_crop, resize_clip
from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing, crop_frames, preprocess_input
from r21d_keras.zoo.weights import get_weights, list_weights

FLOW_ROW = get_weights("r2plus1d_34", "kinetics400_32f_flow")
RAW = Preprocessing(resize=(4, 6), crop_size=4, scale=1.0, mean=(0.0,) * 3, std=(1.0,) * 3)
sides = st.integers(1, 300)


def noise(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def by_opencv(clip, numbers):
    """uint8 (T, S, S, C), as training makes it."""
    return center_crop(resize_clip(clip, numbers.resized(*clip.shape[1:3])), numbers.crop_size)


def grey_levels(clip, numbers):
    """Undoes the normalisation."""
    return (clip * np.float32(numbers.std) + np.float32(numbers.mean)) * np.float32(numbers.scale)


@given(sides, sides, st.sampled_from([(128, 171), (112, 112), 128]), st.integers(0, 99))
def test_pixels_are_those_of_opencv(height, width, resize, seed):
    numbers = Preprocessing(resize=resize)
    if resize == 128 and max(height, width) > 20 * min(height, width):
        height = width  # a very long strip, resized, is more than OpenCV takes
    clip = noise((2, height, width, 3), seed)
    expected = by_opencv(clip, numbers)
    ours = preprocess_input(clip, numbers)
    assert ours.dtype == np.float32 and ours.shape == (2, 112, 112, 3)
    # cv2 computes in fixed point: it may round the other way, by one grey level.
    assert np.abs(grey_levels(ours, numbers) - expected).max() < 1.01
    cropped = crop_frames(clip, numbers)
    assert cropped.dtype == np.uint8
    np.testing.assert_allclose(grey_levels(ours, numbers), cropped, atol=1e-3)


def test_a_real_frame_differs_little_from_opencv():
    """On smooth pictures nearly all pixels are the same, not only within one level."""
    rows, columns = np.mgrid[:240, :320]
    clip = np.stack([rows / 2, columns / 2, (rows + columns) / 3], -1).astype(np.uint8)[None]
    difference = crop_frames(clip, KINETICS).astype(int) - by_opencv(clip, KINETICS)
    assert np.abs(difference).max() <= 1 and np.mean(difference != 0) < 0.05


def test_numbers_by_hand():
    """A frame of the size of resize: its middle columns, divided, less mean, over deviation."""
    frame = np.arange(24, dtype=np.uint8).reshape(1, 4, 6, 1).repeat(3, -1)
    np.testing.assert_array_equal(preprocess_input(frame, RAW), frame[:, :, 1:5])
    white = np.full((16, 128, 171, 3), 255, np.uint8)
    # (1 - 0.43216) / 0.22803, (1 - 0.394666) / 0.22145, (1 - 0.37645) / 0.216989
    expected = np.broadcast_to([2.490198, 2.733502, 2.873648], (16, 112, 112, 3))
    np.testing.assert_allclose(preprocess_input(white, KINETICS), expected, atol=1e-5)
    black = np.zeros((1, 9, 7, 3), np.uint8)
    imagenet = get_weights("r2plus1d_18", "kinetics400_16f_gluoncv")
    # -0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225
    expected = np.broadcast_to([-2.117904, -2.035714, -1.804444], (1, 112, 112, 3))
    np.testing.assert_allclose(preprocess_input(black, imagenet), expected, atol=1e-5)


def test_interpolation_by_hand():
    """Two columns, 0 and 100, spread over six: half-pixel centres, constant at the ends."""
    frame = np.array([0, 100], np.uint8).reshape(1, 1, 2, 1).repeat(3, -1)
    whole = dataclasses.replace(RAW, resize=(6, 6), crop_size=6)
    # Places -1/3, 0, 1/3, 2/3, 1, 4/3 of the line.
    assert crop_frames(frame, whole)[0, 3, :, 0].tolist() == [0, 0, 33, 67, 100, 100]
    one = dataclasses.replace(RAW, resize=(1, 6), crop_size=1)
    assert preprocess_input(frame, one)[0, 0, 0].tolist() == [33, 33, 33]


@pytest.mark.parametrize(
    ("resize", "size", "expected"),
    [
        (128, (240, 320), (128, 170)),  # 170.67 is cut, not rounded
        (128, (320, 240), (170, 128)),
        (128, (128, 128), (128, 128)),
        (128, (360, 640), (128, 227)),
        ((128, 171), (320, 240), (128, 171)),
    ],
)
def test_shorter_side(resize, size, expected):
    assert Preprocessing(resize=resize).resized(*size) == expected


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 60), st.integers(1, 60))
def test_batches_are_their_clips(num_clips, length, height, width):
    clips = noise((num_clips, length, height, width, 3))
    before = clips.copy()
    batch = preprocess_input(clips, KINETICS)
    assert batch.shape == (num_clips, length, 112, 112, 3)
    for clip, ours in zip(clips, batch, strict=True):
        np.testing.assert_array_equal(preprocess_input(clip, KINETICS), ours)
    np.testing.assert_array_equal(clips, before)


@pytest.mark.parametrize("row", list_weights(), ids=lambda row: row.name)
def test_every_row_gets_its_clip(row):
    frames, _, _, channels = row.input_shape
    clip = noise((frames, 36, 48, channels))
    clip = clip.astype(np.float32) / 100 if channels == 2 else clip
    assert preprocess_input(clip, row).shape == row.input_shape
    assert preprocess_input(clip, row.preprocessing).shape == row.input_shape
    np.testing.assert_array_equal(preprocess_input(clip, row.name), preprocess_input(clip, row))


def test_memory_that_cannot_be_written_or_is_strided():
    clip = noise((2, 40, 50, 3))
    clip.flags.writeable = False
    np.testing.assert_array_equal(
        preprocess_input(clip[:, ::-1, ::2], KINETICS),
        preprocess_input(clip[:, ::-1, ::2].copy(), KINETICS),
    )


def test_flow_of_the_size_of_the_crop_is_only_normalised():
    flow = np.random.default_rng(0).normal(size=(32, 112, 112, 2)).astype(np.float32)
    before = flow.copy()
    seen = preprocess_input(flow, FLOW_ROW)
    expected = (flow - [0.0046635, 0.0046261]) / [0.972347, 0.755146]
    np.testing.assert_allclose(seen, expected, atol=1e-5)
    np.testing.assert_array_equal(flow, before)
    assert preprocess_input(flow.astype(np.float64), FLOW_ROW).dtype == np.float32


def test_flow_of_another_size_grows_with_the_picture():
    """One pixel right in 320 is 171/320 of one in 171; nothing is rounded."""
    flow = np.ones((1, 240, 320, 2), np.float32)
    raw = dataclasses.replace(FLOW_ROW.preprocessing, mean=(0.0, 0.0), std=(1.0, 1.0))
    seen = preprocess_input(flow, raw)
    np.testing.assert_allclose(seen, np.broadcast_to([171 / 320, 128 / 240], seen.shape), rtol=1e-6)


def test_flow_of_moving_video_is_what_the_note_says():
    """The recipe of the flow rows' note runs, and finds a picture that moves two pixels right."""
    draw = np.random.default_rng(0)
    picture = cv2.GaussianBlur(draw.integers(0, 256, (128, 240), np.uint8), (0, 0), 3)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    video = np.stack([picture[:, 20 - 2 * t :][:, :171] for t in range(4)])[..., None]
    pixels = crop_frames(video.repeat(3, -1), FLOW_ROW)
    assert pixels.shape == (4, 112, 112, 3)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in pixels]
    call = "cv2.calcOpticalFlowFarneback(a, b, None, 2**-0.5, 5, 10, 2, 7, 1.5, "
    call += "cv2.OPTFLOW_FARNEBACK_GAUSSIAN)"
    assert call in FLOW_ROW.note
    flow = np.stack(
        [eval(call, {"cv2": cv2, "a": a, "b": b}) for a, b in zip(grey, grey[1:], strict=False)]
    )
    assert flow.shape == (3, 112, 112, 2)
    middle = np.median(flow[:, 20:-20, 20:-20], axis=(0, 1, 2))
    np.testing.assert_allclose(middle, [2.0, 0.0], atol=0.1)
    assert preprocess_input(flow, FLOW_ROW).shape == (3, 112, 112, 2)


CLIP = np.zeros((2, 20, 20, 3), np.uint8)


@pytest.mark.parametrize(
    ("frames", "weights", "error", "message"),
    [
        (
            CLIP.astype(np.float32) / 255,
            KINETICS,
            TypeError,
            r"float32; .*pass np.rint\(frames \* 255\).ast",
        ),
        (CLIP.astype(np.int64), KINETICS, TypeError, "Frames are int64; expected uint8 RGB"),
        (
            CLIP[0],
            KINETICS,
            ValueError,
            r"\(20, 20, 3\); expected \(T, H, W, 3\) or \(N, T, H, W, 3\)",
        ),
        (CLIP[..., :1], KINETICS, ValueError, r"shape \(2, 20, 20, 1\).*RGB frames"),
        (CLIP[:0], KINETICS, ValueError, r"shape \(0, 20, 20, 3\).*nothing empty"),
        (CLIP, FLOW_ROW, TypeError, r"Optical flow is uint8; .*crop_frames\(video, weights\)"),
        (CLIP * 1.0, FLOW_ROW, ValueError, r"expected \(T, H, W, 2\).*right, down"),
        (CLIP, "kinetics400", ValueError, "expected a checkpoint as VARIANT.TAG; got kinetics400"),
        (CLIP, None, TypeError, "weights=None: expected a row of list_weights"),
        (CLIP, Preprocessing(resize=64), ValueError, "crop of 112 pixels does not fit .* to 64"),
    ],
)
def test_bad_input(frames, weights, error, message):
    with pytest.raises(error, match=message):
        preprocess_input(frames, weights)
