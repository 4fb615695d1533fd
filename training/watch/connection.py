"""A camera or a stream that is open: its frames as they come, or why none do."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.video.reformatter import VideoReformatter

from ..data.decoder import STILL_FORMATS, TOLERANCE_S, Frame, VideoError
from .source import ALWAYS_LIVE, CAMERA, Source

# Neighbouring frames farther apart, or that go back in time by more, do not belong together: what
# was between them is lost. Cameras that show a picture a second are still one stream.
GAP_S = 2.0


class LostError(VideoError):
    """A source that gives no more frames, and may do so again."""


@contextmanager
def connect(source: Source, timeout_s: float) -> Iterator["Connection"]:
    """A camera or stream that is open.

    Args:
        source: of kind CAMERA or STREAM.
        timeout_s: seconds after which one that does not answer, or gives nothing, is lost.

    Raises:
        LostError: it cannot be opened, or stops giving frames while it is read.
        VideoError: what it gives is no video, and will be none.
    """
    try:
        container = av.open(
            source.place,
            format=source.format,
            options=dict(source.options),
            metadata_errors="ignore",
            timeout=(timeout_s, timeout_s),
        )
    except av.FFmpegError as error:
        raise _lost(source, "cannot be opened", error, timeout_s) from None
    with container:
        try:
            yield Connection(source, container)
        except av.FFmpegError as error:
            raise _lost(source, "is lost", error, timeout_s) from None


class Connection:
    """Frames of an open source.

    live: whether it goes on whether or not its frames are taken; one that says how long it is does
    not. damaged: packets so far that could not be decoded.
    """

    def __init__(self, source: Source, container):
        streams = container.streams.video
        if not streams or container.format.name in STILL_FORMATS:
            raise VideoError(source.name, "has no video; expected a stream with some.")
        self._container, self._stream = container, streams[0]
        if self._stream.codec_context is None:
            raise VideoError(source.name, "is in a codec that this build of FFmpeg cannot decode.")
        # Several threads for one frame where its encoder allows; those for several frames would
        # hold back as many.
        self._stream.thread_type = "SLICE"
        scheme = source.place.partition("://")[0].lower()
        always = source.kind == CAMERA or scheme in ALWAYS_LIVE
        self.live = always or container.duration is None
        self.damaged = 0

    def frames(self) -> Iterator[Frame]:
        """Each frame, with the second at which it is shown, since the first.

        By the stream's time stamps, or where its first frame has none by the time at which they
        come. Packets that cannot be decoded are counted: behind one that a network has lost, the
        stream goes on.
        """
        converter, origin_s = VideoReformatter(), None
        for picture in self._pictures():
            stamped = picture.time is not None
            if origin_s is None:
                by_clock = not stamped
            elif not stamped and not by_clock:
                continue  # one without a time between others that have theirs
            now_s = time.monotonic() if by_clock else picture.time
            origin_s = now_s if origin_s is None else origin_s
            yield Frame(picture, now_s - origin_s, converter)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        for packet in self._container.demux(self._stream):
            try:
                yield from packet.decode()
            except av.InvalidDataError:
                self.damaged += 1


def on_grid(frames: Iterator[Frame], rate: float) -> Iterator[tuple[int, float, Frame]]:
    """The frames that clips show, at `rate` Hz: (number of the piece, seconds of its first, frame).

    A piece is what comes without a gap of GAP_S, and has a grid of its own: its frame number k is
    the one on show (k + 0.5) / rate after its first, as in `data.video.every_frame`. What a stream
    shows last is not known to be over, and is left out.
    """
    piece, shown, place = 0, next(frames, None), 0
    first_s = shown.time_s if shown else 0.0
    for frame in frames:
        passed_s = frame.time_s - shown.time_s
        if -GAP_S < passed_s <= 0:
            continue  # out of order by a little: its time is over
        if not 0 < passed_s <= GAP_S:
            piece, shown, place, first_s = piece + 1, frame, 0, frame.time_s
            continue
        while first_s + (place + 0.5) / rate < frame.time_s - TOLERANCE_S:
            yield piece, first_s, shown
            place += 1
        shown = frame


def _lost(source: Source, what: str, error: av.FFmpegError, timeout_s: float) -> LostError:
    # FFmpeg says "immediate exit requested" where the time is up.
    if isinstance(error, av.ExitError):
        return LostError(source.name, f"{what}: nothing came for {timeout_s:g} s.")
    return LostError(source.name, f"{what}: {error.strerror}.")
