"""The `r21d` command: parses, runs a row of commands/, turns errors into one line and a code."""

import difflib
import logging
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import absl.logging
from absl import flags

from r21d_keras import __version__

from .commands import COMMANDS
from .commands.command import DONE, FAILED, INTERRUPTED, LOST, PREEMPTED, USAGE, UsageError
from .distribution.lost import WorkerLostError
from .remote.leaving import exits_with
from .state.interruption import Preempted


def main(argv: list[str] | None = None) -> int:
    """Runs `r21d` with `argv`, without the program's name (None: those of this process).

    Returns:
        0 if what was asked is done, 1 on an error, 2 if the command line is wrong, 69 if another
        worker was lost, 75 if SIGTERM came and the run is kept, 130 on Ctrl-C. Errors are one line
        on stderr; --verbosity=1 adds the traceback.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices
    _prepare_streams()
    try:
        code = _answer(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return exits_with(code) if argv is None else code
    except BrokenPipeError:  # as in `r21d train --help | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _prepare_streams() -> None:
    """Makes stdout and stderr take whatever is written to them.

    File names need not be UTF-8, nor need the terminal be: what it cannot show is escaped. A
    stream that the caller has closed, as in `r21d train 2>&-`, leads nowhere; left closed, the
    next file that is opened would take its place and get the messages.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, "w", encoding="utf-8", errors="backslashreplace"))
        elif hasattr(stream, "reconfigure"):  # not where a program has put something else
            stream.reconfigure(errors="backslashreplace")


def _answer(arguments: list[str]) -> int:
    """Does what the first argument says."""
    if not arguments:
        print(_overview(), file=sys.stderr)
        return USAGE
    name, *rest = arguments
    if name in ("--help", "-h", "help"):
        print(_overview())
        return DONE
    if name == "--version":
        print(f"r21d_keras {__version__}")
        return DONE
    if rest and f"{name} {rest[0]}" in COMMANDS:  # a command of two words, as `zoo list`
        name, *rest = f"{name} {rest[0]}", *rest[1:]
    if name in COMMANDS:
        return _run(name, rest)
    group = [known for known in COMMANDS if known.startswith(f"{name} ")]
    if not group:
        return _unknown("r21d", name, COMMANDS)
    if rest and not rest[0].startswith("-"):
        return _unknown(f"r21d {name}", rest[0], [known.split()[1] for known in group])
    print(_overview(group), file=sys.stdout if rest else sys.stderr)
    return DONE if {"--help", "-h"} & set(rest) else USAGE


def _unknown(who: str, name: str, known) -> int:
    return _fail(
        who, f"unknown command {name!r}.{_nearest(name, known)} Known: {', '.join(known)}."
    )


def _run(name: str, arguments: list[str]) -> int:
    """Parses the arguments of one command and runs it."""
    command, values = COMMANDS[name], flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow the videos
    flags.DEFINE_integer(
        "verbosity", 0, "1: show the traceback of an error", flag_values=values, lower_bound=0
    )
    verbose = "--verbosity=1" in arguments
    try:
        command.define(values)
        if {"--help", "-h"} & set(arguments):
            print(_help(name, values))
            return DONE
        positional = _parse(values, name, arguments)
        verbose = values["verbosity"].value > 0
        with _shown_log():
            return command.run(values, positional)
    except UsageError as error:
        return _fail(f"r21d {name}", _fold(error))
    except KeyboardInterrupt as error:
        kept = f" {_fold(error)}" if str(error) else ""
        print(f"r21d {name}: interrupted.{kept}", file=sys.stderr)
        return INTERRUPTED
    except Preempted as error:
        print(f"r21d {name}: {_fold(error)}", file=sys.stderr)
        return PREEMPTED
    except WorkerLostError as error:
        print(f"r21d {name}: {_fold(error)}", file=sys.stderr)
        return LOST
    except BrokenPipeError:
        raise
    except Exception as error:  # the outermost frame: whatever it is, say it and return a code
        if verbose:
            traceback.print_exc()
        print(f"r21d {name}: error: {_one_line(error)}", file=sys.stderr)
        return FAILED


def _parse(values: flags.FlagValues, name: str, arguments: list[str]) -> list[str]:
    """Parses flags into `values`; returns the arguments that are no flags.

    Raises:
        UsageError: an unknown flag (it names the nearest known one), or a value of a wrong type.
    """
    try:
        arguments = values.read_flags_from_files(arguments, force_gnu=False)
        if any(re.match(r"--?undefok(=|$)", argument) for argument in arguments):
            raise UsageError(
                "--undefok is refused: it would hide misspelt flags. Take it out, and the flags "
                f"that r21d {name} does not have."
            )
        return values([name, *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        raise UsageError(
            f"unknown flag --{error.flagname}.{_nearest(error.flagname, values)} "
            f"`r21d {name} --help` lists all."
        ) from None
    except (flags.Error, ValueError) as error:  # ValueError: --norandom_flip=1
        raise UsageError(f"{_fold(error).rstrip('.')}. `r21d {name} --help` explains it.") from None


class _Lines(logging.Handler):
    """Writes what this package logs, and warnings of others, as plain lines to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        ours = record.pathname.startswith(os.path.dirname(__file__))  # TensorFlow logs here too
        if ours or record.levelno >= logging.WARNING:
            level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
            print(f"{level}{record.getMessage()}", file=sys.stderr, flush=True)


@contextmanager
def _shown_log() -> Iterator[None]:
    """Shows the log while a command runs, by `_Lines` alone; after it all is as it was."""
    logger, verbosity = absl.logging.get_absl_logger(), absl.logging.get_verbosity()
    handler, propagate = _Lines(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False  # importing TensorFlow gives the root logger a handler
    absl.logging.set_verbosity(absl.logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate
        absl.logging.set_verbosity(verbosity)


def _nearest(name: str, known) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    if not near:
        return ""
    return f" Did you mean {'--' if isinstance(known, flags.FlagValues) else ''}{near[0]}?"


def _fail(who: str, message: str) -> int:
    print(f"{who}: {message}", file=sys.stderr)
    return USAGE


def _one_line(error: Exception) -> str:
    """The message; an error that is not meant for users keeps its type."""
    expected = isinstance(error, ValueError | OSError) and str(error)
    return _fold(error) if expected else f"{type(error).__name__}: {_fold(error)}"


def _fold(error: BaseException) -> str:
    """The message of an error in one line."""
    return " ".join(str(error).split())


def _overview(names=tuple(COMMANDS)) -> str:
    width = max(map(len, names))
    lines = [f"  {name:<{width}} {COMMANDS[name].summary}" for name in names]
    return "\n".join(
        [
            "usage: r21d COMMAND [--flag=value ...]",
            "",
            *lines,
            "",
            "r21d COMMAND --help lists a command's flags; r21d --version prints the version.",
        ]
    )


def _help(name: str, values: flags.FlagValues) -> str:
    width = min(100, shutil.get_terminal_size().columns)
    lines = [f"usage: r21d {name} {COMMANDS[name].usage}", "", COMMANDS[name].summary, ""]
    for flag in (values[flag_name] for flag_name in values):
        no = "[no]" if flag.boolean else ""
        default = "" if flag.default is None else f" (default {flag.default_as_str})"
        lines.append(f"  --{no}{flag.name}")
        text = f"{flag.help}{default}"
        lines += textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
