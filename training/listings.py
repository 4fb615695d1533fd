"""Which videos belong to which class and subset: folders, CSV manifests, UCF101's lists."""

import csv
import hashlib
import pathlib
import re
from dataclasses import dataclass

SUBSETS = ("train", "test")
VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv")
VIDEO_SUFFIXES += (".3gp", ".ts", ".mts", ".ogv", ".gif")
"""Endings of the files that a folder of videos is searched for, in lower case."""
TEST_SHARE = 0.2  # of each class, where nothing says which videos are for testing
SHOWN = 5  # how many of many errors a message lists


@dataclass(frozen=True)
class Listing:
    """Videos of one subset: `labels[i]`, an index into `classes`, is that of `paths[i]`."""

    classes: tuple[str, ...]
    paths: tuple[str, ...]
    labels: tuple[int, ...]


def list_folder(videos: str, subset: str) -> Listing:
    """A folder of class folders: `videos/<class>/*`, in any depth below the class.

    Where `videos/train/<class>/` and `videos/test/<class>/` (or `val`) exist, they are the
    subsets. Otherwise a fifth of each class is for testing, chosen by a hash of the file's name:
    the same on every machine, and little changed when files are added.

    Raises:
        ValueError: no such folder, no class, a class without videos, a test class unknown to train.
    """
    root = _folder(videos, "--videos")
    train, test = root / "train", _first_folder(root / "test", root / "val")
    if _has_folders(train) and test is not None:
        classes, files = _class_files(train)
        if subset == "test":
            classes, files = _test_files(test, classes)
    else:
        classes, files = _class_files(root)
        names = {c: [str(path.relative_to(root).as_posix()) for path in files[c]] for c in classes}
        files = {
            c: [root / name for name in _by_hash(names[c], subset, str(root / c))] for c in classes
        }
    return _listing(classes, [(path, name) for name in classes for path in files.get(name, ())])


def list_csv(manifest: str, subset: str) -> Listing:
    """A CSV file with a header: columns path, label and, if wanted, subset (train or test).

    Relative paths start at the CSV file's folder; labels are class names. Without the column
    `subset` a fifth of each class is for testing, as in `list_folder`.

    Raises:
        ValueError: an absent file or column, or lines that are wrong, with their numbers.
    """
    path = pathlib.Path(manifest)
    if not manifest or not path.is_file():
        raise ValueError(f"--manifest={manifest!r}: no such file; expected a CSV with path,label.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = tuple(reader.fieldnames or ())
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8: {error}.") from None
    if not {"path", "label"} <= set(columns):
        raise ValueError(
            f"{path}: its header has {', '.join(columns) or 'nothing'}; "
            "expected the columns path,label or path,label,subset."
        )
    wrong = [f"line {line}: {what}" for line, row in rows for what in _row_errors(row, path.parent)]
    if wrong:
        raise ValueError(f"{path}: {_first(wrong, 'wrong lines')}")
    return _manifest_listing([row for _, row in rows], path, subset, "subset" in columns)


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
            f"{_first(missing, 'are not there')} Put them there or correct --videos."
        )
    return _listing(classes, [(found, name) for found, _, name in members])


def _folder(path: str, flag: str) -> pathlib.Path:
    if not path or not pathlib.Path(path).is_dir():
        raise ValueError(f"{flag}={path!r}: no such folder; name the folder of the videos.")
    return pathlib.Path(path)


def _first_folder(*paths: pathlib.Path) -> pathlib.Path | None:
    return next((path for path in paths if path.is_dir()), None)


def _has_folders(path: pathlib.Path) -> bool:
    return path.is_dir() and any(child.is_dir() for child in path.iterdir())


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
        what = f"{_first(empty, 'folders without a video')}" if empty else "no folder in it."
        raise ValueError(
            f"{root}: {what} Expected a folder for each class, with videos "
            f"({', '.join(VIDEO_SUFFIXES)}) in it."
        )
    return tuple(files), files


def _test_files(root: pathlib.Path, classes: tuple[str, ...]):
    names, files = _class_files(root)
    unknown = sorted(set(names) - set(classes))
    if unknown:
        raise ValueError(f"{root}: {_first(unknown, 'classes that train/ does not have')}")
    return classes, files


def _by_hash(names: list[str], subset: str, what: str) -> list[str]:
    """Those names of a class that are in `subset`; at least one is in each."""
    if len(names) < 2:
        raise ValueError(
            f"{what}: 1 video; expected at least 2, one to train and one to test on. Add videos, "
            "or say which is which (folders train/ and test/, or a CSV column subset)."
        )
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    num_test = max(1, round(TEST_SHARE * len(names)))
    return sorted(ordered[:num_test] if subset == "test" else ordered[num_test:])


def _row_errors(row: dict, folder: pathlib.Path) -> list[str]:
    path, label, subset = (row.get(key) or "" for key in ("path", "label", "subset"))
    wrong = [f"no {key}" for key, value in (("path", path), ("label", label)) if not value.strip()]
    if path and not (folder / path).is_file():
        wrong.append(f"no such file: {path}")
    if row.get("subset") is not None and subset not in SUBSETS:
        wrong.append(f"subset is {subset!r}; expected train or test")
    if None in row:
        wrong.append("more values than columns; put values with commas in quotes")
    return wrong


def _manifest_listing(rows: list[dict], path, subset: str, says_subset: bool) -> Listing:
    labels = {row["label"] for row in rows}
    numbers = all(label.isdecimal() for label in labels)
    classes = tuple(sorted(labels, key=int if numbers else None))  # 2 before 10
    if says_subset:
        chosen = [(row["path"], row["label"]) for row in rows if row["subset"] == subset]
    else:
        chosen = [
            (name, label)
            for label in classes
            for name in _by_hash(
                [row["path"] for row in rows if row["label"] == label], subset, f"{path}: {label}"
            )
        ]
    return _listing(classes, [(path.parent / name, label) for name, label in chosen])


def _listing(classes: tuple[str, ...], members: list[tuple[pathlib.Path, str]]) -> Listing:
    place = {name: label for label, name in enumerate(classes)}
    return Listing(
        classes, tuple(str(path) for path, _ in members), tuple(place[name] for _, name in members)
    )


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


def _first(items: list[str], what: str) -> str:
    """'7 wrong lines: a; b; and 5 more.'"""
    more = f"; and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return f"{len(items)} {what}: {'; '.join(items[:SHOWN])}{more}."
