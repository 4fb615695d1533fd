"""A network shown a video in blocks gives what it gives of the whole, for every family."""

import pathlib
import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras import VideoResNet
from r21d_keras.training.evaluation.protocols import Reach
from r21d_keras.training.evaluation.through_time import ThroughTime
from r21d_keras.variants import FAMILIES

FRAME = (16, 18)
ROOT = pathlib.Path(__file__).parent.parent
# Stride, and radius at depths 10 and 18, by hand: a convolution of 3 frames adds the stride that it
# stands at. R3D-18: 1 + 4 * 1, then 1 + 3 * 2, 2 + 3 * 4, 4 + 3 * 8.
TABLE = dict(
    re.findall(
        r"^\| `(\w+)` \| (\d+ \| \d+ \| \d+) \|",
        (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
)
MOVING = [family for family in FAMILIES if family != "r2d"]


def network(variant, frames=None):
    keras.utils.set_random_seed(0)
    shape = (frames, *FRAME, 3)
    return VideoResNet(variant, include_top=False, input_shape=shape, width_multiplier=0.125)


def video(num_frames):
    draw = np.random.default_rng(1)
    return draw.normal(size=(1, num_frames, *FRAME, 3)).astype(np.float32)


def in_blocks(through_time, frames, bounds):
    state, found = through_time.start(), []
    for start, end in zip(bounds, bounds[1:], strict=False):
        last = tf.constant(end == frames.shape[1])
        features, state = through_time.features(tf.constant(frames[:, start:end]), last, state)
        found.append(features.numpy())
    return np.concatenate(found, axis=1)


@pytest.mark.parametrize("variant", [*(f"{family}_10" for family in MOVING), "r2plus1d_50"])
def test_blocks_give_what_the_whole_video_gives(variant):
    model = network(variant)
    through_time = ThroughTime(model)
    smallest = through_time.smallest_block
    stride = through_time.reach.stride
    sizes = [smallest, smallest + 3, stride, 2 * stride, smallest + 1, stride, smallest]
    frames, bounds = video(sum(sizes)), [0, *np.cumsum(sizes).tolist()]
    whole = model(frames, training=False).numpy()
    np.testing.assert_allclose(
        in_blocks(through_time, frames, bounds), whole, rtol=1e-5, atol=1e-5 * np.abs(whole).max()
    )


def test_a_video_of_one_block():
    model, frames = network("r2plus1d_10"), video(11)
    found = in_blocks(ThroughTime(model), frames, [0, 11])
    np.testing.assert_allclose(found, model(frames, training=False), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", MOVING)
def test_reach_is_what_the_documentation_says(family):
    stride, *radii = map(int, TABLE[family].split(" | "))
    for depth, radius in zip((10, 18), radii, strict=True):
        assert ThroughTime(network(f"{family}_{depth}")).reach == Reach(stride, radius)


@pytest.mark.parametrize("family", MOVING)
def test_features_depend_on_what_the_reach_says_and_no_more(family):
    model = network(f"{family}_10")
    stride, radius = ThroughTime(model).reach
    place = -(-(radius + 1) // stride)
    middle = place * stride
    frames = tf.Variable(video(middle + radius + 2))
    with tf.GradientTape() as tape:
        chosen = tf.reduce_sum(model(frames, training=False)[:, place])
    seen = np.abs(tape.gradient(chosen, frames).numpy()).max(axis=(0, 2, 3, 4)) > 0
    (inside,) = np.nonzero(seen)
    assert (middle - inside.min(), inside.max() - middle) == (radius, radius)


@pytest.mark.parametrize("family", MOVING)
def test_a_clips_inner_features_are_the_videos_own(family):
    """What docs/evaluation.md says of exactness: equal away from the ends, unlike near them."""
    model = network(f"{family}_10")
    stride, radius = ThroughTime(model).reach
    length, start = 2 * radius + 2 * stride, 3 * stride
    frames = video(length + 6 * stride)
    whole = model(frames, training=False).numpy()[0, 3:]
    alone = model(frames[:, start : start + length], training=False).numpy()[0]
    places = np.arange(len(alone)) * stride
    inner = (places >= radius) & (places < length - radius)
    assert inner.any()
    near = np.abs(alone - whole[: len(alone)]).max(axis=(1, 2, 3)) / np.abs(whole).max()
    assert near[inner].max() < 1e-5
    if radius:
        assert near[~inner].max() > 1e-4


def test_networks_that_cannot():
    with pytest.raises(ValueError, match="clips of 4 frames; expected a network for clips of any"):
        ThroughTime(network("r2d_10", 4))
    inputs = keras.Input((None, 8, 8, 3))
    odd = keras.Model(inputs, keras.layers.MaxPooling3D()(inputs))
    with pytest.raises(ValueError, match=re.escape("what it does in time is not known")):
        ThroughTime(odd)
