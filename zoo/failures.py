"""What to do where the system cannot write or read a file, in place of its own few words."""

import contextlib
import errno
import os
from collections.abc import Iterator

from .errors import DownloadError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextlib.contextmanager
def writing(path, hint: str) -> Iterator[None]:
    """Turns any OSError of writing `path` into a DownloadError that says what to do.

    `hint` ends the message.
    """
    try:
        yield
    except DownloadError:
        raise
    except OSError as error:
        full = error.errno in _FULL
        remedy = "Make room there" if full else "Make that a folder that can be written to"
        raise DownloadError(
            f"{path} cannot be made ({_reason(error)}). {remedy}, or name another folder in "
            f"R21D_HOME. {hint}"
        ) from error


@contextlib.contextmanager
def reading(path, hint: str) -> Iterator[None]:
    """Turns any OSError of reading `path` into a DownloadError; `hint` ends the message."""
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{path} cannot be read ({_reason(error)}). Look who may read it, and whether its disk "
            f"is sound. {hint}"
        ) from error


def _reason(error: OSError) -> str:
    text = str(error.strerror or error)
    return os.strerror(error.errno) if error.errno and "\n" in text else text  # HDF5's: long lists
