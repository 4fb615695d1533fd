"""One file from its origin: retried, continued, checked, and there whole or not at all."""

import errno
import logging
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .errors import CheckpointError, DownloadError
from .failures import reading, writing
from .hashes import check_hash, split_hash
from .partial import Partial, header_time_s, total_size

_CHUNK_BYTES = 2**18  # of a broken transfer at most so many bytes that came are not kept
_PROGRESS_BYTES = 2**20  # a transfer that got on by so much may fail as often as a new one
_LONGEST_WAIT_S = 300.0  # a server that wants to be left alone for longer is a failure
_MISSING = frozenset({401, 403, 404, 410})  # buckets answer 403 where there is no such file
_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a download goes on.

    tries: in all, without progress. backoff_s: wait before the second, doubled before each later
    one; a server's Retry-After is waited for, too. connect_s: to reach the server. read_s: for the
    next bytes.
    """

    tries: int = 5
    backoff_s: float = 1.0
    connect_s: float = 10.0
    read_s: float = 30.0


PATIENCE = Patience()
"""For people and machines: 15 s of waiting in all."""


class MissingError(DownloadError):
    """There is no such file, or none for us: `reason`, as a server's `status` says if one does."""

    def __init__(self, message: str, *, reason: str, status: int | None = None):
        super().__init__(message)
        self.reason, self.status = reason, status


def any_file(file: pathlib.Path, sha256: str) -> None:
    """The check that refuses nothing."""


Check = Callable[[pathlib.Path, str], None]
"""Takes an unfinished file and its SHA-256; raises CheckpointError if that is not to be kept."""


def download(
    url: str, path, *, file_hash=None, hint="", check: Check = any_file, patience=PATIENCE
) -> str:
    """SHA-256 of the file `path`, after it was fetched from `url` (http or https).

    What breaks off is kept as `<path>.part` and continued, by this call or a later one, if the
    server still has the same file. One process at a time may fetch a `path`. A progress bar is
    shown where stderr is a terminal.

    Args:
        file_hash: "sha256:<digits>" or "sha1:<digits>", a digest or its first 8 digits or more.
        hint: what else can be done, to end messages.
        check: called before the file has its name.

    Raises:
        MissingError: the server says that there is no such file.
        DownloadError: it cannot be got or written; the message says what to do.
        CheckpointError: its hash differs from `file_hash`, or `check` refuses it; nothing is kept.
    """
    path = pathlib.Path(path)
    split_hash(file_hash)
    partial = Partial(path, url)
    origin = f"It comes from {url}. {hint}"
    with writing(path, origin):
        path.parent.mkdir(parents=True, exist_ok=True)
        left_over = bool(partial.range_headers())
        _fetch(partial, url, patience, hint)
        try:
            sha256 = _check(partial, file_hash, origin, check)
        except CheckpointError as error:
            if not left_over:
                raise
            _log.warning("%s It was continued from %s: starting again.", error, partial.path)
            _fetch(partial, url, patience, hint)
            sha256 = _check(partial, file_hash, origin, check)
        partial.finish(path)
    return sha256


def copy_file(source, path, *, file_hash=None, hint="", check: Check = any_file) -> str:
    """SHA-256 of the file `path`, after it was copied from the file `source`; else as `download`.

    Raises:
        DownloadError: it cannot be read or written.
        CheckpointError: its hash differs from `file_hash`, or `check` refuses it; nothing is kept.
    """
    path = pathlib.Path(path)
    partial = Partial(path, str(source))
    with writing(path, hint):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.discard()
        try:
            with open(partial.path, "wb") as file:
                for chunk in _chunks(source, hint):
                    file.write(chunk)
            sha256 = _check(partial, file_hash, f"It was copied from {source}. {hint}", check)
        except BaseException:
            partial.discard()
            raise
        partial.finish(path)
    return sha256


class _Again(Exception):
    """A try that failed where another may not."""

    def __init__(self, reason: str, wait_s: float = 0.0):
        super().__init__(reason)
        self.wait_s = wait_s


def _fetch(partial: Partial, url: str, patience: Patience, hint: str) -> None:
    """Fills `partial`, in several tries if need be."""
    failures, furthest = 0, partial.size()
    while True:
        try:
            return _try(partial, url, patience, hint)
        except _Again as error:
            if partial.size() >= furthest + _PROGRESS_BYTES:
                failures, furthest = 0, partial.size()
            failures += 1
            wait_s = max(error.wait_s, patience.backoff_s * 2 ** (failures - 1))
            if failures >= patience.tries or wait_s > _LONGEST_WAIT_S:
                raise DownloadError(
                    f"{url} could not be got in {failures} tries: {error}. Try again later. {hint}"
                ) from error
            _log.warning("%s: %s; trying again in %.1f s", url, error, wait_s)
            time.sleep(wait_s)


def _try(partial: Partial, url: str, patience: Patience, hint: str) -> None:
    import requests

    # "identity": ranges count the bytes of what is sent, which must be those of the file.
    headers = {"Accept-Encoding": "identity", **partial.range_headers()}
    timeout = (patience.connect_s, patience.read_s)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == 416 and "Range" in headers and partial.is_all(response):
                return
            _check_answer(response, partial, url, hint)
            _receive(response, partial)
    except requests.exceptions.SSLError as error:
        raise DownloadError(f"{url}: no safe connection ({error}). {hint}") from error
    except (
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as error:
        raise _Again(f"{type(error).__name__}, {error}") from error
    except requests.RequestException as error:
        raise DownloadError(f"{url} cannot be got: {error}. {hint}") from error


def _check_answer(response, partial: Partial, url: str, hint: str) -> None:
    """Raises what the status line and the headers ask for."""
    status = f"the server answered {response.status_code} {response.reason}"
    if response.status_code in _MISSING:
        raise MissingError(
            f"{url}: {status}; the file is not there or not for all. {hint}",
            reason=f"{url}: {status}",
            status=response.status_code,
        )
    if response.status_code in _AGAIN:
        wait_s = _retry_after_s(response)
        raise _Again(f"{status}{f' and asks to wait {wait_s:.0f} s' if wait_s else ''}", wait_s)
    if response.status_code == 416:
        partial.discard()
        raise _Again(f"{status}: the file there is not the one that was begun")
    if response.status_code not in (200, 206):
        raise DownloadError(f"{url}: {status}; 200 or 206 was expected. {hint}")
    kind = response.headers.get("Content-Type", "")
    if kind.startswith("text/html"):
        raise DownloadError(
            f"{url}: the server sent a web page ({kind}) instead of the file; links die so, and "
            f"log-in pages of networks do it. {hint}"
        )


def _receive(response, partial: Partial) -> None:
    from tqdm import tqdm

    if not partial.begin(response):
        raise _Again("the server went on with another file than the one that was begun")
    start, total = partial.size(), total_size(response)
    _check_room(partial.path, 0 if total is None else total - start)
    name = partial.path.name.removesuffix(".part")
    with (
        open(partial.path, "ab") as file,
        tqdm(  # disable=None: unless stderr is a terminal
            total=total, initial=start, desc=name, unit="B", unit_scale=True, disable=None
        ) as bar,
    ):
        for chunk in response.iter_content(_CHUNK_BYTES):
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())
    if total is not None and partial.size() != total:
        size = partial.size()
        if size > total:
            partial.discard()
        raise _Again(f"{size} bytes came of {total}")


def _check_room(path: pathlib.Path, num_bytes: int) -> None:
    """Raises the error of a full disk before hours are spent, not after."""
    free = shutil.disk_usage(path.parent).free
    if num_bytes > free:
        raise OSError(errno.ENOSPC, f"{num_bytes:,} bytes to come, {free:,} free")


def _check(partial: Partial, file_hash: str | None, hint: str, check: Check) -> str:
    try:
        sha256 = check_hash(partial.path, file_hash, f"Nothing was kept of it. {hint}")
        check(partial.path, sha256)
    except CheckpointError:
        partial.discard()
        raise
    return sha256


def _chunks(path, hint: str) -> Iterator[bytes]:
    with reading(path, hint), open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _retry_after_s(response) -> float:
    """Seconds that the server asks to wait, in either form of Retry-After; 0 if it does not."""
    text = response.headers.get("Retry-After", "")
    if text.isdecimal():
        return float(text)
    return max(0.0, (header_time_s(response.headers, "Retry-After") or 0.0) - time.time())
