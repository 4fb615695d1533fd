"""Kinetics-400, -600 and -700 by their official CSV lists.

Kinetics-400: arXiv:1705.06950, -600: arXiv:1808.01340, -700: arXiv:1907.06987, -700-2020:
arXiv:2010.10864. The lists come from DeepMind (kinetics400.tar.gz and so on: train.csv,
validate.csv, test.csv) and from CVDF (https://github.com/cvdfoundation/kinetics-dataset:
annotations/train.csv, val.csv, test.csv), with the columns label, youtube_id, time_start,
time_end, split, of which Kinetics-400's at CVDF have also is_cc. CVDF calls Kinetics-600's
train.csv and val.csv incomplete, and has train.txt and val.txt for it. Labels of the test lists
were held out, so that the field tests on the validation list, and so does this.
"""

import csv
import pathlib
import re

from r21d_keras.zoo.labels import load_labels

from .disk import Disk
from .listings import (
    Entries,
    ListsAbsent,
    Places,
    check_columns,
    entries,
    first,
    lists_folder,
)

COLUMNS = ("label", "youtube_id", "time_start", "time_end")
# What the lists of a subset are called: at CVDF and DeepMind, and in MMAction2's preparation.
STEMS = {
    "train": ("train", "kinetics_train", "{name}_train"),
    "test": ("val", "validate", "validation", "kinetics_val", "{name}_val"),
}
ENDINGS = {"kinetics600": (".txt", ".csv")}  # others: .csv alone
# What the column split says of the videos that are not for this subset.
OTHERS = {"train": ("val", "validate", "validation", "test"), "test": ("train", "test")}


def list_kinetics(name: str, places: Places, split: int, subset: str) -> Entries:
    """The videos of a list of Kinetics `name`, "kinetics400" for example; for "test" validation's.

    Lists lie in `places.splits`, or in annotations/ inside or beside the videos, or beside them.
    Videos are called <id>_<start>_<end>.mp4 (start and end in seconds, six digits), as the
    ActivityNet crawler names them (Crawler/Kinetics/download.py) and CVDF's archives hold them.
    They are looked for below `places.videos` in any depth, whether in folders of classes, which
    may have underscores for spaces, of subsets, of both, or in none.

    Classes are those of the training list, in the order of the official ones.

    Raises:
        ListsAbsent: no list for this subset.
        ValueError: absent folders, lines and labels that are not as they should be.
    """
    folder = _folder(name, places)
    training = _rows(name, _list(name, folder, "train"), "train")
    listed = {label for label, _ in training}
    classes = tuple(label for label in load_labels(name) if label in listed)
    path = _list(name, folder, subset)
    rows = training if subset == "train" else _rows(name, path, subset)
    unknown = sorted({label for label, _ in rows} - listed)
    if unknown:
        raise ValueError(f"{path}: {first(unknown, 'labels that the training list lacks')}")
    subset_folders = {key(stem) for stem in STEMS[subset]}
    disk = places.disk
    return entries(
        classes,
        (
            (f"{label}/{clip}", (label,), find(disk, clip, (key(label),), subset_folders))
            for label, clip in rows
        ),
        f"{folder.name}/{path.name}",
    )


def key(name: str) -> str:
    """What is the same in all ways to write a class: "massaging person's head" and
    "massaging_persons_head". All classes of each Kinetics differ in it.
    """
    return re.sub(r"[\W_]+", "", name.lower())


def find(disk: Disk, clip: str, class_keys: tuple[str, ...], subset_keys=frozenset()) -> str:
    """The file of a clip, by its name without ending; "" if there is none.

    Of several the one in a folder of its class, then of its subset.
    """
    found = disk.by_stem.get(clip, ())
    if len(found) > 1:
        found = sorted(found, key=lambda path: _strangeness(path, class_keys, subset_keys))
    return f"{disk.root}/{found[0]}" if found else ""


def _strangeness(path: str, class_keys, subset_keys) -> tuple[bool, bool]:
    folders = {key(part) for part in path.split("/")[:-1]}
    return not folders & set(class_keys), not folders & set(subset_keys)


def _folder(name: str, places: Places) -> pathlib.Path:
    """Where the training list lies."""
    known_as = ("annotations", name, ".")
    if not places.splits:
        root = places.root
        tried = [place / known for place in (root, root.parent) for known in known_as]
        with_list = next((f for f in tried if any(p.is_file() for p in _lists(name, f))), None)
        if with_list:
            return with_list.resolve()
    return lists_folder(places, known_as[:2], f"{name}'s official lists, train.csv and val.csv")


def _lists(name: str, folder: pathlib.Path, subset: str = "train") -> list[pathlib.Path]:
    """What the list of a subset may be called, the best first."""
    stems = [stem.format(name=name) for stem in STEMS[subset]]
    return [folder / f"{stem}{end}" for end in ENDINGS.get(name, (".csv",)) for stem in stems]


def _list(name: str, folder: pathlib.Path, subset: str) -> pathlib.Path:
    tried = _lists(name, folder, subset)
    found = next((path for path in tried if path.is_file()), None)
    if found is None:
        names = ", ".join(path.name for path in tried)
        raise ListsAbsent(f"{folder}: no list of {name} for {subset}; expected one of {names}.")
    return found


def _rows(name: str, path: pathlib.Path, subset: str) -> list[tuple[str, str]]:
    """(label, name of the clip) of each line."""
    official = {key(label): label for label in load_labels(name)}
    rows, wrong = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = [column.strip() for column in reader.fieldnames or ()]
            if not set(COLUMNS) <= set(reader.fieldnames):
                raise ValueError(
                    f"{path}: its header has {', '.join(reader.fieldnames) or 'nothing'}; expected "
                    f"the columns {', '.join(COLUMNS)}, as the official lists have."
                )
            check_columns(path, reader.fieldnames, (*COLUMNS, "split"))
            for row in reader:
                clip, error = _clip(row, official, subset)
                if error:
                    wrong.append(f"line {reader.line_num}: {error}")
                else:
                    rows.append((official[key(row["label"])], clip))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8: {error}.") from None
    if wrong:
        raise ValueError(f"{path}: {first(wrong, 'wrong lines')}")
    return rows


def _clip(row: dict, official: dict[str, str], subset: str) -> tuple[str, str]:
    """The name of a line's clip, and what is wrong with the line."""
    label, video, start, end = ((row[column] or "").strip() for column in COLUMNS)
    if key(label) not in official:
        return "", f"label {label!r} is none of the {len(official)} classes"
    if not re.fullmatch(r"[\w-]{11}", video, re.ASCII):
        return "", f"youtube_id {video!r} has not 11 letters, digits, - and _"
    times = [re.fullmatch(r"(\d{1,6})(?:\.0*)?", text) for text in (start, end)]
    if not all(times):
        return "", f"time_start {start!r} and time_end {end!r} are not whole seconds"
    said = (row.get("split") or "").strip()
    if said in OTHERS[subset]:
        return "", f"split is {said!r} in the list for {subset}"
    return f"{video}_{int(times[0][1]):06d}_{int(times[1][1]):06d}", ""
