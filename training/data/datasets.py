"""Labelled videos for training and testing: folders, CSV manifests, UCF101, motion."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from absl import logging

from r21d_keras.clips import random_start, uniform_starts

from ..config import TrainConfig
from . import motion
from .frames import ClipSpec, center_crop, resize_clip
from .listings import SHOWN, SUBSETS, Listing, first, list_folder, list_ucf101
from .manifest import list_csv
from .video import VideoError, probe, read_clips

PROGRESS_S = 5.0  # seconds between two lines on how far the check of the files has come


@dataclass(frozen=True)
class VideoSet:
    """Videos with labels, checked: `labels[i]`, an index into `classes`, is that of `paths[i]`.

    paths: empty where the videos are rendered instead of read.
    mirror_safe: a mirrored video is still of its class.
    left_out: (path, reason) of each file that on_bad_video="skip" has left out.
    """

    name: str
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    mirror_safe: bool = True
    left_out: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.labels)

    def clip_at(self, index: int, draw: np.random.Generator, spec: ClipSpec) -> np.ndarray:
        """A clip of video `index` to train on: uint8 (T, S, S, 3), start, crop and flip drawn.

        Raises:
            VideoError: a file that cannot be read.
        """
        rate, size = spec.preprocessing.frame_rate, spec.preprocessing.resize
        if not self.paths:
            clip = motion.render_clip(self.labels[index], spec.num_frames, rate, draw)
            return spec.augmented(resize_clip(clip, size), draw)

        def starts_s(duration_s):
            return [random_start(duration_s, spec.num_frames, rate, draw)]

        path = self.paths[index]
        clip = read_clips(path, starts_s, spec.num_frames, rate, spec.short_video, size)[0]
        return spec.augmented(clip, draw)

    def test_clips_at(self, index: int, num_clips: int, spec: ClipSpec) -> np.ndarray:
        """Evenly spaced centre crops of video `index`: uint8 (num_clips, T, S, S, 3).

        Raises:
            VideoError: a file that cannot be read.
            ValueError: a rendered set, which has no videos to take them from.
        """
        if not self.paths:
            raise ValueError(f"{self.name}: rendered anew each epoch; test on subset='test'.")
        return read_test_clips(self.paths[index], num_clips, spec)


def read_test_clips(path, num_clips: int, spec: ClipSpec) -> np.ndarray:
    """Evenly spaced centre crops of one video file: uint8 (num_clips, T, S, S, 3).

    Raises:
        VideoError: a file that cannot be read.
    """
    rate, size = spec.preprocessing.frame_rate, spec.preprocessing.resize

    def starts_s(duration_s):
        return uniform_starts(duration_s, spec.num_frames, rate, num_clips)

    clips = read_clips(path, starts_s, spec.num_frames, rate, spec.short_video, size)
    return center_crop(clips, spec.preprocessing.crop_size)


def load_dataset(config: TrainConfig, subset: str) -> VideoSet:
    """The videos of `config.dataset` that are for "train" or "test", every file opened and checked.

    Raises:
        ValueError: folders, lists or files that are absent or not as expected, all of them in one
            error; with on_bad_video="skip" unreadable files are left out instead, unless that
            leaves a class without a video to train on. Fewer than two classes.
    """
    if subset not in SUBSETS:
        raise ValueError(f"subset={subset!r}: expected one of {', '.join(SUBSETS)}.")
    if config.dataset not in _LOADERS:
        raise ValueError(f"dataset={config.dataset!r}: expected one of {', '.join(_LOADERS)}.")
    videos = _LOADERS[config.dataset](config, subset)
    if not videos.labels:
        raise ValueError(f"{videos.name}: no video for {subset}; expected at least one.")
    if not videos.paths:
        return videos
    if len(videos.classes) < 2:
        raise ValueError(
            f"{videos.name}: 1 class, {videos.classes[0]!r}; expected at least 2, which is what a "
            "network can learn to tell apart."
        )
    videos = _checked(videos, config)
    if subset == "train":
        _check_every_class(videos)
    return videos


def _motion(config: TrainConfig, subset: str) -> VideoSet:
    if subset == "train":
        num_clips = config.clips_per_epoch or motion.CLIPS_PER_EPOCH
        labels = tuple(i % len(motion.CLASSES) for i in range(num_clips))
        return VideoSet("motion", motion.CLASSES, (), labels, mirror_safe=False)
    paths = tuple(str(path) for path in motion.held_out_videos())
    labels = tuple(place // motion.VIDEOS_PER_CLASS for place in range(len(paths)))
    return VideoSet("motion", motion.CLASSES, paths, labels, mirror_safe=False)


def _listed(name: str, listing: Listing) -> VideoSet:
    return VideoSet(name, listing.classes, listing.paths, listing.labels)


_LOADERS = {
    "motion": _motion,
    "ucf101": lambda config, subset: _listed(
        "ucf101", list_ucf101(config.videos, config.splits, config.split, subset)
    ),
    "folder": lambda config, subset: _listed("folder", list_folder(config.videos, subset)),
    "csv": lambda config, subset: _listed("csv", list_csv(config.manifest, subset)),
}


def _checked(videos: VideoSet, config: TrainConfig) -> VideoSet:
    bad = _bad_files(videos.paths, max(config.num_readers, os.cpu_count() or 1))
    if not bad:
        return videos
    if config.on_bad_video != "skip" or len(bad) == len(videos):
        shown = "\n  ".join(f"{path}: {reason}" for path, reason in bad[:SHOWN])
        more = f"\n  and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise ValueError(
            f"{videos.name}: {len(bad)} of {len(videos)} videos cannot be read:\n  {shown}{more}\n"
            "Replace them, or leave them out with --on_bad_video=skip."
        )
    names = {path for path, _ in bad}
    kept = [(p, n) for p, n in zip(videos.paths, videos.labels, strict=True) if p not in names]
    logging.warning("%s: left out %d videos that cannot be read.", videos.name, len(bad))
    paths, labels = zip(*kept, strict=True)
    return replace(videos, paths=paths, labels=labels, left_out=tuple(bad))


def _check_every_class(videos: VideoSet) -> None:
    present = set(videos.labels)
    lost = [name for label, name in enumerate(videos.classes) if label not in present]
    if lost:
        what = "that can be read " if videos.left_out else ""
        raise ValueError(
            f"{videos.name}: {first(lost, f'classes have no video {what}to train on')} Add videos "
            "to them, or take the classes out."
        )


def _bad_files(paths: tuple[str, ...], num_threads: int) -> list[tuple[str, str]]:
    """(path, reason) of each file that cannot be read, in the order of `paths`."""
    bad, said_s = [], time.monotonic()
    with ThreadPoolExecutor(num_threads) as pool:
        for done, (path, reason) in enumerate(zip(paths, pool.map(_reason, paths), strict=True)):
            if reason:
                bad.append((path, reason))
            if time.monotonic() - said_s > PROGRESS_S:
                logging.info("Checked %d of %d videos.", done + 1, len(paths))
                said_s = time.monotonic()
    return bad


def _reason(path: str) -> str:
    try:
        probe(path)
    except VideoError as error:
        return error.reason
    return ""
