"""The videos of a data set for training or testing: listed, opened, checked."""

import os
from dataclasses import replace

from absl import logging

from ..config import TrainConfig
from ..flow.methods import check_method
from ..records.load import load_records
from . import motion
from .catalog import Dataset, get_dataset
from .counted import counted
from .listings import SUBSETS, Places, first, present, without_video
from .readable import refusal, unreadable
from .video_set import Files, Rendered, VideoSet


def load_dataset(config: TrainConfig, subset: str) -> VideoSet:
    """The videos of `config.dataset` that are for "train" or "test", every file opened and checked.

    With `config.records` they come from records that `r21d prepare` made.

    Raises:
        ValueError: folders, lists or files that are absent or not as expected, all of them in one
            error; with on_bad_video="skip" unreadable files are left out instead, unless that
            leaves a class without a video to train on. Fewer than two classes.
    """
    if subset not in SUBSETS:
        raise ValueError(f"subset={subset!r}: expected one of {', '.join(SUBSETS)}.")
    row = get_dataset(config.dataset)
    if config.records:
        videos = load_records(config, subset)
    else:
        videos = _listed(row, config, subset) if row.lister else _motion(config, subset)
    if not videos.labels:
        raise ValueError(f"{videos.name}: no video for {subset}; expected at least one.")
    if config.stream == "flow" and videos.source.stream == "rgb":  # found before any work
        check_method(config.flow_method, config.crop_size)
    if not videos.paths:
        return videos
    if len(videos.classes) < 2:
        raise ValueError(
            f"{videos.name}: 1 class, {videos.classes[0]!r}; expected at least 2, which is what a "
            "network can learn to tell apart."
        )
    if not config.records:  # these were decoded once, and have checksums
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


def _listed(row: Dataset, config: TrainConfig, subset: str) -> VideoSet:
    entries = row.lister(Places.of(config), config.split, subset)
    found = present(entries, row.may_miss, row.multi_label)
    if entries.repeated:
        what = "videos are listed more than once, and taken once"
        logging.warning("%s: %s", entries.source, first(entries.repeated, what))
    if found.missing:
        what = f"of {len(entries.names)} listed videos are not there"
        logging.warning("%s: %s", entries.source, first(found.missing, what))
    if row.num_classes not in (None, len(found.classes)):
        counts = len(found.classes), row.num_classes
        logging.info("%s: its lists have %d of %d classes.", row.name, *counts)
    return VideoSet(
        row.name,
        found.classes,
        found.names,
        found.labels,
        Files(found.paths),
        row.mirror_safe,
        label_sets=found.label_sets,
        missing=found.missing,
    )


def _checked(videos: VideoSet, config: TrainConfig) -> VideoSet:
    bad = unreadable(videos.paths, max(config.num_readers, os.cpu_count() or 1))
    if not bad:
        return videos
    if config.on_bad_video != "skip" or len(bad) == len(videos):
        raise ValueError(f"{videos.name}: {refusal(bad, len(videos))}")
    what = counted(len(bad), "videos that cannot be read")
    logging.warning("%s: left out %s.", videos.name, what)
    bad_paths = {path for path, _ in bad}
    good = [place for place, path in enumerate(videos.paths) if path not in bad_paths]
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
    if lost := without_video(videos.classes, (videos.labels, *videos.label_sets)):
        what = "that can be read " if videos.left_out else "that is there " * bool(videos.missing)
        raise ValueError(
            f"{videos.name}: {first(lost, f'classes have no video {what}to train on')} Add videos "
            "to them, or take the classes out."
        )
