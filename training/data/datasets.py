"""The data sets that can be trained and tested on: folders, CSV manifests, UCF101, motion."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from absl import logging

from ..config import TrainConfig
from . import motion
from .listings import SHOWN, SUBSETS, Listing, first, list_folder, list_ucf101
from .manifest import list_csv
from .video import VideoError, probe
from .video_set import Files, Rendered, VideoSet

PROGRESS_S = 5.0  # seconds between two lines on how far the check of the files has come


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
        names = tuple(f"{motion.CLASSES[label]}/{i}" for i, label in enumerate(labels))
        return VideoSet("motion", motion.CLASSES, names, labels, Rendered(), mirror_safe=False)
    paths = motion.held_out_videos()
    labels = tuple(place // motion.VIDEOS_PER_CLASS for place in range(len(paths)))
    names = tuple(f"{path.parent.name}/{path.name}" for path in paths)
    files = Files(tuple(map(str, paths)))
    return VideoSet("motion", motion.CLASSES, names, labels, files, mirror_safe=False)


def _listed(name: str, listing: Listing) -> VideoSet:
    return VideoSet(
        name,
        listing.classes,
        listing.names,
        listing.labels,
        Files(listing.paths),
        label_sets=listing.label_sets,
        missing=listing.missing,
    )


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
    logging.warning("%s: left out %d videos that cannot be read.", videos.name, len(bad))
    unreadable = {path for path, _ in bad}
    good = [place for place, path in enumerate(videos.paths) if path not in unreadable]
    paths, names, labels, label_sets = (
        tuple(values[place] for place in good) if values else ()
        for values in (videos.paths, videos.names, videos.labels, videos.label_sets)
    )
    return replace(
        videos,
        names=names,
        labels=labels,
        source=Files(paths),
        left_out=tuple(bad),
        label_sets=label_sets,
    )


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
