"""What can be watched: the text of a command line as a file, a folder, a camera or a stream."""

import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from ..data.decoder import VideoError
from ..remote.urls import is_remote, scheme_of, shown

FILE, FOLDER, CAMERA, STREAM = "file", "folder", "camera", "stream"
"""The kinds of sources."""

# Over TCP: over UDP, FFmpeg's first choice, a router on the way may let nothing through, and lost
# packets damage every frame up to the next keyframe.
_RTSP = {"rtsp_transport": "tcp"}
SCHEMES = {
    "rtsp": _RTSP,
    "rtsps": _RTSP,
    "rtmp": {},
    "rtmps": {},
    "http": {},
    "https": {},
    "tcp": {},
    "udp": {},
    "rtp": {},
}
"""URLs that are watched, and FFmpeg's options for each. All but the two of HTTP are always live."""
ALWAYS_LIVE = frozenset(SCHEMES) - {"http", "https"}
# What a stream may make FFmpeg open in its turn: a play list must not reach this machine's files.
_WHITELIST = ",".join([*SCHEMES, "tls", "crypto", "httpproxy", "srtp"])

CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}
"""By sys.platform: FFmpeg's device, and how it names camera number n."""


@dataclass(frozen=True)
class Source:
    """What is watched.

    kind: one of the four above. place: the path, or what FFmpeg opens. name: for messages, without
    a password. format, options: of FFmpeg, for cameras and streams.
    """

    kind: str
    place: str
    name: str
    format: str | None = None
    options: tuple[tuple[str, str], ...] = ()


def find_source(text: str) -> Source:
    """The source that `text` names: a path, the number of a camera, or a URL.

    Raises:
        VideoError: no such file or folder.
        ValueError: a URL of a kind that cannot be watched, or cameras by number on this system.
    """
    if is_remote(text):
        return _stream(text)
    path = Path(text)
    if not path.exists() and text.isdecimal():
        return _camera(int(text))
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise VideoError(
            text,
            f"cannot be watched: {error.strerror}. Expected a file, a folder, the number of a "
            f"camera, or a URL of {', '.join(SCHEMES)}.",
        ) from None
    if stat.S_ISDIR(mode):
        return Source(FOLDER, text, text)
    if stat.S_ISCHR(mode):
        return Source(CAMERA, text, text, _device(text)[0])
    if not stat.S_ISREG(mode):
        raise VideoError(
            text,
            "is a pipe or socket, which cannot be read twice as files are. Let its writer send to "
            "tcp://HOST:PORT, or keep a file.",
        )
    return Source(FILE, text, text)


def _stream(url: str) -> Source:
    scheme = scheme_of(url)
    if scheme not in SCHEMES:
        raise ValueError(
            f"{shown(url)}: {scheme}:// cannot be watched; expected one of {', '.join(SCHEMES)}. "
            "Copy a file in a bucket to this machine first."
        )
    options = {**SCHEMES[scheme], "protocol_whitelist": _WHITELIST}
    return Source(STREAM, url, shown(url), None, tuple(options.items()))


def _camera(number: int) -> Source:
    device, name = _device(str(number))
    return Source(CAMERA, name.format(number), f"camera {number}", device)


def _device(text: str) -> tuple[str, str]:
    if sys.platform not in CAMERAS:
        raise ValueError(
            f"{text}: cameras by their number are for {' and '.join(CAMERAS)}; this is "
            f"{sys.platform}. Give the URL of a stream."
        )
    return CAMERAS[sys.platform]
