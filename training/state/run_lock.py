"""One writer a run: a lock that ends with the process that holds it."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from ..config import ConfigError

try:
    import fcntl

    def _lock(file) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

except ImportError:  # Windows
    import msvcrt

    def _lock(file) -> None:
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)


LOCK = ".lock"  # stays in the folder: who removed it could remove that of another process


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
        try:
            _lock(file)
        except OSError:
            raise ConfigError(
                f"Another process is training in {root}. Wait until it has ended, or give another "
                "--model_dir."
            ) from None
        for leftover in root.glob(".partial.*.weights.h5"):  # of a process that was killed
            leftover.unlink()
        try:
            yield
        finally:
            if made and os.listdir(root) == [LOCK]:  # nothing came of it
                os.unlink(root / LOCK)
                os.rmdir(root)
