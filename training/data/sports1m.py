"""Sports-1M by its official lists (https://github.com/gtoderici/sports-1m-dataset).

A. Karpathy, G. Toderici, S. Shetty, T. Leung, R. Sukthankar, L. Fei-Fei: Large-scale video
classification with convolutional neural networks, CVPR 2014. Lists and labels: CC BY 3.0.
"""

import gzip
import pathlib
import re
import zlib

from r21d_keras.zoo.labels import load_labels

from .kinetics import find
from .listings import Entries, ListsAbsent, Places, entries, first

LISTS = "Sports-1M's official lists, train_partition.txt and test_partition.txt"
# In the authors' repository the lists lie in original/, compressed.
KNOWN_AS = (".", "original", "sports-1m-dataset/original", "lists")


def list_sports1m(places: Places, split: int, subset: str) -> Entries:
    """Sports-1M's videos: train_partition.txt and test_partition.txt in `places.splits`.

    Lines are 'URL label,label', labels being lines of labels.txt from 0 on (README of the
    repository); the files may be compressed (.gz). Videos are called <YouTube id>.<ending> and are
    looked for below `places.videos` in any depth. Classes are those that a training video has.

    Raises:
        ListsAbsent: no list for this subset.
        ValueError: absent folders, lines that are not as they should be.
    """
    root = places.root
    places_of_lists = [pathlib.Path(places.splits)] if places.splits else [root, root.parent]
    folders = [place / name for place in places_of_lists for name in KNOWN_AS]
    path = _list(folders, subset)
    labels = load_labels("sports1m")
    rows = _rows(path, len(labels))
    training = rows if subset == "train" else _rows(_list(folders, "train"), len(labels))
    trained = {number for _, numbers in training for number in numbers}
    unknown = sorted({number for _, numbers in rows for number in numbers} - trained)
    if unknown:
        names = [f"{number} {labels[number]}" for number in unknown]
        raise ValueError(f"{path}: {first(names, 'labels that no video of the training list has')}")
    classes = tuple(label for number, label in enumerate(labels) if number in trained)
    disk = places.disk
    return entries(
        classes,
        (
            (video, tuple(labels[n] for n in numbers), find(disk, video, ()))
            for video, numbers in rows
        ),
        path.name,
    )


def _list(folders: list[pathlib.Path], subset: str) -> pathlib.Path:
    names = [f"{subset}_partition.txt", f"{subset}_partition.txt.gz"]
    found = next((f / name for f in folders for name in names if (f / name).is_file()), None)
    if found is None:
        raise ListsAbsent(f"{folders[0].resolve()}: no {names[0]} in it; expected {LISTS}.")
    return found


def _rows(path: pathlib.Path, num_labels: int) -> list[tuple[str, tuple[int, ...]]]:
    """(YouTube id, labels) of each line."""
    rows, wrong = [], []
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8-sig") as file:
            for line, text in enumerate(file, start=1):
                video, numbers = _parsed(text)
                if video and all(number < num_labels for number in numbers):
                    rows.append((video, numbers))
                elif text.strip():
                    wrong.append(f"line {line}: {text.strip()!r}")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8: {error}.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}. Get the list again.") from None
    if wrong:
        what = f"lines are not 'YouTube URL label,label' with labels from 0 to {num_labels - 1}"
        raise ValueError(f"{path}: {first(wrong, what)}")
    return rows


_LINE = re.compile(
    r"\S+(?:[?&]v=|youtu\.be/|/v/)([\w-]{11})(?:[&?#]\S*)?\s+(\d{1,3}(?:,\d{1,3})*),?\s*",
    re.ASCII,
)


def _parsed(text: str) -> tuple[str, tuple[int, ...]]:
    """The YouTube id and the labels, each once, of a line; "" for a line of another form."""
    match = _LINE.fullmatch(text)
    if not match:
        return "", ()
    return match[1], tuple(dict.fromkeys(int(number) for number in match[2].split(",")))
