"""Files on web servers, by HTTP itself, with TensorFlow or without.

Not by tensorflow-io's http://, which fetches a whole file to tell its size, opens a connection for
each piece, hides the status of what it reads, and takes the first bytes of a file for those that it
asked for where a server ignores Range.
"""

import functools
import re

import requests

from .bounded import Problem, timeout_s

_CHUNK_BYTES = 2**18
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_DENIED = frozenset({401, 403, 407})
_ABSENT = frozenset({404, 410})
_SYSTEMS_WORDS = re.compile(r"(?<=\] )[A-Z][a-z]+[\w ]+")  # "[Errno 111] Connection refused')"
_TOTAL = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
_CONNECTIONS = 64  # kept open: as many readers as a machine may have


class _AnswerError(Exception):
    """An answer that is none; the argument is a Problem."""


def problem_of(error: Exception, url: str) -> Problem | None:
    """What an exception of this module says of the server; None for others."""
    if isinstance(error, _AnswerError):
        return error.args[0]
    if isinstance(error, requests.Timeout | requests.ConnectionError):
        found = _SYSTEMS_WORDS.search(str(error))
        why = found[0] if found else "the connection was closed"
        if isinstance(error, requests.Timeout) or "timed out" in str(error):
            why = "timed out"
        return Problem(f"not reached, {why}", "Look whether the server is well.", True)
    if isinstance(error, requests.RequestException):  # such as a URL that is none
        return Problem(" ".join(str(error).split())[:200], "Check the URL.")
    return None


def size(url: str) -> int:
    """Bytes of a file, asked for with its first byte; so a server shows that it heeds Range."""
    with _get(url, {"Range": "bytes=0-0"}) as answer:
        total = _TOTAL.fullmatch(answer.headers.get("Content-Range", ""))
        if answer.status_code == 206:
            _ = answer.content  # read, so that the connection can be used again
        if total:
            return int(total[1])
        if answer.status_code != 416:
            raise _AnswerError(_no_ranges(answer))
    with _get(url, {}) as answer:  # it has no first byte; some then do not say how many there are
        return int(answer.headers.get("Content-Length", 0))


def read_range(url: str, start: int, length: int, total: int) -> bytes:
    """The bytes of a file of `total` bytes from `start` on, `length` or as many as there are."""
    length = min(length, total - start)
    if length <= 0:
        return b""
    with _get(url, {"Range": f"bytes={start}-{start + length - 1}"}) as answer:
        if answer.status_code == 206:
            return answer.content[:length]
        if answer.status_code == 200 and length == total:
            return answer.content
        raise _AnswerError(_no_ranges(answer))


def download(url: str, path: str, total: int | None = None) -> None:
    """Copies a file to this machine."""
    with _get(url, {}) as answer, open(path, "wb") as file:
        if answer.status_code != 200:
            raise _AnswerError(_no_ranges(answer))
        for chunk in answer.iter_content(_CHUNK_BYTES):
            file.write(chunk)
        wanted = answer.headers.get("Content-Length")
        if wanted is not None and file.tell() != int(wanted):
            raise requests.ConnectionError(f"{file.tell()} of {wanted} bytes came")


def _get(url: str, headers: dict) -> requests.Response:
    """The server's answer, whose body is not read yet; statuses that are errors are raised."""
    # Compressed bytes would be of another length, and places in them others.
    headers = {"Accept-Encoding": "identity", **headers}
    limit_s = timeout_s()
    answer = _session().get(url, headers=headers, stream=True, timeout=(limit_s, limit_s))
    if answer.status_code in (200, 206, 416):
        return answer
    with answer:
        raise _AnswerError(_problem_of_status(answer))


@functools.cache
def _session() -> requests.Session:
    session = requests.Session()
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=_CONNECTIONS)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def _problem_of_status(answer: requests.Response) -> Problem:
    code = answer.status_code
    status = f"{code} {answer.reason}".strip()
    if code in _ABSENT:
        return Problem(status, "Look at the name, and whether it was written.", absent=True)
    if code in _DENIED:
        advice = "Check the credentials (in ~/.netrc, or as user:password@ in the URL)."
        return Problem(status, advice)
    advice = (
        "Look whether the server is well, and start again." if code in _AGAIN else "Check the URL."
    )
    return Problem(status, advice, passing=code in _AGAIN)


def _no_ranges(answer: requests.Response) -> Problem:
    return Problem(
        f"{answer.status_code} where 206 was expected: the server does not give parts of a file",
        "Serve the folder by one that heeds Range, as nginx, Apache and Caddy do (Python's "
        "http.server does not), or copy it to this machine.",
    )
