"""Features of videos at any layer of a network, by clip and by video, as one .npz file."""

import dataclasses
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from r21d_keras import __version__
from r21d_keras.clips import uniform_starts
from r21d_keras.zoo.durable import partial_name
from r21d_keras.zoo.features import feature_extractor

from .data.frames import ClipSpec
from .data.pipeline import normalise
from .data.video import VideoError, probe
from .data.video_set import read_test_clips
from .evaluation.scoring import CLIPS_PER_CALL
from .feature_options import FeatureOptions, check_out
from .feature_source import FeatureSource
from .flow.methods import check_method
from .flow.streams import frames_shown

PROGRESS_S = 10.0  # seconds between two lines on how far it has come
# Videos that are read while the network is at work. Each holds its clips, uint8: 10 of 16 frames
# of 112x112 are 6 MB.
READ_AHEAD = max(2, min(8, os.cpu_count() or 1))


def write_features(
    source: FeatureSource,
    videos: Iterable[str | os.PathLike],
    out: str | os.PathLike,
    options: FeatureOptions,
) -> list[tuple[str, str]]:
    """Writes the features of `videos` to the file `out`, whole or not at all.

    The file holds, for V videos and N clips of each:

    - "videos" (V,): the paths as given; "clip_starts_s" (V, N): seconds;
    - for each layer, by its name, (V, N, C), or with pool="none" what the layer gives,
      (V, N, T', H', W', C); float32;
    - "<layer>.video" (V, C): the mean over clips, time and space;
    - "about": how they were made and what was left out, as JSON.

    Memory holds these and the clips of a few videos, however many there are.

    Returns:
        (path, reason) of each file that was left out, with on_bad_video="skip".

    Raises:
        ValueError: layers that the network does not have, an `out` that cannot be, or no video
            that can be read.
        VideoError: a file that cannot be read, with on_bad_video="stop"; all are opened first.
    """
    videos, out, bad = [os.fspath(video) for video in videos], Path(out), []
    check_out(out)
    if source.flow_method:
        check_method(source.flow_method, source.preprocessing.crop_size)
    extractor = feature_extractor(source.model, options.layers)
    if options.on_bad_video == "stop":
        with ThreadPoolExecutor(READ_AHEAD) as pool:
            deque(pool.map(probe, videos), maxlen=0)
    with _whole_or_not_at_all(out) as file:  # opened before the work, which may take hours
        source.load()
        table = _work(source, videos, extractor, options, bad)
        if not table.videos:
            reasons = "; ".join(": ".join(item) for item in bad[:3])
            raise ValueError(f"None of the {len(videos)} videos can be read. {reasons}")
        np.savez(file, **table.arrays(), about=_about(source, options, bad))
    return bad


class _Table:
    """One row a video; its arrays have room for all from the start, so that none is copied."""

    def __init__(self, num_rows: int):
        self._num_rows, self._columns = num_rows, {}
        self.videos = []

    def add(self, video: str, row: dict[str, np.ndarray]) -> None:
        for name, value in row.items():
            if name not in self._columns:
                self._columns[name] = np.empty((self._num_rows, *value.shape), value.dtype)
            self._columns[name][len(self.videos)] = value
        self.videos.append(video)

    def arrays(self) -> dict[str, np.ndarray]:
        count = len(self.videos)
        columns = {name: column[:count] for name, column in self._columns.items()}
        return {"videos": np.array(self.videos), **columns}


def _work(
    source: FeatureSource,
    videos: list[str],
    extractor: keras.Model,
    options: FeatureOptions,
    bad: list,
) -> _Table:
    """The features of all videos; adds (path, reason) of those that are left out to `bad`."""
    run, table = _compiled(extractor, source, options.pool), _Table(len(videos))
    said_s = time.monotonic()
    for video, (clips, starts_s) in _read_all(videos, source, options, bad):
        table.add(video, {"clip_starts_s": starts_s, **_features(run, clips, source.name)})
        if time.monotonic() - said_s > PROGRESS_S:
            logging.info("Features of %d of %d videos.", len(table.videos), len(videos))
            said_s = time.monotonic()
    return table


def _compiled(extractor: keras.Model, source: FeatureSource, pool: str) -> Callable:
    """Clips as `ClipSpec.seen`, (B, T, S, S, C), in; a dict of features (B, ..., C) out."""

    def run(clips):
        found = extractor(normalise(clips, source.preprocessing), training=False)
        if pool == "none":
            return found
        # (B, T', H', W', C) to (B, C); after a pooling layer there is nothing to average.
        return {
            name: tf.reduce_mean(value, list(range(1, len(value.shape) - 1)))
            for name, value in found.items()
        }

    return tf.function(run, reduce_retracing=True)


def _features(run: Callable, clips: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Features of one video, by clip (N, ..., C) and of all of it (C,)."""
    starts = range(0, len(clips), CLIPS_PER_CALL)
    parts = [run(tf.constant(clips[start : start + CLIPS_PER_CALL])) for start in starts]
    by_clip = {layer: np.concatenate([part[layer].numpy() for part in parts]) for layer in parts[0]}
    if not all(np.isfinite(values).all() for values in by_clip.values()):
        raise ValueError(
            f"{name}: its features are not finite, so its weights are broken. Choose others."
        )
    of_video = {
        f"{layer}.video": values.mean(axis=tuple(range(values.ndim - 1)))
        for layer, values in by_clip.items()
    }
    return by_clip | of_video


def _read_all(
    videos: list[str], source: FeatureSource, options: FeatureOptions, bad: list
) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray]]]:
    """(path, (clips, starts in seconds)) of each video that can be read; notes the others."""

    def read(video: str) -> tuple[np.ndarray, np.ndarray]:
        return _read(video, source, options.num_clips)

    for video, clips in _ahead(videos, read):
        try:
            yield video, clips.result()
        except VideoError as error:
            if options.on_bad_video == "stop":
                raise
            bad.append((error.path, error.reason))
            logging.warning("Left out: %s", error)


def _ahead(videos: list[str], read: Callable) -> Iterator[tuple[str, Future]]:
    """Each video with what becomes `read` of it, READ_AHEAD of them at a time."""
    pool, waiting = ThreadPoolExecutor(READ_AHEAD), deque()
    try:
        for video in videos:
            waiting.append((video, pool.submit(read, video)))
            if len(waiting) > READ_AHEAD:
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    finally:
        pool.shutdown(cancel_futures=True)


def _read(video: str, source: FeatureSource, num_clips: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced clips (N, T, S, S, C), and their starts in seconds, (N,)."""
    info, numbers = probe(video), source.preprocessing
    spec = ClipSpec(
        num_frames=frames_shown(source.clip_frames, numbers),
        preprocessing=dataclasses.replace(numbers, resize=numbers.resized(info.height, info.width)),
        short_video=source.short_video,
        flow_method=source.flow_method,
    )
    starts_s = uniform_starts(info.duration_s, spec.num_frames, numbers.frame_rate, num_clips)
    return read_test_clips(video, num_clips, spec), starts_s


def _about(source: FeatureSource, options: FeatureOptions, bad: list) -> np.ndarray:
    about = {
        "weights": source.name,
        "network": source.model.name,
        "layers": options.layers,
        "pool": options.pool,
        "num_clips": options.num_clips,
        "clip_frames": source.clip_frames,
        "short_video": source.short_video,
        "flow_method": source.flow_method,
        "preprocessing": dataclasses.asdict(source.preprocessing),
        "skipped": [{"video": path, "reason": reason} for path, reason in bad],
        "r21d_keras": __version__,
    }
    return np.array(json.dumps(about))


@contextmanager
def _whole_or_not_at_all(out: Path) -> Iterator[IO[bytes]]:
    """A file to write, which becomes `out` when it is whole."""
    unfinished = partial_name(out)
    with open(unfinished, "wb") as file:
        try:
            yield file
            file.flush()
            os.replace(unfinished, out)
        finally:
            unfinished.unlink(missing_ok=True)
