"""One writer a run: a lock that ends with the process that holds it."""

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator

from ..config import ConfigError

try:
    import fcntl

    def _lock(file, shared: bool = False) -> None:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)

except ImportError:  # Windows
    import msvcrt

    def _lock(file, shared: bool = False) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBRLCK if shared else msvcrt.LK_NBLCK, 1)


LOCK = ".lock"  # stays in the folder: who removed it could remove that of another process
LOOK_S = 0.5  # seconds: is_held has a lock for far less, and is no other training process


@contextlib.contextmanager
def sole_writer(root: pathlib.Path) -> Iterator[None]:
    """Makes the folder `root` of a run and is the only one to train in it while this lasts.

    The system gives the lock back when the process ends, however it ends.

    Where the folder is new and nothing has been written to it, it goes again.

    Raises:
        ConfigError: if the folder cannot be made or written to, or a process trains in it already.
    """
    made = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = open(root / LOCK, "a", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(
            f"model_dir={str(root)!r} cannot be made or written to ({error.strerror}); give "
            "another --model_dir."
        ) from None
    with file:
        if not _lock_soon(file):
            raise ConfigError(
                f"Another process is training in {root}. Wait until it has ended, or give another "
                "--model_dir."
            )
        for name in ("*.weights.h5", "history.csv", "progress.json"):
            for leftover in root.glob(f".partial.*.{name}"):  # of a process that was killed
                leftover.unlink()
        try:
            yield
        finally:
            if made and os.listdir(root) == [LOCK]:  # nothing came of it
                os.unlink(root / LOCK)
                os.rmdir(root)


def is_held(root: pathlib.Path) -> bool | None:
    """Whether a process trains in `root`; None where the file system does not tell.

    Nothing is written, and who looks needs no right to.
    """
    try:
        with open(root / LOCK, encoding="utf-8") as file:
            _lock(file, shared=True)  # any number may look at once; closing gives it back
    except FileNotFoundError:
        return False
    except (BlockingIOError, PermissionError):  # the latter from msvcrt, or without a right to read
        return True if os.access(root / LOCK, os.R_OK) else None
    except OSError:
        return None
    return False


def _lock_soon(file) -> bool:
    """Whether the lock is had within LOOK_S."""
    end_s = time.monotonic() + LOOK_S
    while True:
        try:
            _lock(file)
            return True
        except OSError:
            if time.monotonic() > end_s:
                return False
        time.sleep(LOOK_S / 10)
