"""HMDB51 by its official lists (https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/).

H. Kuehne, H. Jhuang, E. Garrote, T. Poggio, T. Serre: HMDB: a large video database for human
motion recognition, ICCV 2011.
"""

import re

from .listings import Entries, ListsAbsent, Places, entries, first, lists_folder, read_lines

LISTS = "HMDB51's official lists"
# The folder in test_train_splits.rar, and what others call it.
KNOWN_AS = (
    "testTrainMulti_7030_splits",
    "hmdb51_testTrainMulti_7030_splits",
    "test_train_splits",
    "splits",
)
CODES = {"1": "train", "2": "test", "0": None}  # 0: not used in this split


def list_hmdb51(places: Places, split: int, subset: str) -> Entries:
    """HMDB51's videos: <class>_test_split<N>.txt in `places.splits`, one list a class.

    Lines are '<file>.avi <code>', with a code of CODES: 70 videos of a class are for training and
    30 for testing, others are not used. Videos lie at `videos/<class>/<file>` or `videos/<file>`.
    Without `splits` the folder testTrainMulti_7030_splits inside or beside `videos` is used.

    Raises:
        ListsAbsent: no list of this split.
        ValueError: absent folders, classes with lists for other splits only, wrong lines, a video
            with two codes.
    """
    root, folder = places.root, lists_folder(places, KNOWN_AS, f"{LISTS} ({KNOWN_AS[0]})")
    lists = sorted(folder.glob("*_test_split[0-9].txt"))
    every = sorted({path.name[: -len("_test_split1.txt")] for path in lists})
    wanted = {name: folder / f"{name}_test_split{split}.txt" for name in every}
    absent = [path.name for path in wanted.values() if path not in lists]
    if len(absent) == len(every):
        raise ListsAbsent(
            f"{folder}: no list of split {split}; expected {LISTS}: <class>_test_split{split}.txt."
        )
    if absent:
        raise ValueError(
            f"{folder}: {first(absent, 'lists are not there')} Other splits have them."
        )
    rows = []
    for name, path in wanted.items():
        for file, code in _codes(path).items():
            if CODES[code] == subset:
                found = next((p for p in (root / name / file, root / file) if p.exists()), "")
                rows.append((f"{name}/{file}", (name,), str(found)))
    return entries(tuple(every), rows, f"{folder.name}/*_test_split{split}.txt ({subset})")


def unused(places: Places) -> set[str]:
    """Files that the lists have, for no split: 'file.avi'; 395 of the official 6,766."""
    folder = lists_folder(places, KNOWN_AS, f"{LISTS} ({KNOWN_AS[0]})")
    used, every = set(), set()
    for path in folder.glob("*_test_split[0-9].txt"):
        codes = _codes(path)
        every |= codes.keys()
        used |= {file for file, code in codes.items() if CODES[code]}
    return every - used


def class_in_name(file: str, classes: tuple[str, ...]) -> str | None:
    """The class that a file's name tells: <film>_<class>_<body>_<camera>_np<people>_..."""
    match = re.match(r"(.*)_[a-z]_[cn]m_np\d+_(?:fr|ba|le|ri)_(?:bad|med|goo)_\d+\b", file)
    ends = [name for name in classes if match and match[1].endswith(f"_{name}")]
    return max(ends, key=len, default=None)  # ..._climb_stairs_... is none of climb


def _codes(path) -> dict[str, str]:
    """The codes of the files in one list."""
    codes = {}
    for line, text in read_lines(path, LISTS):
        file, _, code = text.rpartition(" ")
        file = file.strip()
        if code not in CODES or not file or "/" in file:
            raise ValueError(
                f"{path}, line {line}: {text!r} is not 'video.avi code' with code 0, 1 or 2."
            )
        if codes.setdefault(file, code) != code:
            raise ValueError(f"{path}, line {line}: {file} has code {code}, and {codes[file]} too.")
    return codes
