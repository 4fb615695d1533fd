"""A part of a file at a URL, read as a file of this machine is."""

import functools

from .files import read_range, size
from .urls import AbsentError, join

# Fetched at once. A video of ten seconds at 340x256 is a record of 2 to 4 MB, and comes in one
# piece; of one that is hours long there are many.
PIECE_BYTES = 8 << 20
# As many threads read, and each reads a record twice: to look it over, and for its frames.
PIECES_KEPT = 32


class Windows:
    """Makes windows on the files of a folder at a URL, which share the pieces fetched of late."""

    def __init__(self, url: str):
        self._url = url
        self._size = functools.cache(lambda name: size(join(url, name)))
        self._piece = functools.lru_cache(PIECES_KEPT)(self._fetched)

    def size(self, name: str) -> int | None:
        """Bytes of a file, which is not to change; None where it is not there."""
        try:
            return self._size(name)
        except AbsentError:
            return None

    def opened(self, name: str, start: int, end: int) -> "Window":
        """A file, to be read from byte `start` to before `end`."""
        return Window(functools.partial(self._piece, name), start, end)

    def _fetched(self, name: str, start: int, end: int) -> bytes:
        return read_range(join(self._url, name), start, end - start, self._size(name))


class Window:
    """The bytes `start` to `end` of a file, at the places that they have in it.

    `piece(start, end)` gives some of them, in the pieces that they are cut into.
    """

    def __init__(self, piece, start: int, end: int):
        self._piece, self._start, self._end, self._place = piece, start, end, start

    def __enter__(self):
        """Itself: there is nothing to open."""
        return self

    def __exit__(self, *_):
        """There is nothing to close."""

    def seek(self, place: int) -> int:
        """Goes to a place in the file.

        Raises:
            ValueError: it lies before the window.
        """
        if place < self._start:
            raise ValueError(f"byte {place} lies before the window from {self._start} on.")
        self._place = place
        return place

    def read(self, length: int) -> bytes:
        """As many bytes as are left in the window, up to `length`.

        Raises:
            RemoteError: they cannot be had.
        """
        end, parts = min(self._place + length, self._end), []
        while self._place < end:
            number, within = divmod(self._place - self._start, PIECE_BYTES)
            start = self._start + number * PIECE_BYTES
            piece = self._piece(start, min(start + PIECE_BYTES, self._end))
            part = piece[within : within + end - self._place]
            if not part:  # the file ends before the window
                break
            parts.append(part)
            self._place += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
