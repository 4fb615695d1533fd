from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from benchmarks import moving_scenes as scenes
from r21d_keras.training.data import motion
from r21d_keras.training.data.frames import mirrored
from r21d_keras.training.flow.methods import METHODS, check_method, clip_flow, grey
from r21d_keras.zoo.weights import get_weights

HAS_TVL1 = hasattr(cv2, "optflow")
METHODS_HERE = [name for name in METHODS if name != "tvl1" or HAS_TVL1]
# Mean end-point error in pixels in each of moving_scenes; about twice the largest measured.
BOUNDS = {"farneback": 0.2, "dis": 0.15, "tvl1": 0.1}


@pytest.mark.parametrize("method", METHODS_HERE)
@pytest.mark.parametrize("name", scenes.MOTIONS)
@pytest.mark.parametrize("size", [(112, 112), (64, 86)])
def test_flow_is_the_known_motion(method, name, size):
    frames, truth = scenes.scene(scenes.MOTIONS[name], 3, size)
    flow = clip_flow(frames, method)
    assert flow.shape == (2, *size, 2) and flow.dtype == np.float32
    assert scenes.end_point_error(flow, truth) < BOUNDS[method]
    if name == "still":
        # Farneback's of OpenCV sees motion at the right and lower edges of any frame.
        assert np.median(np.abs(flow)) < 1e-3
    else:  # the bound tells something: no flow at all would not hold it
        assert scenes.end_point_error(0 * flow, truth) > 3 * BOUNDS[method]


@pytest.mark.parametrize("method", METHODS_HERE)
@pytest.mark.parametrize(
    ("name", "axis", "sign"), [("left", 0, -1), ("right", 0, 1), ("up", 1, -1), ("down", 1, 1)]
)
def test_flow_of_the_built_in_motions_goes_where_their_names_say(method, name, axis, sign):
    label = motion.CLASSES.index(name)
    clip = motion.render_clip(label, 9, 15.0, np.random.default_rng(3))
    flow = np.median(clip_flow(clip, method), axis=(0, 1, 2))
    assert sign * flow[axis] > 0.5 and abs(flow[1 - axis]) < 0.2


def test_farneback_is_the_published_weights_own():
    frames, _ = scenes.scene(scenes.MOTIONS["clockwise"], 2)
    note = get_weights("r2plus1d_34", "sports1m_kinetics400_32f_flow").note
    call = note[note.index("cv2.calc") :].rstrip(".")
    a, b = map(grey, frames)
    expected = eval(call, {"cv2": cv2, "a": a, "b": b})
    np.testing.assert_array_equal(clip_flow(frames, "farneback")[0], expected)


@pytest.mark.parametrize("method", METHODS_HERE)
def test_a_mirrored_video_has_mirrored_flow(method):
    frames, _ = scenes.scene(scenes.MOTIONS["all at once"], 2)
    flow, seen = clip_flow(frames, method), clip_flow(frames[:, :, ::-1], method)
    assert scenes.end_point_error(seen, mirrored(flow)) < 0.05
    assert scenes.end_point_error(seen, flow[:, :, ::-1]) > 0.5  # without turning the vectors


@pytest.mark.parametrize("method", METHODS_HERE)
def test_clips_of_several_threads_are_those_of_one(method):
    clips = [
        scenes.scene(scenes.MOTIONS[name], 3, (48, 40), seed)[0]
        for seed, name in enumerate(scenes.MOTIONS)
    ]
    alone = [clip_flow(clip, method) for clip in clips]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda clip: clip_flow(clip, method), clips))
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(clip_flow(np.stack(clips), method), alone)


@pytest.mark.parametrize("method", METHODS_HERE)
def test_the_flow_of_a_pair_is_the_same_whatever_came_before(method):
    frames, _ = scenes.scene(scenes.MOTIONS["clockwise"], 3, (36, 40))
    noise = np.random.default_rng(0).integers(0, 256, (2, 36, 40, 3), np.uint8)
    after = clip_flow(np.concatenate([noise, frames]), method)[2:]
    np.testing.assert_array_equal(after, clip_flow(frames, method))


@pytest.mark.parametrize("method", METHODS_HERE)
def test_the_smallest_frames_are_taken(method):
    side = METHODS[method].smallest
    for size in ((side, side), (side, 3 * side), (3 * side + 1, side)):
        noise = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
        assert np.isfinite(clip_flow(noise, method)).all()


def test_frames_that_are_too_small_or_too_few():
    frames = np.zeros((2, 12, 40, 3), np.uint8)
    with pytest.raises(ValueError, match="'dis' takes frames of 16 pixels or more; got 12"):
        clip_flow(frames, "dis")
    with pytest.raises(ValueError, match="between frames; got 1"):
        clip_flow(frames[:1], "farneback")
    with pytest.raises(ValueError, match="expected one of farneback, dis, tvl1"):
        check_method("raft", 112)


@pytest.mark.skipif(HAS_TVL1, reason="opencv-contrib is installed")
def test_tvl1_names_the_package_that_it_needs():
    with pytest.raises(ValueError, match=r"'opencv-contrib-python-headless==\d.*'. Or take"):
        check_method("tvl1", 112)
