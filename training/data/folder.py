"""Videos in a folder of class folders."""

import pathlib

from .disk import VIDEO_SUFFIXES
from .listings import Entries, Places, below, by_hash, entries, first

TEST_FOLDERS = ("test", "val", "valid", "validation")  # beside train/; the first that is there


def list_folder(places: Places, split: int, subset: str) -> Entries:
    """A folder of class folders: `videos/<class>/*`, in any depth below the class.

    Where `videos/train/<class>/` and `videos/test/<class>/` (or another of TEST_FOLDERS) exist,
    they are the subsets. Otherwise a fifth of each class is for testing, chosen by a hash of the
    file's name: the same on every machine, and little changed when files are added.

    Raises:
        ValueError: no such folder, no class, a class without videos, a test class unknown to
            train, one of train/ and test/ without the other.
    """
    root = places.root
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
    rows = [
        (below(path, root), (name,), str(path)) for name in classes for path in files.get(name, ())
    ]
    return entries(classes, rows, root)


def _first_folder(*paths: pathlib.Path) -> pathlib.Path | None:
    return next((path for path in paths if path.is_dir()), None)


def _class_files(root: pathlib.Path) -> tuple[tuple[str, ...], dict[str, list[pathlib.Path]]]:
    """The class folders' names, sorted, and the videos in each, sorted."""
    folders = [p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".")]
    files = {
        folder.name: sorted(
            path
            for path in folder.rglob("*")
            if path.suffix.lower() in VIDEO_SUFFIXES
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
            and path.is_file()
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
        raise ValueError(f"{root}: {first(unknown, 'classes that train/ lacks')}")
    return classes, files
