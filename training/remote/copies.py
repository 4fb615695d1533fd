"""Copies on this machine of what lies at URLs, for what can only be done with files of it."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterable, Iterator

from .urls import AbsentError, RemoteError, is_remote, join, shown

_PREFIX = "r21d-copy-"
_until_the_end: list[tempfile.TemporaryDirectory] = []


@contextlib.contextmanager
def fetched(place: str | os.PathLike, names: Iterable[str]) -> Iterator[pathlib.Path]:
    """A folder with the files `names` of the folder at `place`, those of them that are there.

    That is the folder itself where it is of this machine; of one at a URL a copy, which goes when
    this ends. Errors that tell of the copy are made to tell of the URL.

    Raises:
        RemoteError: a server that does not give them.
    """
    if not is_remote(place):
        yield pathlib.Path(place)
        return
    url = os.fspath(place)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as root, told_of(root, url):
        for name in names:
            _fetch(url, name, pathlib.Path(root))
        yield pathlib.Path(root)


def kept(place: str | os.PathLike, names: Iterable[str]) -> pathlib.Path:
    """As `fetched`, for what is read later: a copy goes when the process ends."""
    if not is_remote(place):
        return pathlib.Path(place)
    root = tempfile.TemporaryDirectory(prefix=_PREFIX)
    _until_the_end.append(root)
    for name in names:
        _fetch(os.fspath(place), name, pathlib.Path(root.name))
    return pathlib.Path(root.name)


@contextlib.contextmanager
def sent(place: str | os.PathLike, last: str = "", new: bool = False) -> Iterator[pathlib.Path]:
    """A folder whose files become those of the folder at `place`, if this ends without an error.

    That is the folder itself where it is of this machine; for one at a URL a new one, whose files
    are sent when this ends: the one of the name `last` behind all others. `new`: the folder is not
    there yet, and where some files are not taken, those that were are removed again.

    Raises:
        RemoteError: a server that does not take them.
    """
    if not is_remote(place):
        yield pathlib.Path(place)
        return
    from .files import check_writable, upload

    url = os.fspath(place)
    check_writable(url)
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as root, told_of(root, url):
        yield pathlib.Path(root)
        found = (path for path in sorted(pathlib.Path(root).rglob("*")) if path.is_file())
        begun = []
        try:
            for path in sorted(found, key=lambda path: path.name == last):
                begun.append(join(url, path.relative_to(root).as_posix()))
                upload(path, begun[-1])
        except BaseException as error:
            if new and not _removed(reversed(begun)) and isinstance(error, RemoteError):
                left = f"{error.reason} Files of {shown(url)} may have stayed; remove them."
                raise RemoteError(error.url, left) from error
            raise


@contextlib.contextmanager
def told_of(root: str | os.PathLike, url: str) -> Iterator[None]:
    """Puts the URL in place of its copy's path into the messages of errors that pass."""
    try:
        yield
    except RemoteError:
        raise
    except BaseException as error:
        here, there = os.fspath(root), shown(url.rstrip("/"))
        error.args = tuple(
            arg.replace(here, there) if isinstance(arg, str) else arg for arg in error.args
        )
        if getattr(error, "filename", None):
            error.filename = os.fspath(error.filename).replace(here, there)
        raise


def _removed(urls: Iterable[str]) -> bool:
    """Removes what is there of some files; whether their server went along to the end."""
    from .files import remove

    for url in urls:
        try:
            remove(url)
        except AbsentError:
            continue
        except RemoteError:
            return False  # the server is away, and so it is for the others
    return True


def _fetch(url: str, name: str, root: pathlib.Path) -> None:
    from .files import download

    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(AbsentError):
        download(join(url, name), path)
