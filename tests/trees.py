"""Folders as the data sets' authors lay them out, of links to real clips or to small ones."""

import pathlib

from r21d_keras.training.data.disk import VIDEO_SUFFIXES


def real_clips(test_data) -> list[pathlib.Path]:
    """Clips of UCF101, HMDB51, Kinetics and others, of many kinds."""
    return sorted(p for p in (test_data / "clips").iterdir() if p.suffix in VIDEO_SUFFIXES)


def link(root, names, clips) -> pathlib.Path:
    """Links `root/<name>` to the clips in turn."""
    for place, name in enumerate(names):
        path = pathlib.Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(clips[place % len(clips)])
    return pathlib.Path(root)


def write_lists(folder, lists: dict[str, str], end: str = "\n") -> pathlib.Path:
    """Writes texts by file name, with these line ends."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in lists.items():
        (folder / name).write_bytes(text.replace("\n", end).encode())
    return folder
