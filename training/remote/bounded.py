"""What a server is asked ends in bounded time: with an answer, or with an error that says why."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from absl import logging

from ..options import ConfigError
from .leaving import abandon
from .urls import AbsentError, RemoteError, shown

TIMEOUT = "R21D_REMOTE_TIMEOUT_S"
"""The environment variable that says how long a server may take to answer, in seconds."""
DEFAULT_TIMEOUT_S = 60.0
# A file may take a second for each of so many bytes beside that: a tenth of a slow uplink's speed
# is no transfer any more, and a checkpoint of 500 MB is given 1060 s.
BYTES_A_SECOND = 500_000
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.25, 8.0

Value = TypeVar("Value")


@dataclass(frozen=True)
class Problem:
    """What is wrong with a server's answer.

    status: its number or kind, and words. advice: what to do. passing: asking again may help.
    absent: there is no such file.
    """

    status: str
    advice: str
    passing: bool = False
    absent: bool = False


def timeout_s() -> float:
    """Seconds that a server has to answer, R21D_REMOTE_TIMEOUT_S.

    Raises:
        ConfigError: it is no number above 0.
    """
    text = os.environ.get(TIMEOUT) or str(DEFAULT_TIMEOUT_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < 1e9:
        raise ConfigError(f"{TIMEOUT}={text!r}: expected seconds, a number above 0.")
    return seconds


def bounded(
    call: Callable[[], Value],
    url: str,
    problem_of: Callable[[Exception], Problem | None],
    num_bytes: int = 0,
) -> Value:
    """What `call()` gives; called again while the server is busy and there is time.

    It runs in a thread of its own, which is left alone when time is over: none of TensorFlow's file
    systems can be interrupted, and some wait for an hour by themselves.

    Args:
        call: asks the server once.
        url: of what, for messages.
        problem_of: what an exception of `call` says of the server; None: nothing, it is raised.
        num_bytes: to be sent or received, which have their time beside the server's.

    Raises:
        RemoteError: no answer in time, or one that is an error; AbsentError, if there is no file.
    """
    limit_s = timeout_s() + num_bytes / BYTES_A_SECOND
    begun_s, pause_s, problem = time.monotonic(), _FIRST_PAUSE_S, None

    def left_s() -> float:
        return begun_s + limit_s - time.monotonic()

    while left_s() > 0:
        outcome = _in_thread(call, left_s())
        if not outcome:
            break
        value, error = outcome
        if error is None:
            return value
        found = problem_of(error)
        if found is None:
            raise error
        if not found.passing:
            raise (AbsentError if found.absent else RemoteError)(
                url, f"{found.status}. {found.advice}"
            ) from None
        if problem is None:
            logging.warning("%s: %s. Asked again, for %.3g s.", shown(url), found.status, limit_s)
        problem = found
        time.sleep(min(pause_s, max(0.0, left_s())))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    if problem:
        told = f"{problem.status}, for {limit_s:.3g} s. {problem.advice}"
        raise RemoteError(url, told) from None
    raise RemoteError(
        url,
        f"no answer within {limit_s:.3g} s. Look whether the server can be reached and is well, or "
        f"give it more time: {TIMEOUT}={2 * timeout_s():g} in the environment.",
    )


def _in_thread(call: Callable[[], Value], seconds: float) -> tuple[Value, Exception | None] | None:
    """What `call` returned or raised; None if it has done neither in time."""
    outcome = []

    def work() -> None:
        try:
            outcome.append((call(), None))
        except Exception as error:  # noqa: BLE001 - handed to who waits
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True, name="r21d remote")
    thread.start()
    thread.join(seconds)
    if outcome:
        return outcome[0]
    abandon(thread)
    return None
