"""Records that others wrote with the Model Garden's keys: a manifest of what is in them."""

import pathlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..data.listings import first
from ..options import ConfigError
from . import keys
from .manifest import Manifest, Record
from .progress import Progress
from .rgb import decode_frame
from .sequence_example import SequenceExample, values
from .tfrecord import OVERHEAD_BYTES, RecordError, read_record

SUBSETS = {"train": "train", "test": "test", "val": "test", "valid": "test", "validation": "test"}
"""Beginnings of the files' names, and what their videos are for."""
CLASSES = "classes.txt"
_NAME = re.compile(r"(\w+?)-\d+-of-\d+.*|(\w+?)[-_.\d]*\.tfrecords?")


def scan(folder: pathlib.Path, dataset: str, frame_rate: float | None = None) -> Manifest:
    """Reads all records of a folder once: files train-* and test-* or validation-*.

    Args:
        folder: with SequenceExamples that have image/encoded (JPEG) and clip/label/index; names of
            the classes are those of classes.txt, a line each, or of clip/label/string, or numbers.
        dataset: which data set they are of.
        frame_rate: Hz, of records that do not say by image/frame_rate or image/timestamp.

    Raises:
        ConfigError: no such files, records that are damaged or lack these keys, no frame rate.
    """
    shards = _shards(folder)
    records, class_names = [], {}
    with Progress("Looked at", len(shards), unit="file") as progress:
        for number, (path, subset) in enumerate(shards):
            for offset, length, example in _examples(path):
                where = f"{path.name}#{offset}"
                records.append(
                    Record(
                        **_described(example, where, frame_rate),
                        splits={1: subset},
                        shard=number,
                        offset=offset,
                        length=length,
                    )
                )
                _learn_names(class_names, example)
            progress.step()
    return Manifest(
        kind="rgb",
        dataset=dataset,
        classes=_classes(folder, records, class_names),
        multi_label=any(len(record.labels) > 1 for record in records),
        split=0,
        plan={},
        shards=tuple({"name": path.name, "bytes": path.stat().st_size} for path, _ in shards),
        records=_told_apart(records, [path.name for path, _ in shards]),
    )


def _told_apart(records: list[Record], shards: list[str]) -> tuple[Record, ...]:
    """With a name of its own for each, where several are clips of one video."""
    count = Counter(record.name for record in records)
    return tuple(
        replace(record, name=f"{record.name}#{shards[record.shard]}#{record.offset}")
        if count[record.name] > 1
        else record
        for record in records
    )


def _shards(folder: pathlib.Path) -> list[tuple[pathlib.Path, str]]:
    found = []
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        subset = match and SUBSETS.get((match[1] or match[2]).lower())
        if subset and path.is_file():
            found.append((path, subset))
    if not found:
        others = " or ".join(f"{name}-*" for name in list(SUBSETS)[2:])
        raise ConfigError(
            f"{folder} holds no records: neither manifest.json of `r21d prepare`, nor files "
            f"like train-00000-of-00008 and test-*, or instead {others}."
        )
    return found


def _examples(path: pathlib.Path) -> Iterator[tuple[int, int, SequenceExample]]:
    """(offset, length, record) of each record of a file."""
    with open(path, "rb") as file:
        offset = 0
        try:
            while (record := read_record(file)) is not None:
                yield offset, len(record), SequenceExample(record)
                offset += len(record) + OVERHEAD_BYTES
        except RecordError as error:
            raise ConfigError(f"{path}, byte {offset}: {error}. Get the file again.") from None


def _described(example: SequenceExample, where: str, frame_rate: float | None) -> dict:
    jpegs, labels = example.steps(keys.IMAGE), example.context(keys.LABEL)
    if not jpegs or not labels:
        raise ConfigError(
            f"{where} has no {keys.LABEL if jpegs else keys.IMAGE}; expected the keys of the "
            f"Model Garden's videos. It has {', '.join(sorted(set.union(*example.keys)))}."
        )
    rate = _rate(example) or frame_rate
    if not rate:
        raise ConfigError(
            f"{where} does not say its frame rate. Index the folder once by "
            "`r21d prepare --scan --out=FOLDER --dataset=NAME --frame_rate=HZ`."
        )
    frame = decode_frame(values(jpegs[0])[0])
    if frame is None:
        raise ConfigError(f"{where}: its first frame is no picture; expected JPEG.")
    path = (example.context(keys.PATH) or example.context(keys.MEDIA_ID) or [where.encode()])[0]
    return {
        "name": path.decode("utf-8", "surrogateescape"),
        "labels": tuple(labels),
        "frames": len(jpegs),
        "frame_rate": rate,
        "duration_s": len(jpegs) / rate,
        "height": frame.shape[0],
        "width": frame.shape[1],
    }


def _rate(example: SequenceExample) -> float:
    """Hz by the record itself; 0.0 where it does not say."""
    stated = example.context(keys.FRAME_RATE)
    if stated:
        return float(stated[0])
    stamps = [values(step)[0] for step in example.steps(keys.TIMESTAMP)]
    gaps = [later - earlier for earlier, later in pairwise(stamps)]
    gap = float(np.median(gaps)) if gaps else 0.0
    return 1e6 / gap if gap > 0 else 0.0


def _learn_names(names: dict[int, str], example: SequenceExample) -> None:
    labels, strings = example.context(keys.LABEL), example.context(keys.LABEL_NAME)
    if len(labels) == len(strings):
        for label, text in zip(labels, strings, strict=True):
            names.setdefault(label, text.decode("utf-8", "replace"))


def _classes(folder: pathlib.Path, records: list[Record], names: dict[int, str]) -> tuple[str, ...]:
    labels = {label for record in records for label in record.labels}
    if min(labels, default=0) < 0:
        raise ConfigError(f"{folder}: labels go down to {min(labels)}; expected 0 and up.")
    count = max(labels, default=-1) + 1
    path = folder / CLASSES
    if path.is_file():
        classes = tuple(path.read_text("utf-8").splitlines())
        if len(classes) < count:
            raise ConfigError(f"{path} has {len(classes)} lines; labels go up to {count - 1}.")
        return classes
    if set(names) == set(range(count)):
        twice = [name for name in names.values() if list(names.values()).count(name) > 1]
        if twice:
            raise ConfigError(f"{folder}: {first(twice, 'labels share a name')} Give {CLASSES}.")
        return tuple(names[label] for label in range(count))
    return tuple(map(str, range(count)))
