"""The data sets that can be trained and tested on, one row each; `r21d datasets` prints them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import hmdb51, ucf101
from .folder import list_folder
from .kinetics import list_kinetics
from .listings import Entries, Places
from .manifest import list_csv
from .sports1m import list_sports1m

Lister = Callable[[Places, int, str], Entries]
"""From places, split and subset to what the lists say of it."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is known of a data set.

    num_classes: None where it is what the folder or manifest has.
    splits: the official splits; (1,) where there is one.
    counts: videos of each split that the official lists have, by subset, where known.
    multi_label: a video may have several labels.
    may_miss: listed videos may be absent, as those of YouTube vanish; else that is an error.
    mirror_safe: a mirrored video is still of its class.
    licence: as its authors state it. url: where to get it. cite: whom to cite.
    layout: how it lies on disk. places: the flags that say where.
    lister: reads its lists; None where the videos are rendered.
    class_in_name: the class that a file's name tells, where the data set has such names.
    unused: files that its lists name for no split.
    """

    name: str
    title: str
    num_classes: int | None
    splits: tuple[int, ...] = (1,)
    counts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    multi_label: bool = False
    may_miss: bool = False
    mirror_safe: bool = True
    licence: str = "that of your videos"
    url: str = ""
    cite: str = ""
    layout: str
    places: tuple[str, ...] = ("videos",)
    lister: Lister | None
    class_in_name: Callable[[str, tuple[str, ...]], str | None] | None = None
    unused: Callable[[Places], set[str]] | None = None


_UNSTATED = "unknown: its authors state none; the videos are those of YouTube's users"
# https://deepmind.com/research/open-source/kinetics, as it was until 2022.
_KINETICS_LICENCE = (
    "lists: CC BY 4.0, by Google; the videos are those of YouTube's users, under YouTube's terms"
)
_CVDF = "https://github.com/cvdfoundation/kinetics-dataset"
_KINETICS_LAYOUT = """\
VIDEOS/[train|val/][<class>/]<YouTube id>_<start>_<end>.mp4   (seconds, six digits each;
    <class> with spaces or underscores; any depth, any ending of a video)
SPLITS/train.csv, SPLITS/val.csv   (label,youtube_id,time_start,time_end,split; default SPLITS:
    annotations/ inside or beside VIDEOS). Tested on val.csv: labels of test.csv were held out."""


def _kinetics(number: int, counts: Mapping[str, tuple[int, ...]], cite: str) -> Dataset:
    name = f"kinetics{number}"
    return Dataset(
        name=name,
        title=f"Kinetics-{number}",
        num_classes=number,
        counts=counts,
        may_miss=True,
        licence=_KINETICS_LICENCE,
        url=_CVDF,
        cite=cite,
        layout=_KINETICS_LAYOUT,
        places=("videos", "splits"),
        lister=functools.partial(list_kinetics, name),
    )


_ROWS = (
    Dataset(
        name="motion",
        title="eight motions, rendered as they are trained on",
        num_classes=8,
        mirror_safe=False,  # left would be right
        licence="that of this package",
        layout="none: test videos are made under R21D_HOME on first use",
        places=(),
        lister=None,
    ),
    Dataset(
        name="ucf101",
        title="UCF101",
        num_classes=101,
        splits=(1, 2, 3),
        # Lines of the official lists.
        counts={"train": (9537, 9586, 9624), "test": (3783, 3734, 3696)},
        licence=_UNSTATED,
        url="https://www.crcv.ucf.edu/data/UCF101.php",
        cite="K. Soomro, A. Zamir, M. Shah, arXiv:1212.0402",
        layout="""\
VIDEOS/<Class>/v_<Class>_g<group>_c<clip>.avi   (or all in VIDEOS)
SPLITS/classInd.txt, trainlist01.txt, testlist01.txt and so on   (default SPLITS:
    ucfTrainTestlist/ inside or beside VIDEOS)""",
        places=("videos", "splits"),
        lister=ucf101.list_ucf101,
        class_in_name=ucf101.class_in_name,
    ),
    Dataset(
        name="hmdb51",
        title="HMDB51",
        num_classes=51,
        splits=(1, 2, 3),
        counts={"train": (3570,) * 3, "test": (1530,) * 3},  # 70 and 30 of each class
        # https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/
        licence="CC BY 4.0 (of the collection; the clips come from films and from the web)",
        url="https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/",
        cite="H. Kuehne, H. Jhuang, E. Garrote, T. Poggio, T. Serre, ICCV 2011",
        layout="""\
VIDEOS/<class>/<film>_<class>_..._<number>.avi   (or all in VIDEOS)
SPLITS/<class>_test_split1.txt and so on: 'file code', 1 train, 2 test, 0 unused   (default
    SPLITS: testTrainMulti_7030_splits/ inside or beside VIDEOS)""",
        places=("videos", "splits"),
        lister=hmdb51.list_hmdb51,
        class_in_name=hmdb51.class_in_name,
        unused=hmdb51.unused,
    ),
    # Counts of Kinetics-400: CVDF's lists, as its arrange_by_classes.py counts them. Of the others
    # those of the papers differ from the lists that are offered now.
    _kinetics(
        400,
        {"train": (246_534,), "test": (19_906,)},
        "W. Kay et al., arXiv:1705.06950",
    ),
    _kinetics(600, {}, "J. Carreira et al., arXiv:1808.01340"),
    _kinetics(700, {}, "J. Carreira et al., arXiv:1907.06987; -2020: L. Smaira et al., 2010.10864"),
    Dataset(
        name="sports1m",
        title="Sports-1M",
        num_classes=487,
        multi_label=True,
        may_miss=True,
        licence="lists: CC BY 3.0; the videos are those of YouTube's users, under YouTube's terms",
        url="https://github.com/gtoderici/sports-1m-dataset",
        cite="A. Karpathy et al., CVPR 2014",
        layout="""\
VIDEOS/**/<YouTube id>.<ending>   (any depth)
SPLITS/train_partition.txt, test_partition.txt: 'URL label,label'   (or .txt.gz; default SPLITS:
    VIDEOS, or original/ in it, or beside it)""",
        places=("videos", "splits"),
        lister=list_sports1m,
    ),
    Dataset(
        name="folder",
        title="a folder of class folders",
        num_classes=None,
        layout="""\
VIDEOS/<class>/**/*.mp4   (a fifth of each class is for testing), or
VIDEOS/train/<class>/**, VIDEOS/test/<class>/**   (or val, valid, validation for test)""",
        lister=list_folder,
    ),
    Dataset(
        name="csv",
        title="a CSV manifest",
        num_classes=None,
        layout="""\
MANIFEST: a header path,label[,subset] and a line a video; paths start at its folder, subset is
    train or test (without it a fifth of each class is for testing)""",
        places=("manifest",),
        lister=list_csv,
    ),
)

DATASETS: dict[str, Dataset] = {row.name: row for row in _ROWS}
"""By name."""


def unread_places(row: Dataset, given: Mapping[str, str]) -> str:
    """What is wrong with saying by `given` where a data set is: places that it does not read.

    given: by the names of PLACES; "" where nothing is said.
    """
    asked = {name for name, value in given.items() if value}
    wrong = [f"{name}={value!r}" for name, value in given.items() if name in asked - {*row.places}]
    if not wrong:
        return ""
    others = [other.name for other in DATASETS.values() if asked <= set(other.places)]
    reads = " and ".join(row.places) or "no place, as its videos are rendered"
    other = f"--dataset={'|'.join(others)}, or leave it out" if others else "the one that is meant"
    return f"dataset={row.name!r} does not read {wrong[0]}; it reads {reads}. Give {other}."


def get_dataset(name: str) -> Dataset:
    """The row of a data set.

    Raises:
        ValueError: for another name.
    """
    if name not in DATASETS:
        raise ValueError(f"dataset={name!r}: expected one of {', '.join(DATASETS)}.")
    return DATASETS[name]
