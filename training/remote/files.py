"""Files at URLs: read, in whole or in part, copied to and fro, listed. All in bounded time.

Each function raises RemoteError where the server does not do it in time (`bounded`), AbsentError
where it says that there is no such file, and ConfigError where TensorFlow has no such scheme.
"""

import os
from types import ModuleType

from .bounded import bounded
from .leaving import without_destructors
from .schemes import check_scheme
from .urls import WEB, AbsentError, RemoteError, join, scheme_of


def size(url: str) -> int:
    """Bytes of the file at `url`."""
    return _asked(url, lambda by: by.size(url))


def read_range(url: str, start: int, length: int, total: int) -> bytes:
    """The bytes of the file at `url`, of `total` bytes, from `start` on.

    As many as `length`, or to its end.
    """
    return _asked(url, lambda by: by.read_range(url, start, length, total), length)


def read(url: str) -> bytes:
    """All bytes of the file at `url`."""
    total = size(url)
    return read_range(url, 0, total, total)


def download(url: str, path: str | os.PathLike) -> None:
    """Copies the file at `url` to this machine; for what is half there the caller sees."""
    total = size(url)
    _asked(url, lambda by: by.download(url, os.fspath(path), total), total)


def upload(path: str | os.PathLike, url: str) -> None:
    """Copies a file of this machine to `url`; what was there stays until all of it has come."""
    check_writable(url)
    path = os.fspath(path)
    _asked(url, lambda by: by.upload(path, url), os.path.getsize(path))


def names(url: str, witness: str) -> list[str]:
    """The files below the folder at `url`, as names with slashes, sorted.

    A listing that the server refuses looks like one of an empty folder, or of one that lacks a
    part. So it is made until it comes out the same twice, and where it is empty a file is asked
    for: `witness` is the name of one that folders of this kind have.

    Raises:
        RemoteError: as all here; a folder that has the witness and cannot be listed.
    """
    check_writable(url)
    found, again = None, _asked(url, lambda by: by.names(url))
    while found != again:
        found, again = again, _asked(url, lambda by: by.names(url))
    if found:
        return found
    try:
        size(join(url, witness))
    except AbsentError:
        return []
    raise RemoteError(
        url, f"its files cannot be listed, and {witness} is there. Allow it to these credentials."
    )


def remove(url: str) -> None:
    """Removes the file at `url`."""
    check_writable(url)
    _asked(url, lambda by: by.remove(url))


def check_writable(url: str) -> None:
    """Raise RemoteError if nothing can be written at `url`, or listed, whatever the server."""
    if scheme_of(url) in WEB:
        raise RemoteError(
            url, f"{scheme_of(url)}:// is read alone. Give a folder of this machine, or a bucket."
        )


def _asked(url: str, question, num_bytes: int = 0):
    """The answer of the module that knows the scheme of `url`."""
    check_scheme(url)
    by = _module(url)
    try:
        return bounded(
            lambda: question(by), url, lambda error: by.problem_of(error, url), num_bytes
        )
    finally:
        if scheme_of(url) == "s3":  # again, as what has been made now would be taken apart before
            without_destructors()


def _module(url: str) -> ModuleType:
    if scheme_of(url) in WEB:
        from . import web

        return web
    from . import gfile

    return gfile
