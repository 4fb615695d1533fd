"""A folder that fills with videos: which of them are whole, each once."""

import time
from pathlib import Path

from ..data.disk import VIDEO_SUFFIXES

SUFFIXES = (*VIDEO_SUFFIXES, ".m2ts")
"""Of files that are watched: those of data sets, and what recorders write besides."""
SETTLED_S = 2.0
"""A file is whole when neither its size nor its time has changed for so long."""

REMEMBERED = 10_000
"""Names of files that are gone, which are not given again should they come back as they were."""


class Folder:
    """The videos right in a folder, as they become whole; hidden files are left out.

    A file that changes later is given again. Memory holds the names that the folder has, and
    REMEMBERED that it had.
    """

    pause_s = SETTLED_S / 4
    """Seconds to wait between two looks."""

    def __init__(self, path):
        self._path = Path(path)
        self._seen = {}  # by name: what a file looked like, and since when
        self._given = {}
        self.trouble = ""
        """Why the folder cannot be read at present; "" where it can."""

    def ready(self) -> list[Path]:
        """Files that are whole and were not given before, the oldest first.

        An empty list while the folder cannot be read, as on a server that does not answer; what was
        given before is remembered.
        """
        now_s, seen, whole, files = time.monotonic(), {}, [], self._files()
        if self.trouble:
            return []
        for path in files:
            try:
                status = path.stat()
            except OSError:
                continue  # it went away
            looks = (status.st_size, status.st_mtime_ns)
            since = self._seen.get(path.name)
            since_s = since[1] if since and since[0] == looks else now_s
            seen[path.name] = (looks, since_s)
            new = self._given.get(path.name) != looks
            if new and status.st_size and now_s - since_s >= SETTLED_S:
                whole.append((status.st_mtime_ns, path.name, path, looks))
        self._seen = seen
        self._given |= {name: looks for _, name, _, looks in whole}
        self._forget(seen)
        return [path for _, _, path, _ in sorted(whole)]

    def _forget(self, seen: dict) -> None:
        """Forgets the oldest of many names that are gone.

        Not all: a share that is away for a while is an empty folder.
        """
        gone = [name for name in self._given if name not in seen]
        for name in gone[: max(0, len(gone) - REMEMBERED)]:
            del self._given[name]

    def _files(self) -> list[Path]:
        try:
            found = list(self._path.iterdir())
        except OSError as error:
            self.trouble = f"cannot be read: {error.strerror}."
            return []
        self.trouble = ""
        return [
            path
            for path in found
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
        ]
