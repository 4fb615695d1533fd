"""What a command of `r21d` is, and what all of them need."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from absl import flags

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130  # 130: 128 + SIGINT, as shells have it
PREEMPTED = 75  # kept because of SIGTERM, start it again: EX_TEMPFAIL of sysexits.h
LOST = 69  # another worker never came or has ended: EX_UNAVAILABLE of sysexits.h


class UsageError(Exception):
    """A command line that cannot be understood; the message says what was expected."""


@dataclass(frozen=True)
class Command:
    """One row of the command table.

    summary: one line of help. usage: what follows the command's name. define: defines its flags.
    run: does it, given the parsed flags and the arguments that are no flags; returns an exit code.
    """

    summary: str
    usage: str
    define: Callable[[flags.FlagValues], None]
    run: Callable[[flags.FlagValues, list[str]], int]


def required(values: flags.FlagValues, name: str, meaning: str) -> str:
    """The value of a flag.

    Raises:
        UsageError: if it was not given; `meaning` says what it is.
    """
    if not values[name].value:
        raise UsageError(f"--{name} is missing: {meaning}.")
    return values[name].value


def no_more(positional: list[str]) -> None:
    """Raise UsageError if arguments are left that are no flags."""
    if positional:
        raise UsageError(f"unexpected argument {positional[0]!r}; options look like --name=value.")


@contextmanager
def starting_quietly() -> Iterator[None]:
    """Keeps what TensorFlow writes while it is imported off the terminal, unless that fails.

    An error that a command says in a line, or Ctrl-C, is no failure of that kind.

    TF_CPP_MIN_LOG_LEVEL does most of it, but TensorFlow 2.21 writes oneDNN's notice before its log
    is set up. TF_CPP_MIN_LOG_LEVEL=0 in the environment shows all.
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except (ValueError, OSError, KeyboardInterrupt):
            raise
        except BaseException:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
