"""URLs as places of files. Needs no TensorFlow, so that every command can ask what a path is."""

import os
import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
# A name and password, to the last "@" as FFmpeg has it; what cameras and buckets take in the rest.
_WITH_SECRET = re.compile(r"(?<=://)[^/\s]*@")
_SECRET = re.compile(
    r"(?i)([?&;_-]\w*?(?:passw(?:or)?d|passphrase|pwd|token|secret|sig|signature|api_?key|auth)=)"
    r"[^&/\s#]+"
)
WEB = ("http", "https")
"""Schemes that are read with HTTP itself, and never written to."""


class RemoteError(OSError):
    """A file at a URL that cannot be had. `url` names it, `reason` says why and what to do."""

    def __init__(self, url: str, reason: str):
        super().__init__(f"{shown(url)}: {reason}")
        self.url, self.reason = url, reason


class AbsentError(RemoteError):
    """There is no such file: the server says so itself."""


def is_remote(place: str | os.PathLike) -> bool:
    """Whether a place is a URL, not a path of this machine."""
    return bool(_SCHEME.match(os.fspath(place)))


def scheme_of(url: str) -> str:
    """The scheme of a URL, in small letters: "s3" of "s3://bucket/records"."""
    return _SCHEME.match(url)[1].lower()


def join(url: str, *names: str) -> str:
    """The URL of what lies below `url`."""
    return "/".join([url.rstrip("/"), *names])


def shown(url: str) -> str:
    """A URL for messages: without a user's name, password and the like in it."""
    return _SECRET.sub(r"\1***", _WITH_SECRET.sub("", url))
