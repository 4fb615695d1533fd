"""Each protocol shows what it says: against networks and videos taken by hand."""

import csv
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import clip_spec, normalise
from r21d_keras.training.data.video import VideoError, frames_in, probe, read_clip
from r21d_keras.training.data.video_set import Files, VideoSet
from r21d_keras.training.evaluation.crops import crops
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.evaluation.network import GRID, load_networks
from r21d_keras.training.evaluation.protocols import Protocol, settled
from r21d_keras.training.evaluation.viewing import Viewing, even_parts, sliding
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.model_dir import load_run

SIZE = (36, 40)  # of SMALL_RUN's frames; its crop is 32


def predictions(folder):
    """Names and probabilities (V, K) of predictions.csv."""
    with open(Path(folder) / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    return [row[0] for row in rows], np.array([row[3:] for row in rows], np.float64)


def whole_videos(run):
    """Every test video: uint8 (N, H, W, 3), all frames at the run's rate, resized."""
    config, _, _ = load_run(run)
    videos = load_dataset(config, "test")
    for path in videos.paths:
        count = frames_in(probe(path).duration_s, config.frame_rate)
        yield read_clip(path, 0.0, count, config.frame_rate, size=SIZE)


def starts(num_frames, length, stride):
    """Of dense clips: multiples of the stride, and the last."""
    last = num_frames - length
    return sorted({*range(0, last + 1, stride), last})


def squares(features, side):
    """The averages (n, P, F) of all squares of features (n, H, W, F)."""
    height, width = features.shape[1:3]
    return np.stack(
        [
            features[:, top : top + side, left : left + side].mean(axis=(1, 2))
            for top in range(height - side + 1)
            for left in range(width - side + 1)
        ],
        axis=1,
    )


@pytest.mark.parametrize("variant", ["r2d_10", "r2plus1d_10"])
def test_dense_without_sharing_is_clip_by_clip(tiny_run, variant):
    run = tiny_run(variant=variant)
    protocol = Protocol(name="dense", frames="crop", stride=3, overlap="recompute")
    result = evaluate(run, protocol)
    config, _, model = load_run(run)
    for video, found in zip(whole_videos(run), predictions(run)[1], strict=True):
        (frames,) = crops(video, config.crop_size)
        clips = np.stack([frames[s : s + 4] for s in starts(len(frames), 4, 3)])
        expected = model(normalise(clips, config.preprocessing)).numpy().mean(axis=0)
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert result["protocol"]["overlap"] == "recompute"
    assert result["protocol"]["exactness"].startswith("exact: each clip is computed for itself")


@pytest.mark.parametrize(
    ("variant", "frames"),
    [("mc3_10", "crop"), ("rmc5_10", "whole"), ("r2plus1d_10", "whole")],
)
def test_dense_with_sharing_is_one_pass_over_the_video(tiny_run, variant, frames):
    length, stride = 16, 8
    run = tiny_run(variant=variant, clip_frames=length)
    evaluate(run, Protocol(name="dense", frames=frames, stride=stride, overlap="share"))
    size = SIZE if frames == "whole" else None
    config, _, model = load_run(run, any_length=True, frame=size)
    body = keras.Model(model.input, model.get_layer("avgpool").input)
    side, head = config.crop_size // GRID, model.get_layer("fc")

    def answers(features):  # (T', H', W', F) of one clip to (K,)
        return head(squares(features.mean(axis=0, keepdims=True), side)).numpy()[0].mean(axis=0)

    for video, found in zip(whole_videos(run), predictions(run)[1], strict=True):
        seen = video if size else crops(video, config.crop_size)[0]
        features = body(normalise(seen[None], config.preprocessing), training=False).numpy()[0]
        grid = -(-len(seen) // len(features))
        scores = [
            answers(features[s // grid : (s + length) // grid])
            for s in range(0, len(seen) - length + 1, stride)
        ]
        if (len(seen) - length) % stride:  # the last clip lies beside the grid: for itself
            last = body(normalise(seen[None, -length:], config.preprocessing), training=False)
            scores.append(answers(last.numpy()[0]))
        np.testing.assert_allclose(found, np.mean(scores, axis=0), rtol=1e-4)


def test_frame_wise_networks_lose_nothing_by_sharing(tiny_run):
    run = tiny_run(variant="f_r2d_10", clip_frames=8)
    found = []
    for overlap in ("share", "recompute"):
        result = evaluate(run, Protocol(name="dense", stride=3, overlap=overlap))
        assert result["protocol"]["exactness"].startswith("exact")
        found.append(predictions(run)[1])
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_three_crops_of_each_clip(tiny_run):
    run = tiny_run(variant="f_r2d_10")
    result = evaluate(run, Protocol(num_clips=2, num_crops=3))
    config, _, model = load_run(run)
    videos = load_dataset(config, "test")
    spec = clip_spec(videos, config)
    for index, found in enumerate(predictions(run)[1]):
        clips = videos.source.read(index, lambda s: [0.0, s - 4 / 15], spec)
        cut = [clips[:, :, 2:34, left : left + 32] for left in (0, 4, 8)]
        scores = [model(normalise(clip, config.preprocessing)).numpy() for clip in cut]
        np.testing.assert_allclose(found, np.mean(scores, axis=(0, 1)), rtol=1e-5)
    assert result["protocol"]["num_crops"] == 3


def test_flow_is_tested_densely_too(tiny_run):
    run = tiny_run(stream="flow", variant="mc2_10", mean=(0.0, 0.0), std=(1.0, 1.0), clip_frames=8)
    for overlap in ("share", "recompute"):
        protocol = Protocol(name="dense", frames="crop", stride=4, overlap=overlap)
        assert evaluate(run, protocol)["stream"] == "flow"
    config, _, model = load_run(run)
    video, found = next(whole_videos(run)), predictions(run)[1][0]
    flow = clip_flow(crops(video, config.crop_size)[0], config.flow_method)  # (N - 1, S, S, 2)
    clips = np.stack([flow[s : s + 8] for s in starts(len(flow), 8, 4)])
    expected = model(normalise(clips, config.preprocessing)).numpy().mean(axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_video_shorter_than_a_clip_is_one_clip(tiny_run):
    long = 64
    run = tiny_run(variant="mc3_10", clip_frames=long)
    config, _, model = load_run(run)
    videos = load_dataset(config, "test")
    assert frames_in(probe(videos.paths[0]).duration_s, 15) < long
    evaluate(run, Protocol(name="dense", frames="crop"))
    clip = read_clip(videos.paths[0], 0.0, long, 15.0, size=SIZE)
    expected = model(normalise(crops(clip, 32)[0][None], config.preprocessing)).numpy()[0]
    np.testing.assert_allclose(predictions(run)[1][0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["clips", "dense"])
def test_replicas_count_every_video_once(tiny_run, motion_videos, tmp_path, name):
    """Seven videos divide evenly among neither two replicas nor three readers."""
    folder = tmp_path / "videos"
    for source in sorted(motion_videos.rglob("*.mp4"))[1:]:
        target = folder / source.relative_to(motion_videos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    protocol = Protocol(name=name)
    options = {"videos": str(folder), "variant": "mc2_10"}
    one = tiny_run(**options, num_readers=1)
    two = tiny_run(**options, num_readers=3, num_cpu_replicas=2)
    results = [evaluate(run, protocol) for run in (one, two)]
    assert [result["videos"] for result in results] == [7, 7]
    assert results[0]["accuracy"] == results[1]["accuracy"]
    (names, scores), (names_2, scores_2) = predictions(one), predictions(two)
    assert names == names_2 and len(set(names)) == 7
    np.testing.assert_allclose(scores, scores_2, rtol=1e-5)


def test_networks_lie_on_their_devices(tiny_run):
    devices = ("CPU:0", "CPU:1")
    networks = load_networks(tiny_run(variant="f_r2d_10"), "final", Protocol(), devices)
    for network, device in zip(networks, devices, strict=True):
        for weight in network.model.weights:
            assert tf.convert_to_tensor(weight).device.endswith(device)


@pytest.fixture
def viewing(tiny_run):
    """The test videos of a run, of which the third is gone since they were listed."""
    run = tiny_run(variant="f_r2d_10")
    config, classes, _ = load_run(run)
    protocol = settled(Protocol(), config)
    networks = load_networks(run, "final", protocol, ("CPU:0",))
    videos = load_dataset(config, "test")
    paths = [path if place != 2 else f"{path}.gone" for place, path in enumerate(videos.paths)]
    videos = VideoSet("folder", classes, videos.names, videos.labels, Files(tuple(paths)))
    return Viewing(networks, videos, config, protocol)


def test_a_video_that_fails_on_the_way_is_an_error_in_its_place(viewing):
    found = list(viewing.scores())
    assert [index for index, _ in found] == list(range(8))
    assert [index for index, scores in found if isinstance(scores, VideoError)] == [2]
    assert {scores.num_clips for index, scores in found if index != 2} == {2}


def test_whoever_leaves_early_waits_for_no_more_videos(viewing):
    before, scores = threading.active_count(), viewing.scores()
    next(scores)
    scores.close()
    assert threading.active_count() <= before


@given(st.integers(1, 500), st.integers(1, 100))
def test_even_parts(total, smallest):
    parts = even_parts(total, smallest)
    assert sum(parts) == total
    assert len(parts) == 1 or (min(parts) >= smallest and max(parts) < 2 * smallest)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(1, 8),
    st.integers(1, 8),
    st.integers(1, 4),
)
def test_sliding_windows(sizes, length, stride, most):
    stride = min(stride, length)
    items = np.arange(sum(sizes))
    blocks = np.split(items, np.cumsum(sizes)[:-1])
    found = list(sliding(blocks, length, stride, most))
    assert all(len(part) <= most for part in found)
    expected = [items[s : s + length] for s in range(0, len(items) - length + 1, stride)]
    np.testing.assert_array_equal([w for part in found for w in part], expected)


@pytest.mark.parametrize(("height", "width"), [(6, 9), (9, 6), (6, 6)])
def test_three_crops_lie_along_the_longer_side(height, width):
    frames = np.arange(height * width).reshape(1, height, width, 1)
    found = crops(frames, 4, 3)
    assert [crop.shape for crop in found] == [(1, 4, 4, 1)] * 3
    corners = [divmod(int(crop[0, 0, 0, 0]), width) for crop in found]
    middle = ((height - 4) // 2, (width - 4) // 2)
    ends = [(1, 0), (1, width - 4)] if width >= height else [(0, 1), (height - 4, 1)]
    assert corners == [ends[0], middle, ends[1]]
    with pytest.raises(ValueError, match="expected 1 or 3 crops"):
        crops(frames, 4, 2)
