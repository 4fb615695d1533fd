"""Which videos belong to which class and subset: folders and UCF101's lists; CSV: manifest.py."""

import hashlib
import os
import pathlib
import re
import unicodedata
from dataclasses import dataclass

SUBSETS = ("train", "test")
VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv")
VIDEO_SUFFIXES += (".3gp", ".ts", ".mts", ".ogv", ".gif")
"""Endings of the files that a folder of videos is searched for, in lower case."""
TEST_FOLDERS = ("test", "val", "valid", "validation")  # beside train/; the first that is there
TEST_SHARE = 0.2  # of each class, where nothing says which videos are for testing
SHOWN = 5  # how many of many errors a message lists


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


def list_folder(videos: str, subset: str) -> Listing:
    """A folder of class folders: `videos/<class>/*`, in any depth below the class.

    Where `videos/train/<class>/` and `videos/test/<class>/` (or another of TEST_FOLDERS) exist,
    they are the subsets. Otherwise a fifth of each class is for testing, chosen by a hash of the
    file's name: the same on every machine, and little changed when files are added.

    Raises:
        ValueError: no such folder, no class, a class without videos, a test class unknown to
            train, one of train/ and test/ without the other.
    """
    root = _folder(videos, "--videos")
    train = _first_folder(root / "train")
    test = _first_folder(*(root / name for name in TEST_FOLDERS))
    if (train is None) != (test is None):
        raise ValueError(
            f"{root}: there is {(train or test).name}/, but not "
            f"{'train' if test else ', '.join(TEST_FOLDERS[:-1]) + ' or ' + TEST_FOLDERS[-1]}/. "
            "Expected both, with a folder for each class in them, or class folders alone; a class "
            "of such a name needs --dataset=csv."
        )
    if train and test:
        classes, files = _class_files(train)
        if subset == "test":
            classes, files = _test_files(test, classes)
    else:
        classes, files = _class_files(root)
        names = {c: [str(path.relative_to(root).as_posix()) for path in files[c]] for c in classes}
        files = {
            c: [root / name for name in by_hash(names[c], subset, str(root / c))] for c in classes
        }
    members = [(path, name) for name in classes for path in files.get(name, ())]
    return listing(classes, members, root)


def list_ucf101(videos: str, splits: str, split: int, subset: str) -> Listing:
    """UCF101 with its official lists: classInd.txt, trainlist0N.txt, testlist0N.txt in `splits`.

    Videos lie at `videos/<Class>/<file>`, as the lists say, or at `videos/<file>`. Without
    `splits` the folder ucfTrainTestlist inside or beside `videos` is used.

    Raises:
        ValueError: absent folders or lists, lines that are not as they should be, and files that
            the list names and the disk lacks, with their number.
    """
    root = _folder(videos, "--videos")
    places = [pathlib.Path(splits)] if splits else []
    places += [] if splits else [root / "ucfTrainTestlist", root.parent / "ucfTrainTestlist"]
    folder = _first_folder(*places)
    if folder is None:
        raise ValueError(
            f"--splits={splits!r}: no such folder; expected UCF101's lists (ucfTrainTestlist)."
        )
    classes = _class_names(folder / "classInd.txt")
    members = []
    for line, text in _lines(folder / f"{subset}list{split:02d}.txt"):
        match = re.fullmatch(r"((\w+)/([^/]+?))(?:\s+(\d+))?", text)
        name = match and match[2]
        right = name in classes and (not match[4] or int(match[4]) == classes.index(name) + 1)
        if not right:  # labels count from one, and only lists for training have them
            raise ValueError(
                f"{folder}/{subset}list{split:02d}.txt, line {line}: {text!r} is not "
                "'Class/video.avi' or 'Class/video.avi label' with the label of classInd.txt."
            )
        path = root / match[1]
        members.append((path if path.exists() else root / match[3], path, name))
    missing = [str(path) for found, path, _ in members if not found.exists()]
    if missing:
        raise ValueError(
            f"{folder.name}/{subset}list{split:02d}.txt names {len(members)} videos, of which "
            f"{first(missing, 'are not there')} Put them there or correct --videos."
        )
    return listing(classes, [(found, name) for found, _, name in members], root)


def listing(
    classes: tuple[str, ...], members: list[tuple[pathlib.Path, str]], root: pathlib.Path
) -> Listing:
    """A Listing of (path, class name) pairs; videos are named from `root` on.

    Raises:
        ValueError: class names that would not survive in classes.txt, which has one a line.
    """
    wrong = [f"{name!r} {error}" for name in classes if (error := class_name_error(name))]
    if wrong:
        raise ValueError(f"Class names: {first(wrong, 'are not as expected')} Rename them.")
    place = {name: label for label, name in enumerate(classes)}
    return Listing(
        classes,
        tuple(str(path) for path, _ in members),
        tuple(place[name] for _, name in members),
        tuple(_name(path, root) for path, _ in members),
    )


def _name(path: pathlib.Path, root: pathlib.Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


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


def first(items: list[str], what: str) -> str:
    """'7 wrong lines: a; b; and 5 more.'"""
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{len(items)} {what}: {'; '.join(items[:SHOWN])}{more}."


def _folder(path: str, flag: str) -> pathlib.Path:
    if not path or not pathlib.Path(path).is_dir():
        raise ValueError(f"{flag}={path!r}: no such folder; name the folder of the videos.")
    return pathlib.Path(path)


def _first_folder(*paths: pathlib.Path) -> pathlib.Path | None:
    return next((path for path in paths if path.is_dir()), None)


def _class_files(root: pathlib.Path) -> tuple[tuple[str, ...], dict[str, list[pathlib.Path]]]:
    """The class folders' names, sorted, and the videos in each, sorted."""
    folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")]
    files = {
        folder.name: sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
        )
        for folder in sorted(folders)
    }
    empty = [name for name, members in files.items() if not members]
    if not files or empty:
        what = f"{first(empty, 'folders without a video')}" if empty else "no folder in it."
        raise ValueError(
            f"{root}: {what} Expected a folder for each class, with videos "
            f"({', '.join(VIDEO_SUFFIXES)}) in it."
        )
    return tuple(files), files


def _test_files(root: pathlib.Path, classes: tuple[str, ...]):
    names, files = _class_files(root)
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise ValueError(f"{root}: {first(unknown, 'classes that train/ does not have')}")
    return classes, files


def _lines(path: pathlib.Path) -> list[tuple[int, str]]:
    """Numbered lines without blanks and line ends, which may be CRLF."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected one of UCF101's official lists.")
    lines = enumerate(path.read_text("utf-8").splitlines(), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _class_names(path: pathlib.Path) -> tuple[str, ...]:
    """The classes of classInd.txt: '1 ApplyEyeMakeup' and so on, numbered from one."""
    names = []
    for line, text in _lines(path):
        number, _, name = text.partition(" ")
        if number != str(len(names) + 1) or not name:
            raise ValueError(f"{path}, line {line}: {text!r}; expected '{len(names) + 1} Class'.")
        names.append(name)
    return tuple(names)
