"""Folders of this machine and at URLs, read in the same way."""

import os
import pathlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from .urls import AbsentError, is_remote, join, shown

_ASKED_AT_ONCE = 16  # sizes of shards; a server takes a tenth of a second for each


class Folder:
    """A folder of this machine."""

    def __init__(self, root: str | os.PathLike):
        self._root = pathlib.Path(root)

    def __str__(self) -> str:
        """Its path."""
        return str(self._root)

    def path(self, name: str) -> str:
        """That of a file in it, for messages."""
        return str(self._root / name)

    def is_there(self) -> bool:
        """Whether there is such a folder."""
        return self._root.is_dir()

    def text(self, name: str) -> str | None:
        """What a file holds, UTF-8; None where there is none."""
        path = self._root / name
        return path.read_text("utf-8") if path.is_file() else None

    def sizes(self, names: Iterable[str]) -> list[int | None]:
        """Bytes of files; None for those that are not there."""
        paths = [self._root / name for name in names]
        return [path.stat().st_size if path.is_file() else None for path in paths]

    def opened(self, name: str, start: int, end: int) -> BinaryIO:
        """A file, to be read from byte `start` to before `end`, at the places they have in it."""
        # The usual buffer, of 8 kB or more, would be filled anew before each frame.
        return open(self._root / name, "rb", buffering=64)


class RemoteFolder:
    """A folder at a URL. All that asks its server raises RemoteError if that does not answer."""

    def __init__(self, url: str):
        from .window import Windows

        self._url = url.rstrip("/")
        self._windows = Windows(self._url)

    def __str__(self) -> str:
        """Its URL."""
        return shown(self._url)

    def path(self, name: str) -> str:
        """That of a file in it, for messages."""
        return shown(join(self._url, name))

    def is_there(self) -> bool:
        """It is: servers have files, and folders are parts of their names."""
        return True

    def text(self, name: str) -> str | None:
        """What a file holds, UTF-8; None where there is none."""
        from .files import read

        try:
            return read(join(self._url, name)).decode("utf-8")
        except AbsentError:
            return None

    def sizes(self, names: Iterable[str]) -> list[int | None]:
        """Bytes of files; None for those that are not there."""
        with ThreadPoolExecutor(_ASKED_AT_ONCE) as pool:
            return list(pool.map(self._windows.size, names))

    def opened(self, name: str, start: int, end: int) -> BinaryIO:
        """A file, to be read from byte `start` to before `end`, at the places they have in it."""
        return self._windows.opened(name, start, end)


def folder_at(place: str | os.PathLike) -> Folder | RemoteFolder:
    """The folder at a path or a URL."""
    return RemoteFolder(os.fspath(place)) if is_remote(place) else Folder(place)
