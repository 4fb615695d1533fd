import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks import moving_scenes as scenes
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.flow.quantise import (
    LIMIT,
    ZERO,
    decode_levels,
    encode_levels,
    quantise,
    restored,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(2))
PIXELS = st.floats(-3 * LIMIT, 3 * LIMIT, width=32)
ROUNDING = 1e-5  # of float32, in pixels of up to LIMIT


@given(arrays.arrays(np.float32, SHAPES, elements=PIXELS))
def test_error_is_bounded_by_the_scale(field):
    levels, scale = quantise(field)
    seen = restored(levels, scale)
    assert levels.dtype == np.uint8 and seen.dtype == np.float32
    largest = np.abs(field).max()
    assert scale == (min(largest, LIMIT) if largest >= 1e-6 else 0)
    within = np.clip(field, -LIMIT, LIMIT)  # what is faster is kept as LIMIT
    assert np.abs(seen - within).max() <= scale / 254 + ROUNDING


@given(arrays.arrays(np.float32, SHAPES, elements=PIXELS))
def test_what_stands_still_stays_so_and_signs_are_kept(field):
    levels, scale = quantise(field)
    assert (levels[field == 0] == ZERO).all()
    assert (np.sign(restored(levels, scale)) * np.sign(field) >= 0).all()
    np.testing.assert_array_equal(restored(quantise(-field)[0], scale), -restored(levels, scale))


@given(arrays.arrays(np.uint8, SHAPES))
def test_pictures_keep_every_level(levels):
    np.testing.assert_array_equal(decode_levels(encode_levels(levels)), levels)


def test_pictures_are_what_other_readers_see():
    levels = np.random.default_rng(0).integers(0, 256, (6, 9, 2), np.uint8)
    picture = cv2.imdecode(np.frombuffer(encode_levels(levels), np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(picture[:6], levels[..., 0])
    np.testing.assert_array_equal(picture[6:], levels[..., 1])


def test_the_error_is_below_that_of_the_methods():
    frames, truth = scenes.scene(scenes.MOTIONS["all at once"], 2)
    flow = clip_flow(frames, "farneback")[0]
    kept = restored(*quantise(flow))
    assert np.abs(kept - np.clip(flow, -LIMIT, LIMIT)).mean() < 0.02
    apart = scenes.end_point_error(kept, truth) - scenes.end_point_error(flow, truth)
    assert abs(apart) < 0.01


@pytest.mark.parametrize(
    "picture", [np.zeros((5, 4), np.uint8), np.zeros((4, 4, 3), np.uint8), None]
)
def test_other_pictures_are_refused(picture):
    octets = b"nothing" if picture is None else cv2.imencode(".png", picture)[1].tobytes()
    with pytest.raises(ValueError, match="expected a grey PNG of an even height"):
        decode_levels(octets)
