import pathlib
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data import pipeline
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.video_set import Files
from r21d_keras.zoo.preprocessing import KINETICS

SMALL = {
    "dataset": "folder",
    "clip_frames": 4,
    "resize_height": 20,
    "resize_width": 26,
    "crop_size": 16,
    "global_batch_size": 3,
    "seed": 7,
}


@pytest.fixture
def config(tiny_videos):
    return TrainConfig(videos=str(tiny_videos), **SMALL)


def _epoch(videos, config, epoch=0, bad=None):
    """An epoch's clips (n, T, S, S, 3) and labels (n,)."""
    batches = list(pipeline.train_batches(videos, config, epoch, bad).as_numpy_iterator())
    return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))


def test_batches(config):
    videos = load_dataset(config, "train")  # 8 videos
    batches = pipeline.train_batches(videos, config, 0)
    assert batches.cardinality() == 3
    assert batches.element_spec == (
        tf.TensorSpec((None, 4, 16, 16, 3), tf.float32),
        tf.TensorSpec((None,), tf.int32),
    )
    assert [len(labels) for _, labels in batches] == [3, 3, 2]
    clips, labels = _epoch(videos, config)
    assert sorted(labels) == [0] * 4 + [1] * 4
    # Class 0 is bright, class 1 is dark: labels belong to their clips.
    brightness = clips.mean(axis=(1, 2, 3, 4))
    assert brightness[labels == 0].min() > 0 > brightness[labels == 1].max()


def test_values_are_normalised(config):
    videos = load_dataset(config, "train")
    raw = replace(config, mean=(0.0,) * 3, std=(1.0,) * 3)
    clips, seen = _epoch(videos, config)[0], _epoch(videos, raw)[0]
    assert 0 <= seen.min() and seen.max() <= 1 and seen.max() > 0.8
    np.testing.assert_allclose(seen * 255, np.round(seen * 255), atol=1e-4)
    expected = (seen - np.float32(KINETICS.mean)) / np.float32(KINETICS.std)
    np.testing.assert_allclose(clips, expected, atol=1e-5)


@pytest.mark.parametrize("name", ["folder", "motion"])
def test_readers_and_batch_size_change_nothing(config, name):
    config = replace(config, dataset=name, clips_per_epoch=10)
    videos = load_dataset(config, "train")
    clips, labels = _epoch(videos, config)
    for other in (
        replace(config, num_readers=0),  # as many as CPU cores
        replace(config, num_readers=1),
        replace(config, num_readers=5),
        replace(config, global_batch_size=10),
    ):
        again, same_labels = _epoch(videos, other)
        np.testing.assert_array_equal(clips, again)
        np.testing.assert_array_equal(labels, same_labels)
    for changed in (_epoch(videos, config, epoch=1), _epoch(videos, replace(config, seed=8))):
        assert not np.array_equal(clips, changed[0])


class Counting(Files):
    """Video files that know how many clips have been read of them."""

    clips_read = 0

    def training_clip(self, index, *arguments):
        self.clips_read += 1
        return super().training_clip(index, *arguments)


@pytest.mark.parametrize("first_step", [0, 1, 2, 3])
def test_an_epoch_may_begin_at_any_step(config, first_step):
    videos = load_dataset(config, "train")
    whole = list(pipeline.train_batches(videos, config, 1).as_numpy_iterator())
    source = Counting(videos.paths)
    videos, config = replace(videos, source=source), replace(config, num_readers=1)
    rest = pipeline.train_batches(videos, config, 1, first_step=first_step)
    assert rest.cardinality() == 3 - first_step
    rest = list(rest.as_numpy_iterator())
    assert source.clips_read == max(0, 8 - 3 * first_step)
    for left, right in zip(whole[first_step:], rest, strict=True):
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("clips_per_epoch", [0, 3, 8, 20])
def test_every_video_is_seen_equally_often(config, clips_per_epoch):
    config = replace(config, clips_per_epoch=clips_per_epoch)
    videos = load_dataset(config, "train")
    count = pipeline.clips_in_epoch(videos, config)
    assert count == (clips_per_epoch or 8)
    orders = [pipeline.epoch_order(videos, config, epoch) for epoch in range(8)]
    assert all(len(order) == count for order in orders)
    np.testing.assert_array_equal(np.bincount(np.concatenate(orders)), [count] * 8)
    assert len({tuple(order) for order in orders}) > 1


def test_motion_is_never_mirrored(config):
    config = replace(config, dataset="motion", random_flip=True)
    assert not pipeline.clip_spec(load_dataset(config, "train"), config).augmentation.random_flip
    folder = replace(config, dataset="folder")
    videos = load_dataset(folder, "train")
    assert pipeline.clip_spec(videos, folder).augmentation.random_flip
    assert not pipeline.clip_spec(
        videos, replace(folder, random_flip=False)
    ).augmentation.random_flip


def test_test_clips(config):
    videos = load_dataset(config, "test")
    elements = list(pipeline.test_clips(videos, config, 3).as_numpy_iterator())
    assert [index for _, index in elements] == [0, 1]
    for clips, index in elements:
        assert clips.shape == (3, 4, 16, 16, 3) and clips.dtype == np.float32
        raw = videos.test_clips_at(index, 3, pipeline.clip_spec(videos, config))
        expected = (raw / 255.0 - KINETICS.mean) / KINETICS.std
        np.testing.assert_allclose(clips, expected, atol=1e-5)


@pytest.fixture
def fragile(tiny_videos, tmp_path, config):
    """A config on a copy of the videos, and a function that spoils a video after the check."""
    folder = shutil.copytree(tiny_videos, tmp_path / "videos")
    return replace(config, videos=str(folder)), lambda path: pathlib.Path(path).write_text("gone")


def test_a_file_that_fails_in_mid_run_is_replaced(fragile):
    config, spoil = fragile
    videos = load_dataset(config, "train")
    clips, labels = _epoch(videos, config)
    spoil(videos.paths[2])
    bad = pipeline.BadVideos()
    again, new_labels = _epoch(videos, config, bad=bad)
    assert bad.files == [(videos.paths[2], bad.files[0][1])] and "not a video" in bad.files[0][1]
    assert bad.fatal is None and len(bad) == 1
    place = pipeline.epoch_order(videos, config, 0) == 2
    assert new_labels[place] == videos.labels[3]  # the next video
    np.testing.assert_array_equal(again[~place], clips[~place])
    np.testing.assert_array_equal(_epoch(videos, config)[0], again)


def test_a_file_that_fails_in_mid_run_stops_where_asked(fragile):
    config, spoil = fragile
    config = replace(config, on_bad_video="stop")
    for subset in ("train", "test"):
        videos, bad = load_dataset(config, subset), pipeline.BadVideos()
        spoil(videos.paths[1])
        data = {
            "train": lambda v=videos, b=bad: pipeline.train_batches(v, config, 0, b),
            "test": lambda v=videos, b=bad: pipeline.test_clips(v, config, 1, b),
        }[subset]
        with pytest.raises(tf.errors.OpError):
            list(data())
        assert bad.fatal.path == videos.paths[1]


def test_test_videos_that_fail_are_left_out(fragile):
    config, spoil = fragile
    videos, bad = load_dataset(config, "test"), pipeline.BadVideos()
    spoil(videos.paths[0])
    elements = list(pipeline.test_clips(videos, config, 2, bad).as_numpy_iterator())
    assert [index for _, index in elements] == [1]
    assert [path for path, _ in bad.files] == [videos.paths[0]]


def test_no_video_left(fragile):
    config, spoil = fragile
    videos = load_dataset(config, "train")
    for path in videos.paths:
        spoil(path)
    with pytest.raises(tf.errors.OpError, match="none of the 8 videos can be read"):
        _epoch(videos, config)


def test_real_videos(test_data):
    config = TrainConfig(
        dataset="ucf101",
        videos=str(test_data / "ucf101" / "videos"),
        clip_frames=8,
        resize_height=36,
        resize_width=48,
        crop_size=32,
        clips_per_epoch=12,
        global_batch_size=12,
    )
    videos, bad = load_dataset(config, "train"), pipeline.BadVideos()
    clips, labels = _epoch(videos, config, bad=bad)
    assert clips.shape == (12, 8, 32, 32, 3) and np.isfinite(clips).all() and not bad
    order = pipeline.epoch_order(videos, config, 0)
    np.testing.assert_array_equal(labels, np.take(videos.labels, order))
