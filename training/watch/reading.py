"""Reading on a thread of its own: from a source into a Feed, whatever happens to the source."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from r21d_keras.zoo.preprocessing import Preprocessing

from ..data.decoder import UntrustedStamps, VideoError
from ..data.frames import resize_frame
from ..data.video import every_frame, probe
from .connection import LostError, connect, on_grid
from .feed import Feed, Segment
from .folder import Folder
from .source import FILE, FOLDER, Source

# Seconds before the next try to reach a lost source: doubled from the first to the last.
FIRST_PAUSE_S, LAST_PAUSE_S = 0.5, 10.0
DAMAGE_EVERY_S = 10.0
"""Seconds between two events that tell of packets that cannot be decoded."""


@dataclass(frozen=True)
class Event:
    """What happened to a source, besides what it shows.

    kind: "lost", "back", "silent", "damaged" packets that cannot be decoded, "file" that is begun,
    "bad_file" that cannot be read, "skipped" windows that a slow network has missed behind the last
    answer. name: of the source or file. reason: why, or "". skipped: as Answer.skipped.
    """

    kind: str
    name: str
    reason: str = ""
    skipped: int = 0


class Reader:
    """Reads `source` into `feed` until it is over or the feed is closed.

    A file is read once, a folder for ever. A camera or a stream that is lost is tried again and
    again; how long is for the feed's `waiting` to say. One that was never reached is an error.

    Args:
        source: of `find_source`.
        feed: takes frames at the rate and size of `numbers`.
        numbers: of the network.
        timeout_s: seconds without a frame after which a camera or stream is lost.
        tell: called with each Event, on the reading thread.
    """

    def __init__(
        self,
        source: Source,
        feed: Feed,
        numbers: Preprocessing,
        timeout_s: float,
        tell: Callable[[Event], None],
    ):
        self._source, self._feed, self._numbers = source, feed, numbers
        self._timeout_s, self._tell = timeout_s, tell
        self._thread = threading.Thread(target=self._run, name="r21d-watch", daemon=True)
        self._begun_s, self._num_segments, self._live = time.monotonic(), 0, True
        self.trouble = ""
        """Why the source gives nothing at present; "" where it does."""

    def start(self) -> threading.Thread:
        """Starts reading; the thread, which ends soon after the feed is closed."""
        self._begun_s = time.monotonic()
        self._thread.start()
        return self._thread

    def _run(self) -> None:
        ways = {FILE: self._read_source_file, FOLDER: self._read_folder}
        try:
            ways.get(self._source.kind, self._read_stream)()
        except BaseException as error:  # noqa: BLE001 - raised on the thread that answers
            self._feed.finish(error)
        else:
            self._feed.finish()

    def _read_source_file(self) -> None:
        self._read_file(self._source.place)

    def _read_file(self, path: str | os.PathLike) -> None:
        info, rate = probe(path), self._numbers.frame_rate
        size = self._numbers.resized(info.height, info.width)
        self._feed.begin(Segment(os.fspath(path), False, 0.0, info.width / info.height))
        done, by_count = 0, False
        while True:
            try:
                for pixels in every_frame(path, rate, by_count, first=done):
                    if not self._feed.put(resize_frame(pixels, size)):
                        return
                    done += 1
                return
            except UntrustedStamps:  # the rest by counting frames from the first
                by_count = True

    def _read_folder(self) -> None:
        folder = Folder(self._source.place)
        while not self._feed.closed.is_set():
            for path in folder.ready():
                self._tell(Event("file", os.fspath(path)))
                try:
                    self._read_file(path)
                except VideoError as error:
                    self._tell(Event("bad_file", error.path, error.reason))
                self._feed.end()
                self._feed.heard()
                if self._feed.closed.is_set():
                    return
            self._tell_trouble(folder.trouble)
            self._feed.closed.wait(folder.pause_s)

    def _tell_trouble(self, trouble: str) -> None:
        """Tells of a folder that cannot be read any more, or can be again."""
        if bool(trouble) != bool(self.trouble):
            self._tell(Event("lost" if trouble else "back", self._source.name, trouble))
        self.trouble = trouble

    def _read_stream(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._feed.closed.is_set():
            before = self._num_segments
            try:
                if not self._read_connection():
                    return
                raise LostError(self._source.name, "it has ended.")
            except LostError as error:
                if not self._num_segments or not self._live:
                    raise
                self.trouble = error.reason
                self._feed.end()
            if self._num_segments > before:
                pause_s = FIRST_PAUSE_S
                self._tell(Event("lost", self._source.name, self.trouble))
            self._feed.closed.wait(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    def _read_connection(self) -> bool:
        """Reads from one connection; whether the source may give more on another."""
        with connect(self._source, self._timeout_s) as connection:
            self._live, piece, told, told_s = connection.live, None, 0, -DAMAGE_EVERY_S
            for number, first_s, frame in on_grid(connection.frames(), self._numbers.frame_rate):
                if number != piece:
                    piece = number
                    size = self._begin(frame.pixels.shape, connection.live, first_s)
                if not self._feed.put(resize_frame(frame.pixels, size)):
                    return False
                if connection.damaged > told and time.monotonic() - told_s >= DAMAGE_EVERY_S:
                    told, told_s = connection.damaged, time.monotonic()
                    self._tell(Event("damaged", self._source.name, f"{told:,} packets so far."))
            return connection.live

    def _begin(self, shape: tuple[int, ...], live: bool, first_s: float) -> tuple[int, int]:
        """Begins a segment; the size (H, W) of its frames."""
        if self.trouble:
            self._tell(Event("back", self._source.name))
        self._feed.heard()
        self._num_segments, self.trouble = self._num_segments + 1, ""
        height, width = shape[:2]
        origin_s = time.monotonic() - self._begun_s if live else first_s
        self._feed.begin(Segment(self._source.name, live, origin_s, width / height))
        return self._numbers.resized(height, width)
