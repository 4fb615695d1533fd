"""What is to be prepared: which videos go into which shard, in which order, encoded how."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ..data.catalog import get_dataset
from ..data.catalogued import Catalogued
from ..data.listings import ALL, first, without_video
from ..data.listings import SUBSETS as LISTED
from ..options import ConfigError

# About 0.2 GB of UCF101: enough shards to read in parallel, and none so large that it is a pain.
VIDEOS_PER_SHARD = 256
SUBSETS = (ALL, *LISTED)
"""What is prepared; in shards of `all` each video lies once, whichever splits it belongs to."""


@dataclass(frozen=True)
class Item:
    """A video to prepare.

    name: of the video, the same wherever it lies: "Archery/v_Archery_g01_c01.avi".
    path: of its file.
    labels: all of its classes, as numbers.
    label_names: their names.
    splits: in which subset it is, "train" or "test", for each official split it belongs to.
    places: where in the list of that subset, for each of these splits.
    """

    name: str
    path: str
    labels: tuple[int, ...]
    label_names: tuple[str, ...]
    splits: Mapping[int, str] = field(default_factory=dict)
    places: tuple[int, ...] = ()


Encoder = Callable[[Item], tuple[bytes, dict]]
"""From a video to its record and to what manifest.json says of it.

The record is a SequenceExample as `sequence_example.encode` makes it. The dict holds JSON values;
reading wants "frames" (in the record), "frame_rate" (Hz), "duration_s" (of the video, as
`video.probe` has it), "height" and "width" (pixels); more are kept as they are.

An encoder raises VideoError for a file that cannot be read, and nothing else for what a file can
do. It runs in processes of their own, and so is a function of a module, with its options bound by
`functools.partial`. It gives the same bytes whenever it is called: a run that was killed and begun
again has to end with the same shards. It does without TensorFlow, which takes each process seconds
to import.
"""


@dataclass(frozen=True)
class Shard:
    """A file of records: its name and the videos in it, in order."""

    name: str
    items: tuple[Item, ...]

    @property
    def journal_name(self) -> str:
        """Name of the file that says how far it has come, beside it."""
        return f".{self.name}.jsonl"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that decides what is written, byte for byte.

    kind: "rgb" or "flow". dataset, classes, multi_label, missing: as the data set has them.
    split: 0 for shards of all videos, else the split whose subsets have shards of their own.
    options: what `encoder` was made with, as JSON values.
    """

    kind: str
    dataset: str
    classes: tuple[str, ...]
    multi_label: bool
    missing: tuple[str, ...]
    split: int
    shards: tuple[Shard, ...]
    options: Mapping
    encoder: Encoder

    @property
    def items(self) -> tuple[Item, ...]:
        """All videos, in the order in which they are written."""
        return tuple(item for shard in self.shards for item in shard.items)

    def fingerprint(self) -> dict:
        """What two runs have to have in common to write into one folder."""
        members = [
            (shard.name, [(i.name, i.labels, sorted(i.splits.items())) for i in shard.items])
            for shard in self.shards
        ]
        digest = hashlib.sha256(json.dumps([members, self.classes]).encode()).hexdigest()
        return {
            "kind": self.kind,
            "dataset": self.dataset,
            "split": self.split,
            "num_videos": len(self.items),
            "num_shards": len(self.shards),
            "videos_sha256": digest,
            **self.options,
        }


def make_plan(
    videos: Catalogued,
    kind: str,
    encoder: Encoder,
    options: Mapping,
    *,
    split: int = 0,
    subset: str = ALL,
    videos_per_shard: int = VIDEOS_PER_SHARD,
) -> Plan:
    """A plan for all videos of a data set, or for a split and subset of it.

    With a `split` the shards are train-* and test-*, as other readers of such files want them.
    Videos come in an order that only their names decide, and that mixes the classes: who reads a
    file from its start sees all of them.

    Raises:
        ConfigError: as `check_part`; no video, or none to train on in one of the classes.
    """
    check_part(videos.name, split, subset)
    members = {}
    for item in _items(videos):
        group = item.splits.get(split) if split else ALL
        if group and subset in (ALL, group):
            members.setdefault(group, []).append(item)
    if not members:
        raise ConfigError(f"{videos.name}: no video to prepare; expected at least one.")
    if subset != "test":
        _check_every_class(videos, [split] if split else get_dataset(videos.name).splits)
    return Plan(
        kind=kind,
        dataset=videos.name,
        classes=videos.classes,
        multi_label=get_dataset(videos.name).multi_label,
        missing=videos.missing,
        split=split,
        shards=tuple(
            shard
            for group in sorted(members, reverse=True)  # train before test
            for shard in _shards(group, members[group], videos_per_shard)
        ),
        options=options,
        encoder=encoder,
    )


def check_part(name: str, split: int, subset: str) -> None:
    """Checks which part of the data set `name` is asked for, as by `make_plan`.

    Raises:
        ConfigError: a subset without a split, or no such split.
    """
    splits = get_dataset(name).splits
    if subset not in SUBSETS or (subset != ALL and not split) or split not in (0, *splits):
        raise ConfigError(
            f"split={split or None}, subset={subset!r}: expected a split of {name} "
            f"({', '.join(map(str, splits))}) with one of {', '.join(SUBSETS)}, or neither for all "
            "videos in shards for every split."
        )


def _check_every_class(videos: Catalogued, splits: Sequence[int]) -> None:
    """Training on the records would refuse a class without a video, after they are all made."""
    for split in splits:
        if not any(split in member for member in videos.membership):
            continue
        rows = zip(videos.membership, videos.label_sets, strict=True)
        trained = (labels for member, labels in rows if member.get(split) == "train")
        if lost := without_video(videos.classes, trained):
            what = first(lost, f"classes have no video to train on in split {split}")
            raise ConfigError(
                f"{videos.name}: {what} Add videos to them, or take the classes out of the lists."
            )


def _items(videos: Catalogued) -> list[Item]:
    rows = zip(
        videos.names,
        videos.paths,
        videos.label_sets,
        videos.membership,
        videos.places,
        strict=True,
    )
    return [
        Item(name, path, labels, tuple(videos.classes[label] for label in labels), splits, places)
        for name, path, labels, splits, places in rows
    ]


def _shards(group: str, items: list[Item], videos_per_shard: int) -> list[Shard]:
    items = sorted(items, key=lambda item: hashlib.sha256(os.fsencode(item.name)).digest())
    count = -(-len(items) // videos_per_shard)
    cuts = [place * len(items) // count for place in range(count + 1)]  # as even as can be
    return [
        Shard(f"{group}-{place:05d}-of-{count:05d}.tfrecord", tuple(items[start:end]))
        for place, (start, end) in enumerate(zip(cuts, cuts[1:], strict=False))
    ]
