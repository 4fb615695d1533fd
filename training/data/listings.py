"""What lists and folders say of videos: which there are, of which class, in which subset."""

import functools
import hashlib
import os
import pathlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from .counted import counted
from .disk import Disk

PLACES = ("videos", "splits", "manifest")
"""Flags that say where a data set lies: the fields of Places."""
SUBSETS = ("train", "test")
ALL = "all"
"""In place of a subset: both."""
TEST_SHARE = 0.2  # of each class, where nothing says which videos are for testing
SHOWN = 5  # of all that is wrong; the rest is counted


class ListsAbsent(ValueError):
    """The lists of one split are not there."""


@dataclass(frozen=True)
class Places:
    """Where a data set lies on this machine; each field is also a flag of that name."""

    videos: str = ""
    splits: str = ""
    manifest: str = ""

    @classmethod
    def of(cls, config) -> "Places":
        """Those that a TrainConfig, or what else has such fields, names."""
        return cls(*(getattr(config, name) for name in PLACES))

    @property
    def root(self) -> pathlib.Path:
        """The folder of the videos.

        Raises:
            ValueError: no such folder.
        """
        return folder(self.videos, "--videos")

    @functools.cached_property
    def disk(self) -> Disk:
        """The video files below the folder of the videos, looked through once."""
        return Disk(self.root)


@dataclass(frozen=True)
class Entries:
    """What lists say of one subset, whether the files are there or not.

    names: of the videos, each once, the same wherever they lie.
    label_sets: their labels, indices into `classes`; one each unless the data set has several.
    paths: where they are; "" for those that are not there.
    source: the list that says so, for messages.
    repeated: names that come more than once in the list.
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    label_sets: tuple[tuple[int, ...], ...]
    paths: tuple[str, ...]
    source: str
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listing:
    """Videos of one subset: `labels[i]`, an index into `classes`, is that of `paths[i]`.

    names: of the videos, the same wherever their folder lies.
    label_sets: all labels of each video, where a video may have several; else empty. `labels`
        has the first of each.
    missing: names of videos that are listed, but not there, where the data set allows it.
    """

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    names: tuple[str, ...]
    label_sets: tuple[tuple[int, ...], ...] = ()
    missing: tuple[str, ...] = ()


def entries(
    classes: tuple[str, ...], rows: Iterable[tuple[str, tuple[str, ...], str]], source
) -> Entries:
    """Entries of rows (name, class names, path or ""), those of one name as one.

    Raises:
        ValueError: class names that would not survive in classes.txt, which has one a line.
    """
    wrong = [f"{name!r} {error}" for name in classes if (error := class_name_error(name))]
    if wrong:
        raise ValueError(f"Class names: {first(wrong, 'are not as expected')} Rename them.")
    place = {name: label for label, name in enumerate(classes)}
    labels, paths, repeated = {}, {}, {}
    for name, class_names, path in rows:
        found = tuple(place[class_name] for class_name in class_names)
        if name in labels:
            repeated[name] = None
            found = (*labels[name], *(label for label in found if label not in labels[name]))
        labels[name], paths[name] = found, path
    return Entries(
        classes,
        tuple(labels),
        tuple(labels.values()),
        tuple(paths.values()),
        str(source),
        tuple(repeated),
    )


def present(listed: Entries, may_miss: bool = False, multi_label: bool = False) -> Listing:
    """Those of `listed` that are there.

    Raises:
        ValueError: videos that are not there, with their number; with `may_miss` only if none is.
    """
    missing = tuple(n for n, path in zip(listed.names, listed.paths, strict=True) if not path)
    if missing and (not may_miss or len(missing) == len(listed.names)):
        raise ValueError(
            f"{listed.source} names {counted(len(listed.names), 'videos')}, of which "
            f"{first(missing, 'are not there')} Put them there or correct --videos."
        )
    rows = zip(listed.names, listed.label_sets, listed.paths, strict=True)
    there = [row for row in rows if row[2]]
    label_sets = tuple(labels for _, labels, _ in there)
    return Listing(
        listed.classes,
        tuple(path for _, _, path in there),
        tuple(labels[0] for labels in label_sets),
        tuple(name for name, _, _ in there),
        label_sets if multi_label else (),
        missing,
    )


def class_name_error(name: str) -> str:
    """What is wrong with a class name; nothing for most."""
    kinds = {unicodedata.category(character) for character in name}
    if kinds & {"Cc", "Zl", "Zp"}:  # all that str.splitlines ends a line at is among them
        return "has a control character or line separator in it"
    if "Cs" in kinds:  # how Python shows bytes of a file name that are not UTF-8
        return "is not UTF-8"
    if name != name.strip():
        return "begins or ends with a space"
    return ""


def by_hash(names: list[str], subset: str, what: str) -> list[str]:
    """Those names of a class that are in `subset`; at least one is in each."""
    if len(names) < 2:
        raise ValueError(
            f"{what}: 1 video; expected at least 2, one to train and one to test on. Add videos, "
            "or say which is which (folders train/ and test/, or a CSV column subset)."
        )
    ordered = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    num_test = max(1, round(TEST_SHARE * len(names)))
    return sorted(ordered[:num_test] if subset == "test" else ordered[num_test:])


def first(items: tuple[str, ...] | list[str], what: str) -> str:
    """'7 wrong lines: a; b; and 5 more.'; `what` as `counted` wants it."""
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{counted(len(items), what)}: {'; '.join(items[:SHOWN])}{more}."


def folder(path: str, flag: str) -> pathlib.Path:
    """`path` as the folder that a flag names.

    Raises:
        ValueError: no such folder.
    """
    if not path or not pathlib.Path(path).is_dir():
        raise ValueError(f"{flag}={path!r}: no such folder; name the folder of the videos.")
    return pathlib.Path(path)


def lists_folder(places: Places, known_as: tuple[str, ...], what: str) -> pathlib.Path:
    """The folder of the lists: --splits, or one of these names inside or beside the videos.

    Raises:
        ValueError: there is none; `what` says whose lists were expected.
    """
    root = places.root
    beside = [place / name for place in (root, root.parent) for name in known_as]
    tried = [pathlib.Path(places.splits)] if places.splits else beside
    found = next((path for path in tried if path.is_dir()), None)
    if found is None:
        raise ValueError(f"--splits={places.splits!r}: no such folder; expected {what}.")
    return found


def read_lines(path: pathlib.Path, what: str) -> list[tuple[int, str]]:
    """Numbered lines without blank ones and line ends, which may be CRLF.

    Raises:
        ListsAbsent: no such file.
        ValueError: not UTF-8.
    """
    if not path.is_file():
        raise ListsAbsent(f"{path}: no such file; expected one of {what}.")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8: {error}.") from None
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line]


def below(path: pathlib.Path, root: pathlib.Path) -> str:
    """`path` from `root` on, where it lies there."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def without_video(classes: tuple[str, ...], label_sets: Iterable[Iterable[int]]) -> list[str]:
    """The classes that are in none of the sets of labels, which are indices into `classes`."""
    shown = set().union(*label_sets)
    return [name for label, name in enumerate(classes) if label not in shown]


def check_columns(path: pathlib.Path, columns: Iterable[str], known: Iterable[str]) -> None:
    """Checks that none of the `known` columns of a CSV file comes twice.

    Raises:
        ValueError: one does, so that it could be either.
    """
    columns = list(columns)
    twice = [name for name in known if columns.count(name) > 1]
    if twice:
        raise ValueError(
            f"{path}: its header has {twice[0]!r} {columns.count(twice[0])} times; expected it "
            "once. Take out, or rename, the others."
        )
