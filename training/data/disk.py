"""The video files below a folder."""

import os
import pathlib
import time
from functools import cached_property

from absl import logging

VIDEO_SUFFIXES = (".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv")
VIDEO_SUFFIXES += (".3gp", ".ts", ".mts", ".ogv", ".gif")
"""Endings of the files that a folder of videos is searched for, in lower case."""
PROGRESS_S = 5.0  # seconds between two lines on how far a long search or check has come


class Disk:
    """The videos below `root` in any depth, found in one pass over its folders when first asked.

    Files and folders whose names begin with a dot are none: some archives of Kinetics hold such a
    file, "._<video>.mp4", beside every video (kinetics-dataset issue 5).
    """

    def __init__(self, root: pathlib.Path):
        self.root = root

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Paths from `root` on, with slashes, sorted."""
        found, said_s = [], time.monotonic()
        for folder, names in _folders(str(self.root)):
            prefix = os.path.relpath(folder, self.root).replace(os.sep, "/") + "/"
            prefix = prefix.removeprefix("./")
            found += [prefix + name for name in names]
            if time.monotonic() - said_s > PROGRESS_S:
                logging.info("%s: found %d videos so far.", self.root, len(found))
                said_s = time.monotonic()
        return tuple(sorted(found))

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """The `files` by name without folder and ending."""
        found = {}
        for path in self.files:
            found.setdefault(stem(path), []).append(path)
        return found


def stem(path: str) -> str:
    """The name of a file without folders and without the ending of a video."""
    name = path.rpartition("/")[2]
    base, dot, ending = name.rpartition(".")
    return base if f"{dot}{ending}".lower() in VIDEO_SUFFIXES else name


def _folders(root: str):
    """(folder, names of the videos in it) of all folders below `root`, links followed."""
    waiting = [(root, (os.path.realpath(root),))]
    while waiting:
        folder, above = waiting.pop()
        names = []
        with os.scandir(folder) as found:
            for entry in found:
                if entry.name.startswith("."):
                    continue
                if os.path.splitext(entry.name)[1].lower() in VIDEO_SUFFIXES and entry.is_file():
                    names.append(entry.name)
                elif entry.is_dir():
                    linked = entry.is_symlink()
                    real = os.path.realpath(entry.path) if linked else f"{above[-1]}/{entry.name}"
                    if real not in above:  # a link to a folder that it lies in has no end
                        waiting.append((entry.path, (*above, real)))
        yield folder, names
