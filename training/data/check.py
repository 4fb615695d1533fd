"""Whether a data set is what its lists say, found out before anything is prepared or trained."""

import hashlib
import os
import pathlib
from collections.abc import Collection
from dataclasses import dataclass, field

from r21d_keras.zoo.durable import partial_name, put

from ..records.progress import Progress
from .catalog import Dataset, get_dataset
from .catalogued import read_lists
from .disk import stem
from .findings import Findings
from .kinetics import key
from .listings import Entries, Places
from .readable import in_threads, unreadable


@dataclass
class _Video:
    """A listed video: its classes, file ("" if absent), and the (split, subset) it is in."""

    classes: set[str]
    path: str
    where: list[tuple[int, str]] = field(default_factory=list)


def run_check(name: str, places: Places, report: str = "", num_readers: int = 0) -> bool:
    """Checks a data set, prints what was found, writes it as JSON to `report`.

    Returns:
        Whether nothing is wrong.

    Raises:
        ValueError: a data set without files, or a report that cannot be written, found at once.
    """
    path = pathlib.Path(report) if report else None
    if path and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ValueError(f"--report={report!r}: expected a file to write, in a folder that exists.")
    findings = check(name, places, num_readers)
    print(findings.text())
    if path:
        unfinished = partial_name(path)
        try:
            unfinished.write_text(findings.json(), encoding="utf-8")
            put(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
        print(f"report: {path}")
    return findings.right


def check(name: str, places: Places, num_readers: int = 0) -> Findings:
    """Reads all lists of the data set `name`, looks for every video, opens every file.

    Args:
        name: of DATASETS.
        places: where it lies.
        num_readers: files opened at once; 0: one a CPU core.

    Raises:
        ValueError: a data set without files.
    """
    row = get_dataset(name)
    if row.lister is None:
        raise ValueError(f"{name}: its videos are rendered; there are no files to check.")
    findings = Findings(row, {p: getattr(places, p) for p in row.places})
    lists, errors = read_lists(name, places)
    for error in errors:
        findings.add("lists", str(error))
    videos = _videos(lists, findings)
    if lists and "splits" in row.places:
        _find_files(row, places, videos, findings)
    num_readers = num_readers or os.cpu_count() or 1
    bad = _open_files(videos, num_readers, findings)
    readable = {n: video for n, video in videos.items() if video.path and video.path not in bad}
    _compare_bytes(readable, num_readers, findings)
    _find_empty(lists, bad, findings)
    return findings


def _videos(lists: dict[tuple[int, str], Entries], findings: Findings) -> dict[str, _Video]:
    """All listed videos by name."""
    videos = {}
    for place, entries in lists.items():
        findings.classes, findings.counts[place] = entries.classes, len(entries.names)
        for name in entries.repeated:
            findings.add("repeated", name, entries.source)
        rows = zip(entries.names, entries.label_sets, entries.paths, strict=True)
        for name, labels, path in rows:
            classes = {entries.classes[label] for label in labels}
            video = videos.setdefault(name, _Video(classes, path))
            video.where.append(place)
            if video.classes != classes:
                findings.add("mislabelled", name, f"{entries.source} gives it other labels")
    for name, video in videos.items():
        if both := _leaks(video.where):
            findings.add("leaked", name, f"in both lists of split {both}")
    findings.num_videos = len(videos)
    return videos


def _leaks(where: Collection[tuple[int, str]]) -> str:
    """The splits of which all subsets are in `where`."""
    splits = {split for split, subset in where if subset == "train"}
    both = sorted(splits & {split for split, subset in where if subset == "test"})
    return ", ".join(map(str, both))


def _find_files(row: Dataset, places: Places, videos: dict[str, _Video], findings: Findings):
    """Compares lists and folders: what is missing, in another class's folder, or in no list."""
    disk, prefix = places.disk, f"{places.root}/"
    class_of = {key(name): name for name in findings.classes}
    for name, video in videos.items():
        there = [video.path.removeprefix(prefix)] if video.path else []
        found = there or disk.by_stem.get(stem(name), [])
        wrong = [_strange_class(path, class_of, video.classes) for path in found]
        if found and all(wrong):
            says = f"the lists say {', '.join(sorted(video.classes))}"
            findings.add("mislabelled", name, f"lies in a folder of {wrong[0]}; {says}")
        elif not video.path:
            findings.add("missing", name, f"lies in {found[0]} instead" if found else "")
        told = row.class_in_name and row.class_in_name(stem(name), findings.classes)
        if told and told not in video.classes:
            findings.add("mislabelled", name, f"its name says {told}")
    if not findings.found["lists"]:  # else what they would have named is unknown
        named = {stem(path) for path in (*videos, *(row.unused(places) if row.unused else ()))}
        for path in disk.files:
            if stem(path) not in named:
                findings.add("extra", path)


def _strange_class(path: str, class_of: dict[str, str], own: set[str]) -> str:
    """The class in whose folder a file lies, if that is none of its own."""
    folders = [class_of.get(key(part)) for part in path.split("/")[:-1]]
    found = [name for name in folders if name]
    return found[-1] if found and not own & set(found) else ""


def _open_files(videos: dict[str, _Video], num_readers: int, findings: Findings) -> set[str]:
    """Opens every file; returns those that cannot be read."""
    names = {video.path: name for name, video in videos.items() if video.path}
    findings.num_there = sum(bool(video.path) for video in videos.values())
    bad = unreadable(tuple(names), num_readers)
    for path, reason in bad:
        kind = "truncated" if reason.startswith("is truncated") else "unreadable"
        findings.add(kind, names[path], reason)
    return {path for path, _ in bad}


def _compare_bytes(videos: dict[str, _Video], num_readers: int, findings: Findings) -> None:
    """Finds videos of the same bytes; only those of the same size are read."""
    sizes = {}
    for name, video in videos.items():
        sizes.setdefault(os.path.getsize(video.path), []).append(name)
    alike = [name for names in sizes.values() if len(names) > 1 for name in names]
    groups = {}
    with Progress("Compared the bytes of", len(alike)) as progress:
        digests = in_threads(_digest, [videos[name].path for name in alike], num_readers)
        for name, digest in zip(alike, digests, strict=True):
            groups.setdefault(digest, []).append(name)
            progress.step()
    for names in groups.values():
        where = set(videos[names[0]].where)
        for name in names[1:]:
            where.update(videos[name].where)
            splits = _leaks(where)
            what = f"the bytes of {names[0]}" + (f"; split {splits}" if splits else "")
            findings.add("leaked" if splits else "doubled", name, what)


def _digest(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _find_empty(lists: dict[tuple[int, str], Entries], bad: set[str], findings: Findings) -> None:
    """Finds subsets, and classes to train on, without a video that is there and can be read."""
    for (split, subset), entries in lists.items():
        rows = zip(entries.label_sets, entries.paths, strict=True)
        seen = {label for labels, path in rows if path and path not in bad for label in labels}
        if not seen:
            findings.add("bare", f"split {split}", f"none for {subset}")
        elif subset == "train":
            for label, name in enumerate(entries.classes):
                if label not in seen:
                    findings.add("empty", name, f"split {split}")
