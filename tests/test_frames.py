import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.data import frames
from r21d_keras.training.data.augmentation_options import Augmentation
from r21d_keras.zoo.preprocessing import Preprocessing

sides = st.integers(1, 40)


@given(sides, sides, sides, sides, st.integers(0, 99))
def test_resize_is_that_of_tensorflow(height, width, to_height, to_width, seed):
    frame = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    ours = frames.resize_frame(frame, (to_height, to_width))
    theirs = tf.image.resize(frame, (to_height, to_width)).numpy()
    assert ours.dtype == np.uint8 and ours.shape == (to_height, to_width, 3)
    assert np.abs(ours - theirs).max() <= 1.0  # cv2 computes in fixed point and rounds


def test_resize_leaves_frames_of_the_right_size():
    frame = np.zeros((4, 6, 3), np.uint8)
    assert frames.resize_frame(frame, (4, 6)) is frame


def test_resize_clip():
    clip = np.random.default_rng(0).integers(0, 256, (5, 20, 30, 3), np.uint8)
    resized = frames.resize_clip(clip, (10, 15))
    assert resized.shape == (5, 10, 15, 3)
    np.testing.assert_array_equal(resized[3], frames.resize_frame(clip[3], (10, 15)))


def test_center_crop():
    clip = np.arange(2 * 6 * 9 * 3).reshape(2, 6, 9, 3)
    np.testing.assert_array_equal(frames.center_crop(clip, 4), clip[:, 1:5, 2:6])
    np.testing.assert_array_equal(frames.center_crop(clip[None], 4)[0], clip[:, 1:5, 2:6])


def _coordinates(height: int, width: int, num_frames: int) -> np.ndarray:
    """A clip whose pixels are (frame, row, column)."""
    grid = np.meshgrid(range(num_frames), range(height), range(width), indexing="ij")
    return np.stack(grid, axis=-1).astype(np.uint8)


@given(st.integers(8, 20), st.integers(8, 20), st.integers(1, 8), st.integers(0, 2**32))
def test_one_crop_for_all_frames(height, width, side, seed):
    clip = _coordinates(height, width, 3)
    cropped = frames.random_crop(clip, side, np.random.default_rng(seed))
    _, top, left = cropped[0, 0, 0]
    np.testing.assert_array_equal(cropped, clip[:, top : top + side, left : left + side])


def test_crops_reach_every_place():
    draw, clip = np.random.default_rng(0), _coordinates(10, 12, 1)
    corners = {tuple(frames.random_crop(clip, 8, draw)[0, 0, 0, 1:]) for _ in range(400)}
    assert corners == {(row, column) for row in range(3) for column in range(5)}


def test_flip_mirrors_the_whole_clip_half_the_time():
    draw, clip = np.random.default_rng(0), _coordinates(4, 6, 3)
    flips = 0
    for _ in range(400):
        seen = frames.random_flip(clip, draw)
        flipped = seen[0, 0, 0, 2] != 0
        np.testing.assert_array_equal(seen, clip[:, :, ::-1] if flipped else clip)
        flips += flipped
    assert 160 < flips < 240


def _drift(height: int, width: int) -> np.ndarray:
    """Flow of a picture that grows from its upper left corner: each pixel moves by its place."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns + 0.5, rows + 0.5], axis=-1).astype(np.float32) / 10


@given(st.integers(4, 20), st.integers(4, 20), st.integers(1, 3), st.integers(1, 3))
def test_vectors_grow_with_the_picture(height, width, tall, wide):
    """That motion looks the same at any size: pixels still move by a tenth of their place."""
    seen = frames.resize_frame(_drift(height, width), (tall * height, wide * width))
    assert seen.dtype == np.float32
    expected = _drift(tall * height, wide * width)
    inside = (slice(tall, -tall), slice(wide, -wide))  # beyond the outer centres it is constant
    np.testing.assert_allclose(seen[inside], expected[inside], atol=1e-3)


def test_in_the_mirror_motion_to_the_right_goes_left():
    flow = np.random.default_rng(0).normal(size=(3, 4, 6, 2)).astype(np.float32)
    seen = frames.mirrored(flow)
    assert seen.dtype == np.float32
    np.testing.assert_array_equal(seen[..., 0], -flow[:, :, ::-1, 0])
    np.testing.assert_array_equal(seen[..., 1], flow[:, :, ::-1, 1])
    np.testing.assert_array_equal(frames.mirrored(seen), flow)


def test_spec_scales_crops_and_mirrors_flow_with_its_vectors():
    """Enlarged by a factor, the drift of each pixel is still a tenth of its place in the frame."""
    row = Preprocessing(resize=(40, 40), crop_size=24)
    clip = np.stack([_drift(40, 40)] * 2)
    spec = frames.ClipSpec(
        num_frames=2, preprocessing=row, augmentation=Augmentation(jitter_scale=1.5)
    )
    signs = set()
    for seed in range(20):
        got = spec.augmented(clip, np.random.default_rng(seed))
        assert got.shape == (2, 24, 24, 2) and got.flags.c_contiguous
        steps = np.diff(got[..., 1], axis=1)[:, 1:-1], np.diff(got[..., 0], axis=2)[:, :, 1:-1]
        for step in steps:  # a tenth of a pixel from each to the next, in the mirror too
            np.testing.assert_allclose(step, 0.1, atol=2e-3)
        signs.add(bool((got[..., 0] < 0).all()))
    assert signs == {False, True}


def test_a_crop_that_does_not_fit():
    clip = np.zeros((2, 10, 20, 3), np.uint8)
    for crop in (frames.center_crop, lambda c, s: frames.random_crop(c, s, None)):
        with pytest.raises(ValueError, match="crop of 11x11 does not fit in frames of 10x20"):
            crop(clip, 11)


def test_spec_augments_alike_for_one_seed_and_flips_only_where_told():
    row = Preprocessing(resize=(10, 12), crop_size=8)
    clip = _coordinates(10, 12, 3)
    for may_flip in (False, True):
        spec = frames.ClipSpec(
            num_frames=3, preprocessing=row, augmentation=Augmentation(random_flip=may_flip)
        )
        clips = [spec.augmented(clip, np.random.default_rng(seed)) for seed in range(40)]
        again = [spec.augmented(clip, np.random.default_rng(seed)) for seed in range(40)]
        np.testing.assert_array_equal(clips, again)
        assert all(c.shape == (3, 8, 8, 3) and c.flags.c_contiguous for c in clips)
        assert any(c[0, 0, 0, 2] > c[0, 0, 1, 2] for c in clips) == may_flip


def test_scale_jitter_shows_less_of_the_frame_in_the_same_size():
    """Columns numbered 0 .. 63: at twice the size a crop of 32 spans 16 of them."""
    clip = np.broadcast_to(np.arange(64, dtype=np.uint8)[:, None], (2, 64, 64, 3)).copy()
    row = Preprocessing(resize=(64, 64), crop_size=32)
    spec = frames.ClipSpec(
        num_frames=2,
        preprocessing=row,
        augmentation=Augmentation(jitter_scale=2.0, random_flip=False),
    )
    spans = []
    for seed in range(30):
        got = spec.augmented(clip, np.random.default_rng(seed))
        assert got.shape == (2, 32, 32, 3) and got.flags.c_contiguous
        np.testing.assert_array_equal(got[0], got[1])
        spans.append(int(got[0, 0, :, 0].max()) - int(got[0, 0, :, 0].min()))
    assert min(spans) < 20 and 26 < max(spans) <= 31


def test_color_jitter_is_one_monotone_change_for_the_whole_clip():
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, -1).repeat(2, 0)
    for seed in range(10):
        got = frames.random_color(levels, 0.4, np.random.default_rng(seed))
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got[0], got[1])
        for channel in range(3):
            steps = np.diff(got[0].reshape(-1, 3)[:, channel].astype(int))
            assert (steps >= 0).all() and steps.max() <= 2
    np.testing.assert_array_equal(
        frames.random_color(levels, 0.0, np.random.default_rng(0)), levels
    )
