"""One draw for a whole clip; what is done to pixels and to flow; tensorflow-addons' twins."""

import dataclasses
import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.config import ConfigError
from r21d_keras.training.data import augmentation as aug
from r21d_keras.training.data.augmentation_options import OF_COLORS, Augmentation
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.pipeline import clip_spec, train_batches
from r21d_keras.training.recipes import resolve
from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing
from tests.addons import addons

CHANGES = {
    "jitter_rotation": 40.0,
    "jitter_shear": 0.4,
    "jitter_hue": 60.0,
    "jitter_saturation": 0.9,
    "jitter_sharpness": 0.9,
    "cutout": 0.5,
}
"""Of each option, a value that shows."""


def picture(height=33, width=41, seed=0):
    """Smooth colours, uint8 (H, W, 3), so that places may be off by a fraction of a pixel."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype("float32")
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 20, 235, cv2.NORM_MINMAX).astype(
        "uint8"
    )


def clip(num_frames=3, **size):
    return np.stack([picture(**size, seed=seed) for seed in range(num_frames)])


def difference(ours, theirs):
    return int(np.abs(np.asarray(ours).astype(int) - np.asarray(theirs).astype(int)).max())


def spec(side=24, **changes):
    numbers = Preprocessing(resize=(33, 41), crop_size=side)
    wanted = Augmentation(**{"random_flip": False, **changes})
    return ClipSpec(num_frames=3, preprocessing=numbers, augmentation=wanted)


@pytest.mark.parametrize("name", CHANGES)
def test_one_draw_for_all_frames_of_a_clip(name):
    """Frames that are alike stay alike; another draw gives another clip, the same one the same."""
    frame = np.random.default_rng(0).integers(0, 256, (33, 41, 3), np.uint8)
    still = np.stack([frame] * 3)
    wanted, seen = spec(**{name: CHANGES[name]}), set()
    for seed in range(8):
        got = wanted.augmented(still, np.random.default_rng(seed))
        assert got.dtype == np.uint8 and got.shape == (3, 24, 24, 3)
        for frame in got:
            np.testing.assert_array_equal(frame, got[0])
        again = wanted.augmented(still, np.random.default_rng(seed))
        np.testing.assert_array_equal(got, again)
        plain = spec().augmented(still, np.random.default_rng(seed))
        seen.add((got.tobytes(), bool((got == plain).all())))
    assert len(seen) == 8 and not any(same for _, same in seen)


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_is_used_by_the_run_and_none_by_the_test(make_config, name):
    from r21d_keras.training.data.datasets import load_dataset

    config = make_config(random_flip=False, num_readers=1)
    changed = dataclasses.replace(config, **{name: CHANGES[name]})
    videos = load_dataset(config, "train")
    assert getattr(clip_spec(videos, changed).augmentation, name) == CHANGES[name]
    plain, other = (next(iter(train_batches(videos, c, 0)))[0].numpy() for c in (config, changed))
    assert plain.shape == other.shape and np.abs(plain - other).max() > 0.1
    shown = [videos.test_clips_at(0, 1, clip_spec(videos, c)) for c in (config, changed)]
    np.testing.assert_array_equal(*shown)


def test_no_change_is_none_to_the_bit():
    frames = clip()
    np.testing.assert_array_equal(aug.warped(frames, np.eye(2), (0.0,) * 3), frames)
    np.testing.assert_array_equal(aug.sharpened(frames, 1.0), frames)
    np.testing.assert_array_equal(aug.in_hue(frames, 0.0, 1.0), frames)


@given(st.floats(-180, 180), st.floats(-1, 1))
def test_what_is_outside_is_the_mean_colour(degrees, shear):
    inverse = aug.rotation(degrees) @ aug.shearing(shear)
    seen = aug.warped(np.zeros((1, 20, 20, 3), np.uint8), inverse, (100.0, 150.0, 200.0))[0]
    middle = seen[8:12, 8:12]
    assert not middle.any()
    assert (seen <= (100, 150, 200)).all()
    colour = spec().augmented(np.zeros((1, 33, 41, 3), np.uint8), np.random.default_rng(0))
    assert not colour.any()


def test_fill_is_zero_once_normalised():
    wanted = spec(side=33, cutout=1.0)
    seen = wanted.augmented(np.zeros((1, 33, 41, 3), np.uint8), np.random.default_rng(0))
    values = {tuple(pixel) for pixel in seen.reshape(-1, 3).tolist()}
    assert values == {(0, 0, 0), tuple(round(255 * m) for m in KINETICS.mean)}


@given(st.floats(-90, 90), st.floats(-0.5, 0.5))
def test_flow_turns_with_the_picture(degrees, shear):
    """A field that is linear in place, v = B p, is A B A^-1 p where the picture went by A."""
    inverse = aug.rotation(degrees) @ aug.shearing(shear)
    field = np.array([[0.3, -0.1], [0.2, 0.4]])
    rows, columns = np.mgrid[:41, :41] - 20.0
    places = np.stack([columns, rows], axis=-1)  # (right, down) of the middle
    flow = (places @ field.T).astype("float32")[None]
    seen = aug.warped(flow, inverse, (0.0, 0.0))[0]
    expected = places @ (np.linalg.inv(inverse) @ field @ inverse).T
    np.testing.assert_allclose(seen[15:26, 15:26], expected[15:26, 15:26], atol=0.06)


def test_flow_that_is_computed_after_turning_is_the_flow_that_is_turned():
    """Of a picture that moves right: turned by 90 degrees against the clock it moves up."""
    big = picture(height=80, width=80)
    frames = np.stack([big[:, 8 - 2 * t : 72 - 2 * t] for t in range(3)])
    turned = aug.warped(frames, aug.rotation(90.0), (0.0,) * 3)
    numbers = Preprocessing(scale=1.0, mean=(0.0, 0.0), std=(1.0, 1.0), crop_size=64)
    flow = ClipSpec(num_frames=3, preprocessing=numbers, flow_method="farneback").seen(turned)
    right, down = np.median(flow[:, 16:48, 16:48], axis=(0, 1, 2))
    assert abs(right) < 0.3 and down == pytest.approx(-2.0, abs=0.5)


def test_a_hidden_square_does_not_move():
    flow = np.ones((2, 33, 41, 2), np.float32)
    seen = spec(cutout=0.5).augmented(flow, np.random.default_rng(1))
    assert seen.shape == (2, 24, 24, 2) and set(np.unique(seen)) == {0.0, 1.0}
    np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.parametrize("name", OF_COLORS)
def test_flow_has_no_colours(name):
    with pytest.raises(ConfigError, match=f"{name}=0.5 with stream='flow': flow has no colours"):
        resolve(overrides={"stream": "flow", name: 0.5})


def test_hue_and_saturation_leave_brightness():
    """Colours near grey, which no turn takes out of range."""
    frames = (clip() // 4 + 96).astype("uint8")
    weights = np.array([0.299, 0.587, 0.114])
    for degrees, saturation in ((90.0, 1.0), (0.0, 0.0), (-40.0, 1.5)):
        seen = aug.in_hue(frames, degrees, saturation)
        assert difference(seen, frames) > 5
        np.testing.assert_allclose(seen @ weights, frames @ weights, atol=1.0)
    grey = aug.in_hue(frames, 0.0, 0.0)
    assert np.ptp(grey.astype(int), axis=-1).max() <= 1


# Against tensorflow-addons itself. A level of 255 is rounding; a second one, where a picture is
# moved, places to 1/32 of a pixel, which at the edge to what is outside are 8 of 255.


def check_moved(ours, theirs):
    assert difference(ours, theirs) <= 8
    assert difference(ours[:, 10:23, 10:31], np.asarray(theirs)[:, 10:23, 10:31]) <= 2


@pytest.mark.parametrize("degrees", [-170.0, -33.0, 12.5, 90.0])
def test_rotation_is_that_of_addons(degrees):
    frames = clip()
    theirs = addons().image.rotate(frames, math.radians(degrees), "bilinear", fill_value=50.0)
    ours = aug.warped(frames, aug.rotation(degrees), (50.0,) * 3)
    check_moved(ours, theirs)


@pytest.mark.parametrize("level", [-1.0, 1.0])
def test_shear_is_that_of_addons(level):
    """By whole pixels, as it takes the nearest; about the upper edge, which is 16 to the side."""
    frames, image = clip(), addons().image
    theirs = np.stack([image.shear_x(frame, level, 0) for frame in frames])
    ours = aug.warped(frames, aug.shearing(level), (0.0,) * 3)
    here, there = slice(16, None), slice(None, -16)
    here, there = (here, there) if level > 0 else (there, here)
    np.testing.assert_array_equal(ours[:, :, here], theirs[:, :, there])


def test_shear_and_rotation_are_addons_transform():
    frames, inverse = clip(), aug.rotation(20.0) @ aug.shearing(0.3)
    offset = np.array([20.0, 16.0]) - inverse @ (20.0, 16.0)
    rows = np.column_stack([inverse, offset]).reshape(-1)
    theirs = addons().image.transform(frames, [*rows, 0.0, 0.0], "bilinear")
    check_moved(aug.warped(frames, inverse, (0.0,) * 3), theirs)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7, 2.0])
def test_sharpness_is_that_of_addons(factor):
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 24, 3), np.uint8)
    theirs = addons().image.sharpness(frames, factor)
    assert difference(aug.sharpened(frames, factor), theirs) <= 2


@pytest.mark.parametrize("degrees, saturation", [(0.0, 0.5), (35.0, 1.0), (-120.0, 1.4)])
def test_hue_and_saturation_are_those_of_addons(degrees, saturation):
    options = addons().options
    options.disable_custom_kernel()  # which is of TensorFlow for GPUs
    frames = clip()
    adjust = addons().image.adjust_hsv_in_yiq
    theirs = adjust(frames.astype("float32") / 255, math.radians(degrees), saturation)
    theirs = np.clip(np.rint(theirs.numpy() * 255), 0, 255)
    assert difference(aug.in_hue(frames, degrees, saturation), theirs) <= 1


@pytest.mark.parametrize("middle", [(0, 0), (10, 12), (32, 40), (5, 39)])
def test_cutout_is_that_of_addons(middle):
    frames = clip()
    theirs = addons().image.cutout(frames, (8, 8), offset=middle, constant_values=7)
    np.testing.assert_array_equal(aug.hidden(frames, 8, middle, (7.0,) * 3), theirs)
