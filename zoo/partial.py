"""An unfinished download, `<file>.part`, and what tells whether it may be continued."""

import contextlib
import email.utils
import json
import pathlib
import re

from .durable import put

# A date is a strong validator if the answer came so much later that a second change within the
# same second of the clock is out of the question: RFC 7232 section 2.2.2 says 60 seconds.
_SETTLED_S = 60
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_UNSATISFIED = re.compile(r"bytes \*/(\d+)")


class Partial:
    """`<path>.part`, of what `url` serves; `<path>.part.json` names that and its version there."""

    def __init__(self, path: pathlib.Path, url: str):
        self.path = path.with_name(path.name + ".part")
        self._note = path.with_name(path.name + ".part.json")
        self._url = url

    def size(self) -> int:
        """Bytes that are there."""
        with contextlib.suppress(FileNotFoundError):
            return self.path.stat().st_size
        return 0

    def range_headers(self) -> dict[str, str]:
        """Headers that ask for the rest, if it is the rest of the same file; empty: ask for all."""
        validator = self._validator()
        if not validator or not self.size():
            return {}
        return {"Range": f"bytes={self.size()}-", "If-Range": validator}

    def begin(self, response) -> bool:
        """Prepares for the body of `response`, 200 or 206, to be appended to the file.

        Returns:
            False if the body is not the rest of what is there, which is then discarded.
        """
        if response.status_code == 206:
            if self._continues(response):
                return True
            self.discard()
            return False
        self.discard()
        self.path.touch()
        validator = _strong_validator(response.headers)
        if validator and not is_encoded(response):
            self._note.write_text(json.dumps({"url": self._url, "validator": validator}), "utf-8")
        return True

    def is_all(self, response) -> bool:
        """Whether `response`, a 416, says that nothing lies beyond what is there."""
        match = _UNSATISFIED.fullmatch(response.headers.get("Content-Range", ""))
        return bool(match) and int(match[1]) == self.size()

    def discard(self) -> None:
        """Removes the file, and first what says that it may be continued."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def finish(self, path: pathlib.Path) -> None:
        """Makes it the file `path`, at once."""
        self._note.unlink(missing_ok=True)
        put(self.path, path)

    def _validator(self) -> str | None:
        try:
            note = json.loads(self._note.read_text("utf-8"))
            return note["validator"] if note["url"] == self._url else None
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or a damaged one
            return None

    def _continues(self, response) -> bool:
        """Servers exist that answer 206 without a look at If-Range: so the ETag is compared."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        validator = self._validator() or ""
        etag = response.headers.get("ETag", validator)
        same = etag == validator or not validator.startswith('"')
        return bool(match) and int(match[1]) == self.size() and same and not is_encoded(response)


def total_size(response) -> int | None:
    """Bytes of the whole file that `response`, 200 or 206, is of, if it says so."""
    if response.status_code == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        return int(match[2]) if match and match[2] != "*" else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() and not is_encoded(response) else None


def is_encoded(response) -> bool:
    """Whether the server compressed the body, unasked: lengths then are not those of the file."""
    return response.headers.get("Content-Encoding", "identity") != "identity"


def header_time_s(headers, name: str) -> int | None:
    """Seconds since 1970 of the date in the header `name`, if there is one."""
    with contextlib.suppress(ValueError, OverflowError):  # dates that are on no calendar
        parts = email.utils.parsedate_tz(headers.get(name, ""))
        return email.utils.mktime_tz(parts) if parts else None
    return None


def _strong_validator(headers) -> str | None:
    """What stands for exactly these bytes: an ETag that is not weak (W/"..."), or an old date."""
    etag = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    changed, now = header_time_s(headers, "Last-Modified"), header_time_s(headers, "Date")
    if not etag and changed and now and now - changed >= _SETTLED_S:
        return headers["Last-Modified"]
    return None
