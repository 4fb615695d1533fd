"""Files under their names only when all of them is on the disk, whenever the machine stops."""

import contextlib
import os
import pathlib


def partial_name(path: pathlib.Path) -> pathlib.Path:
    """Where this process writes what becomes `path` when it is whole; others write elsewhere."""
    return path.with_name(f".partial.{os.getpid()}.{path.name}")


def put_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8 to `path`; the old file stays until all of the new one is safe."""
    partial = partial_name(path)
    partial.write_text(text, "utf-8")
    put(partial, path)


def put(unfinished: str | os.PathLike, path: str | os.PathLike) -> None:
    """Gives the file `unfinished` the name `path`, in the same folder, once its bytes are safe.

    Of two files that are put one after the other the first is safe before the second has its name.
    """
    _write_through(unfinished)
    os.replace(unfinished, path)
    _write_names_through(pathlib.Path(path).parent)


def put_folder(unfinished: str | os.PathLike, path: str | os.PathLike) -> None:
    """As `put`, of a folder with all that is in it; `path` may be an empty folder.

    Raises:
        OSError: if there is something at `path`, which stays.
    """
    for root, _, files in os.walk(unfinished):
        for name in files:
            _write_through(os.path.join(root, name))
        _write_names_through(root)
    os.rename(unfinished, path)
    _write_names_through(pathlib.Path(path).parent)


def _write_through(path) -> None:
    with open(path, "r+b") as file:  # some systems write through only where one may write
        os.fsync(file.fileno())


def _write_names_through(path) -> None:
    with contextlib.suppress(OSError):  # some systems cannot open a folder, or write one through
        folder = os.open(path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
