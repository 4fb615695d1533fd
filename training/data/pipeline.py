"""Batches of clips through tf.data: decoded in parallel, drawn by (seed, epoch, example) alone."""

import dataclasses
import os
import threading
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from r21d_keras.zoo.preprocessing import Preprocessing

from ..config import TrainConfig
from ..distribution.slices import Part
from .augmentation_options import Augmentation
from .decoder import LostSourceError
from .draws import generator
from .frames import ClipSpec
from .video import VideoError
from .video_set import VideoSet


class BadVideos:
    """The files that failed while clips were read; any number of threads may add to it."""

    def __init__(self):
        """Starts empty."""
        self._reasons, self._lock = {}, threading.Lock()
        self.fatal: VideoError | None = None
        """What ended the data: a lost source, or with on_bad_video="stop" a file.

        TensorFlow reports it as its own error.
        """

    def add(self, error: VideoError) -> None:
        """Remembers a file, once."""
        with self._lock:
            self._reasons.setdefault(error.path, error.reason)

    def __len__(self) -> int:
        """Number of files."""
        return len(self._reasons)

    @property
    def files(self) -> list[tuple[str, str]]:
        """(path, reason) of each, sorted by path."""
        with self._lock:
            return sorted(self._reasons.items())


def clip_spec(videos: VideoSet, config: TrainConfig) -> ClipSpec:
    """What a clip of `videos` is to be under `config`."""
    computed = config.stream == "flow" and videos.source.stream == "rgb"  # not read from records
    return ClipSpec(
        num_frames=config.clip_frames + computed,  # T flows are of T + 1 frames
        flow_method=config.flow_method if computed else "",
        preprocessing=config.preprocessing,
        short_video=config.short_video,
        augmentation=_augmentation(videos, config),
    )


def _augmentation(videos: VideoSet, config: TrainConfig) -> Augmentation:
    """The part of `config` that says what is drawn; no mirror where left and right are classes."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    values = {name: getattr(config, name) for name in names}
    return Augmentation(**{**values, "random_flip": config.random_flip and videos.mirror_safe})


def pixel_type(config: TrainConfig) -> tf.DType:
    """What clips are made of before normalisation: uint8 for RGB, float32 for flow in pixels."""
    return tf.float32 if config.preprocessing.takes_flow else tf.uint8


def num_readers(config: TrainConfig) -> int:
    """Videos decoded at once: config.num_readers, or with 0 one for each CPU core."""
    return config.num_readers or os.cpu_count() or 1


def clips_in_epoch(videos: VideoSet, config: TrainConfig) -> int:
    """Training clips an epoch: config.clips_per_epoch, or clips_per_video of every video."""
    return config.clips_per_epoch or config.clips_per_video * len(videos)


def epoch_order(videos: VideoSet, config: TrainConfig, epoch: int) -> np.ndarray:
    """The videos of an epoch in order, (clips_in_epoch,) int64.

    Epochs share one endless sequence that shuffles the set anew in each round, so that every
    video is seen equally often whatever clips_per_epoch is.
    """
    count = clips_in_epoch(videos, config)
    drawn = np.arange(epoch * count, (epoch + 1) * count)
    rounds, places = drawn // len(videos), drawn % len(videos)
    order = np.empty(count, np.int64)
    for number in np.unique(rounds):
        draw = generator("epoch_order", config.seed, int(number))
        shuffled = draw.permutation(len(videos))
        order[rounds == number] = shuffled[places[rounds == number]]
    return order


def targets(videos: VideoSet) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from a video's index to what the network is to answer.

    That is its label, int32 (); where videos may have several, the share of each class in its
    label set, float32 (K,): 1/n for each of n labels.
    """
    labels = tf.constant(videos.labels, tf.int32)
    if not videos.label_sets:
        return lambda index: tf.gather(labels, index)
    num_classes = len(videos.classes)
    ends = np.cumsum([0, *map(len, videos.label_sets)])  # set i lies from ends[i] to ends[i + 1]
    ends = tf.constant(ends, tf.int32)
    labels = tf.constant([label for labels in videos.label_sets for label in labels], tf.int32)

    def shares(index):
        own = labels[ends[index] : ends[index + 1]]  # (n,)
        return tf.reduce_mean(tf.one_hot(own, num_classes), axis=0)

    return shares


def train_batches(
    videos: VideoSet,
    config: TrainConfig,
    epoch: int,
    bad_videos: BadVideos | None = None,
    first_step: int = 0,
    part: Part | None = None,
) -> tf.data.Dataset:
    """One epoch to train on: float32 clips (b, T, S, S, C), normalised, and `targets` (b, ...).

    b is config.global_batch_size, less in the last batch where the clips do not divide evenly.
    The same for any number of readers and any batch size. The first `first_step` batches are left
    out without being read. A file that fails is replaced by the next video that does not, and added
    to `bad_videos`; with on_bad_video="stop" it ends the data with a TensorFlow error and is
    `bad_videos.fatal`. With `part` batches are as of `_in_batches`.
    """
    target, order = targets(videos), epoch_order(videos, config, epoch)
    spec, bad_videos = clip_spec(videos, config), BadVideos() if bad_videos is None else bad_videos

    def load(example: np.ndarray) -> tuple[np.ndarray, np.int32]:
        for offset in range(len(videos)):
            index = (int(order[example]) + offset) % len(videos)
            draw = generator("training_clip", config.seed, epoch, int(example))
            try:
                return videos.clip_at(index, draw, spec), np.int32(index)
            except VideoError as error:
                _note(error, config, bad_videos)
        raise ValueError(f"{videos.name}: none of the {len(videos)} videos can be read any more.")

    def read(example):
        clip, index = tf.numpy_function(load, [example], [pixel_type(config), tf.int32])
        clip = tf.ensure_shape(clip, config.clip_shape)
        return clip, target(tf.ensure_shape(index, ())), tf.constant(1.0)

    batches = _in_batches(read, len(order), config, part or Part(), first_step)
    return batches if part else batches.map(lambda clips, labels, counts, size: (clips, labels))


def validation_batches(
    videos: VideoSet, config: TrainConfig, bad_videos: BadVideos, part: Part
) -> tf.data.Dataset:
    """The middle clip of each video, in order, as of `_in_batches`.

    A file that fails is added to `bad_videos` and counts nothing. It is not left out, as processes
    of which only some can read it would then have different batches. With on_bad_video="stop" it
    ends the data as in `train_batches`.
    """
    target, read = targets(videos), _reader_of_tests(videos, config, 1, bad_videos)

    def example(number):
        clips, index = read(number)
        return clips[0], target(tf.maximum(index, 0)), tf.cast(index >= 0, tf.float32)

    return _in_batches(example, len(videos), config, part)


def test_clips(
    videos: VideoSet, config: TrainConfig, num_clips: int, bad_videos: BadVideos | None = None
) -> tf.data.Dataset:
    """One element a video, in order: float32 clips (num_clips, T, S, S, C) and its int32 index.

    Evenly spaced clips, centre crops, normalised. Files that fail are left out and added to
    `bad_videos`, or end the data as in `train_batches`.
    """
    bad_videos = BadVideos() if bad_videos is None else bad_videos
    read, parallel = _reader_of_tests(videos, config, num_clips, bad_videos), _parallel(config)
    return (
        tf.data.Dataset.range(len(videos))
        .map(read, **parallel)
        .filter(lambda clips, index: index >= 0)
        .map(lambda clips, index: (normalise(clips, config.preprocessing), index), **parallel)
        .prefetch(1)
        .with_options(_options())
    )


def _reader_of_tests(
    videos: VideoSet, config: TrainConfig, num_clips: int, bad_videos: BadVideos
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """From a video's index to its clips, and the index again, or -1 if it cannot be read."""
    spec, shape = clip_spec(videos, config), (num_clips, *config.clip_shape)

    def load(index: np.ndarray) -> tuple[np.ndarray, np.int32]:
        try:
            return videos.test_clips_at(int(index), num_clips, spec), np.int32(index)
        except VideoError as error:
            _note(error, config, bad_videos)
            return np.zeros(shape, pixel_type(config).as_numpy_dtype), np.int32(-1)

    def read(index):
        clips, index = tf.numpy_function(load, [index], [pixel_type(config), tf.int32])
        return tf.ensure_shape(clips, shape), tf.ensure_shape(index, ())

    return read


def _in_batches(
    read: Callable, count: int, config: TrainConfig, part: Part, first_step: int = 0
) -> tf.data.Dataset:
    """Global batches of the examples 0 to `count`: clips, labels, counts, size, for `distribute`.

    `read` gives an example's clip, label and count. It is asked for those alone that the replicas
    of `part` need; clips are then normalised. size is that of the global batch, int64.
    """
    batch, parallel = config.global_batch_size, _parallel(config)

    def steps(first: int, end: int, size: int) -> tf.data.Dataset:
        low, high = part.bounds(size)
        each = max(high - low, 1)

        def finished(clips, labels, counts):
            clips = normalise(clips, config.preprocessing)
            return clips, labels, counts, tf.constant(size, tf.int64)

        return (
            tf.data.Dataset.range(first * each, max(first, end) * each)
            .map(lambda i: read(i // each * batch + low + i % each), **parallel)
            .batch(each)
            .map(finished, **parallel)
        )

    whole, rest = divmod(count, batch)
    batches = steps(first_step, whole, batch)
    if rest:
        batches = batches.concatenate(steps(max(first_step, whole), whole + 1, rest))
    return batches.prefetch(2).with_options(_options())


def _parallel(config: TrainConfig) -> dict:
    """How clips are read side by side, and still come in order."""
    return {"num_parallel_calls": num_readers(config), "deterministic": True}


def _options() -> tf.data.Options:
    """Options that turn autotuning off.

    It has nothing to tune: each step above says how many threads it has. And it costs time, for an
    iterator may be freed no sooner than its tuner wakes up: see training/distribution/feed.py.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def normalise(clips: tf.Tensor, preprocessing: Preprocessing) -> tf.Tensor:
    """RGB or flow (..., C) to float32: divided by the scale, less the mean, over the deviation."""
    scaled = tf.cast(clips, tf.float32) / preprocessing.scale
    return (scaled - tf.constant(preprocessing.mean)) / tf.constant(preprocessing.std)


def _note(error: VideoError, config: TrainConfig, bad_videos: BadVideos) -> None:
    bad_videos.add(error)
    if config.on_bad_video == "stop" or isinstance(error, LostSourceError):
        bad_videos.fatal = error
        raise error
