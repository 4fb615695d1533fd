"""Versions of a model: folders with numbers for names, in a folder that a server may be watching.

TensorFlow Serving loads whatever such folder appears, so one appears when all of it is there.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from r21d_keras.zoo.durable import put_folder

from ..config import ConfigError
from ..remote.copies import sent, told_of
from ..remote.urls import AbsentError, is_remote, join, shown
from .about import read_about
from .names import LAST_FILES, METADATA, SAVED_MODEL

_LARGEST = 2**63 - 1  # TensorFlow Serving keeps a version in 64 bits
_PREFIX = ".unfinished."  # then machine, process and a number drawn for the work
_FULL = os.strerror(errno.ENOSPC)
_at_work: set[str] = set()  # names of what this process has not finished


@dataclass
class Version:
    """One that is being made. folder: where to write it. name: where it lies afterwards."""

    folder: Path
    name: str = ""


@contextlib.contextmanager
def new_version(
    out: str | os.PathLike, number: int | None, last: str = SAVED_MODEL
) -> Iterator[Version]:
    """A folder to be filled, which becomes a version of the model in `out` if no error comes.

    Args:
        out: the folder of all versions, here or at a URL; made where it is missing.
        number: of the version, from 1; None: the next after all that are there.
        last: the file, one of LAST_FILES, that comes to a URL behind all others.

    Raises:
        FileExistsError: before anything is done, if the version is there, or a file of its name; an
            empty folder is none.
        ConfigError: another number; an `out` that is itself named like a version, or a file.
        OSError: a full disk.
        RemoteError: a server that does not list its folder, or take the files.
    """
    _check(out, number)
    if is_remote(out):
        url = join(os.fspath(out), str(number or _next(_remote_versions(os.fspath(out)))))
        if number is not None:
            _check_free(url)
        with sent(url, last=last, new=True) as folder:
            yield Version(folder, shown(url))
        return
    out = Path(out)
    was_there = out.exists()
    if number is not None and _is_taken(out / str(number)):
        raise _taken(str(out / str(number)))
    _remove_left(out)
    name = f"{_PREFIX}{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    unfinished = out.absolute() / name
    _at_work.add(name)
    version = Version(unfinished)
    try:
        with told_of(unfinished, str(out)):
            yield version
        version.name = str(_put(unfinished, out, number))
    except Exception as error:
        if _FULL in str(error):  # by TensorFlow's own errors too, at length
            raise OSError(f"{out}: {_FULL}. No version was written; make space.") from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        _at_work.discard(name)
        if not was_there:
            with contextlib.suppress(OSError):  # there, and not empty: a version is in it
                out.rmdir()


def _check(out: str | os.PathLike, number: int | None) -> None:
    if number is not None and not 1 <= number <= _LARGEST:
        raise ConfigError(f"version={number}: expected a number from 1.")
    last = re.split(r"[/\\]", os.fspath(out).rstrip("/\\"))[-1]
    if last.isdecimal():
        raise ConfigError(
            f"out={os.fspath(out)!r} is named like a version; expected the folder of all versions. "
            f"Give the folder above it, with --version={int(last)} if that number is wanted."
        )
    if not is_remote(out) and Path(out).exists() and not Path(out).is_dir():
        raise ConfigError(f"out={os.fspath(out)!r} is a file; expected a folder, or a new name.")


def number_of(version: Path) -> int | None:
    """The number that a version's folder is named by; None where it has another name."""
    name = Path(os.path.abspath(version)).name  # "." has one too
    return int(name) if name.isdecimal() else None


def versions_in(folder: Path, files: tuple[str, ...] = LAST_FILES) -> list[Path]:
    """The versions in a folder that hold one of the files, the newest last."""
    found = {path.parent for file in files for path in folder.glob(f"*/{file}")}
    return sorted((path for path in found if path.name.isdecimal()), key=number_of)


def version_in(folder: str | os.PathLike) -> Path:
    """The version to check with: `folder` itself, or the newest in it.

    Raises:
        ValueError: there is no export of `r21d export`, or it is at a URL.
    """
    if is_remote(folder):
        raise ValueError(
            f"{shown(os.fspath(folder))}: an export is read on this machine. Copy the version "
            "here, and name that folder."
        )
    folder = Path(folder)
    found = [folder] if (folder / SAVED_MODEL).is_file() else versions_in(folder, (SAVED_MODEL,))
    if not found:
        raise ValueError(f"{folder} holds no version; expected the --out of `r21d export`.")
    version = found[-1]
    if not (version / METADATA).is_file():
        raise ValueError(f"{version} has no {METADATA}; expected what `r21d export` wrote.")
    if absent := {"limits", "warmed_up_batch_sizes"} - set(read_about(version)):
        raise ValueError(
            f"{version}: {METADATA} lacks {', '.join(sorted(absent))}. Export the network again."
        )
    return version


def check_for_server(out: str | os.PathLike) -> None:
    """Checks a folder that TensorFlow Serving may watch.

    Raises:
        ConfigError: it holds a version for another runtime, which the server could take for its
            newest, and fail.
    """
    others = set(LAST_FILES) - {SAVED_MODEL}
    if is_remote(out):
        from ..remote.files import names

        files = names(os.fspath(out), f"1/{SAVED_MODEL}")
    else:
        files = [path.relative_to(out).as_posix() for path in Path(out).glob("*/*")]
    parts = [name.split("/") for name in files]
    wrong = ["/".join(part) for part in parts if part[0].isdecimal() and part[-1] in others]
    if wrong:
        raise ConfigError(
            f"out={os.fspath(out)!r} holds {wrong[0]}, a version for another runtime: TensorFlow "
            "Serving would take it for one of its own, and fail. Give another folder."
        )


def _put(unfinished: Path, out: Path, number: int | None) -> Path:
    """Gives what is finished its number: another, where one that was free is taken meanwhile."""
    while True:
        place = out / str(number or _next(_versions(out)))
        try:
            put_folder(unfinished, place)
            return place
        except OSError:
            if not place.exists():
                raise
            if number is not None:
                raise _taken(str(place)) from None


def _versions(out: Path) -> list[int]:
    return [int(path.name) for path in out.glob("*") if path.name.isdecimal()]


def _remote_versions(url: str) -> list[int]:
    from ..remote.files import names

    firsts = {name.split("/")[0] for name in names(url, f"1/{SAVED_MODEL}")}
    return [int(name) for name in firsts if name.isdecimal()]


def _next(versions: list[int]) -> int:
    return max(versions, default=0) + 1


def _check_free(url: str) -> None:
    from ..remote.files import size

    for name in LAST_FILES:
        with contextlib.suppress(AbsentError):
            size(join(url, name))
            raise _taken(shown(url))


def _is_taken(place: Path) -> bool:
    """Whether anything is there but an empty folder."""
    if place.is_dir():
        return any(place.iterdir())
    return os.path.lexists(place)


def _taken(place: str) -> FileExistsError:
    return FileExistsError(
        f"{place} exists already and is not overwritten. Choose another version number, or none "
        "for the next that is free."
    )


def _remove_left(out: Path) -> None:
    """Removes what processes of this machine that were killed have left unfinished."""
    for path in out.glob(f"{_PREFIX}{socket.gethostname()}.*.*"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and path.name not in _at_work and not _lives(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _lives(process: int) -> bool:
    if process == os.getpid():
        return False  # of an earlier one with the same number
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
