"""UCF101 by its official lists (https://www.crcv.ucf.edu/data/UCF101.php, arXiv:1212.0402)."""

import re

from .listings import Entries, Places, entries, lists_folder, read_lines

LISTS = "UCF101's official lists"
KNOWN_AS = ("ucfTrainTestlist",)  # the folder in UCF101TrainTestSplits-RecognitionTask.zip


def list_ucf101(places: Places, split: int, subset: str) -> Entries:
    """UCF101's videos: classInd.txt, trainlist0N.txt, testlist0N.txt in `places.splits`.

    Videos lie at `videos/<Class>/<file>`, as the lists say, or at `videos/<file>`. Without
    `splits` the folder ucfTrainTestlist inside or beside `videos` is used.

    Raises:
        ValueError: absent folders or lists, lines that are not as they should be.
    """
    root, folder = places.root, lists_folder(places, KNOWN_AS, f"{LISTS} (ucfTrainTestlist)")
    classes = _class_names(folder / "classInd.txt")
    number_of = {name: str(place) for place, name in enumerate(classes, start=1)}
    path = folder / f"{subset}list{split:02d}.txt"
    rows = []
    for line, text in read_lines(path, LISTS):
        match = re.fullmatch(r"((\w+)/([^/]+?))(?:\s+(\d+))?", text)
        name = match and match[2]
        if name not in number_of or (match[4] or number_of[name]) != number_of[name]:
            raise ValueError(  # labels count from one, and only lists for training have them
                f"{path}, line {line}: {text!r} is not 'Class/video.avi' or "
                "'Class/video.avi label' with the label of classInd.txt."
            )
        found = next((p for p in (root / match[1], root / match[3]) if p.exists()), "")
        rows.append((match[1], (name,), str(found)))
    return entries(classes, rows, f"{folder.name}/{path.name}")


def class_in_name(file: str, classes: tuple[str, ...]) -> str | None:
    """The class that a file's name tells: v_<Class>_g<group>_c<clip>.

    Capitals do not count: HandstandPushups has files v_HandStandPushups_g01_c01.avi.
    """
    match = re.match(r"v_(\w+?)_g\d+_c\d+\b", file)
    return match and next((c for c in classes if c.lower() == match[1].lower()), None)


def _class_names(path) -> tuple[str, ...]:
    """The classes of classInd.txt: '1 ApplyEyeMakeup' and so on, numbered from one."""
    names = []
    for line, text in read_lines(path, LISTS):
        number, _, name = text.partition(" ")
        if number != str(len(names) + 1) or not name:
            raise ValueError(f"{path}, line {line}: {text!r}; expected '{len(names) + 1} Class'.")
        names.append(name)
    return tuple(names)
