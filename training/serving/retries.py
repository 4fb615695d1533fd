"""Asking again while a server cannot answer just now, and what is said when it never does."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from .transport import ServerError

# Asking again may help, and does no harm: a prediction changes nothing.
_PASSING = {"UNAVAILABLE", "RESOURCE_EXHAUSTED", "ABORTED"}
_TOO_LARGE = ("larger than max", "Too Large", "too large")  # gRPC, and proxies of HTTP
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0

Value = TypeVar("Value")


def retried(ask: Callable[[float], Value], timeout_s: float) -> Value:
    """What `ask` returns, given the seconds that are left of `timeout_s`.

    Asked again after pauses that double from 0.1 to 5 s, while the server is away or has too much
    to do.

    Raises:
        ServerError: the last one, when time is over; at once, one that will not pass.
    """
    until_s, pause_s, told = time.monotonic() + timeout_s, _FIRST_PAUSE_S, None
    while True:
        left_s = until_s - time.monotonic()
        try:
            return ask(max(left_s, 1e-3))
        except ServerError as error:
            if told and error.code == "DEADLINE_EXCEEDED":
                raise told from None  # why the time is over; that the last try was short is not
            told = error
            # Clients that were refused together do not come back together.
            wait_s = pause_s * random.uniform(0.5, 1.0)
            passing = error.code in _PASSING and not _is_too_large(error)
            if not passing or wait_s >= until_s - time.monotonic():
                raise
            time.sleep(wait_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def explanation(error: ServerError, timeout_s: float) -> str:
    """What a server's error means, and what to do: one line."""
    if "ignature" in error.detail and "not found" in error.detail:
        said = (
            f"the model has not the signature that is asked for: {error.detail} Expected a version "
            "that `r21d export` wrote; export it again."
        )
    elif error.code in ("INVALID_ARGUMENT", "FAILED_PRECONDITION"):
        said = f"the request is refused: {error.fault}"
    elif error.code == "DEADLINE_EXCEEDED" and error.detail.startswith("HTTP status"):
        said = (
            f"the server, or a proxy before it, has given up ({error.detail}). Look whether the "
            "server is well, or send fewer clips at a time."
        )
    elif error.code == "DEADLINE_EXCEEDED":
        said = (
            f"no answer within {timeout_s:.3g} s. Look whether the server is well, send fewer "
            "clips at a time, or give it more time."
        )
    elif _is_too_large(error):
        said = (
            f"the request is too large for the server or a proxy before it: {error.detail}. Send "
            "fewer clips at a time."
        )
    elif error.code == "RESOURCE_EXHAUSTED" and "alloc" in error.detail:
        said = f"the server has not the memory for it: {error.detail}. Send fewer clips at a time."
    elif error.code in _PASSING:
        said = (
            f"{error.code} for {timeout_s:.3g} s: {error.detail}. Look whether the server runs and "
            "can be reached."
        )
    else:
        said = f"{error.code}: {error.detail}"
    return " ".join(said.split())


def _is_too_large(error: ServerError) -> bool:
    return any(words in error.detail for words in _TOO_LARGE)
