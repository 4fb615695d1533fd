"""How a process ends that has spoken to servers: with its own exit code, and soon."""

import atexit
import contextlib
import ctypes
import os
import sys
import threading

_GRACE_S = 2.0
_abandoned: list[threading.Thread] = []
_code: list[int] = []


def exits_with(code: int) -> int:
    """`code`; to be called with that of the process when it is about to end."""
    _code[:] = [code]
    return code


def abandon(thread: threading.Thread) -> None:
    """Sees to it that a thread which waits for a server cannot spoil the end of the process.

    Python ends a thread that comes back from TensorFlow while the interpreter is taken apart by
    unwinding its stack, which C++ answers with SIGABRT. So the process ends before, if the thread
    is not back by then.
    """
    _abandoned.append(thread)


def without_destructors() -> None:
    """Makes the process end, with the exit code it has, before C++ takes its objects apart.

    tensorflow-io aborts there once S3 has been used ("pure virtual method called", SIGABRT, in 0.36
    and 0.37), so that a run that went well would end as one that crashed. Python's own end comes
    before: files are closed, atexit is done, the streams are flushed.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no glibc, no tensorflow-io
        libc = ctypes.CDLL(None)
        libc.on_exit(libc._exit, None)


@atexit.register  # at once: what is registered later is done before
def _end() -> None:
    for thread in _abandoned:
        thread.join(_GRACE_S / len(_abandoned))
    if not any(thread.is_alive() for thread in _abandoned):
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # closed, or no reader
            stream.flush()
    # Of a program that has not said, Python keeps the exception that nobody caught, but no code.
    os._exit(_code[0] if _code else int(hasattr(sys, "last_value")))
