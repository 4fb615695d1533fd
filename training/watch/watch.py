"""Labels over time of whatever is watched: `watch` gives an answer for each window."""

import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..config import ConfigError
from ..evaluation.scoring import best_labels, score_clips
from ..remote.leaving import abandon
from .connection import LostError
from .feed import Feed, Segment
from .reading import Event, Reader
from .source import CAMERA, FILE, FOLDER, STREAM, Source, find_source
from .view import View, load_view

GIVE_UP_S = {FILE: math.inf, FOLDER: math.inf, CAMERA: 60.0, STREAM: 60.0}
"""Seconds without a frame after which a watch ends, unless it is said, by the kind of source."""
READ_AHEAD = 16  # frames of a file that are decoded while the network is at work
END_S = 2.0  # for the reading thread to come back; one that waits for a device may not


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """How to watch.

    every: frames from window to window; half a window where it is None. overlap: one of
    protocols.OVERLAP. max_delay_s: how far answers may fall behind a live source before windows
    are skipped. stall_s: a camera or stream that gives nothing for so long is connected to anew.
    give_up_s: the watch ends when nothing has come for so long; GIVE_UP_S where it is None.
    duration_s: the watch ends after so long.
    """

    every: int | None = None
    overlap: str = "auto"
    max_delay_s: float = 2.0
    stall_s: float = 10.0
    give_up_s: float | None = None
    duration_s: float = math.inf

    def __post_init__(self):
        """Raises ConfigError for times that are not above zero."""
        for name in ("max_delay_s", "stall_s", "give_up_s", "duration_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name}={value:g}: expected seconds above 0.")
        if math.isinf(self.max_delay_s):
            raise ConfigError("max_delay_s=inf: so many frames are kept; expected fewer seconds.")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one window shows.

    name: of the file or stream. live: as Segment.live. piece: number of the segment, from 0.
    start_s, end_s: seconds since the file, or the watch of a live source, began. probabilities:
    (K,). labels, scores: the best of them, best first. clock_s: seconds since 1970 at which its
    last frame was decoded. delay_s: seconds from then to this answer. skipped: windows of the
    whole watch so far that were not answered, as the network was too slow. picture: one of its
    frames, uint8 RGB (H, W, 3). aspect: width over height of what the source shows.
    """

    name: str
    live: bool
    piece: int
    start_s: float
    end_s: float
    probabilities: np.ndarray
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    clock_s: float
    delay_s: float
    skipped: int
    picture: np.ndarray
    aspect: float


def watch(
    source: str | Source,
    model: str | os.PathLike | View,
    options: WatchOptions = WatchOptions(),
    weights: str | None = None,
    tell: Callable[[Event], None] = lambda event: None,
) -> Iterator[Answer]:
    """An Answer for each window of `source`, until it ends or the iterator is closed.

    Of a live source, windows that would be answered more than `max_delay_s` late are skipped, and
    the newest is next; files wait for the network, and nothing of them is skipped. Memory holds a
    window and `max_delay_s` of frames, resized for the network.

    Args:
        source: a path, the number of a camera or a URL, as `r21d watch` takes them.
        model: as for `load_predictor`, or a View that is loaded.
        options: how to watch.
        weights: one of config.WEIGHTS, for a run alone.
        tell: called with each Event, on whichever thread.

    Raises:
        VideoError: a source that cannot be read at first; LostError: one that was lost for
            `give_up_s`.
        ValueError: as `load_view`.
    """
    source = source if isinstance(source, Source) else find_source(source)
    if not isinstance(model, View):
        model = load_view(model, weights, options.every, options.overlap)
    yield from _Watch(source, model, options, tell).answers()


class _Watch:
    """A watch that is under way."""

    def __init__(self, source: Source, view: View, options: WatchOptions, tell):
        self._source, self._view, self._options, self._tell = source, view, options, tell
        self._rate, self._skipped = view.preprocessing.frame_rate, 0
        waits = source.kind in (FILE, FOLDER)
        behind = READ_AHEAD if waits else math.ceil(options.max_delay_s * self._rate)
        room = view.answering.needs + max(behind, view.every)
        self._feed = Feed(room, self._goes_on, options.max_delay_s)
        self._reader = Reader(source, self._feed, view.preprocessing, options.stall_s, self._hear)
        self._give_up_s = options.give_up_s or GIVE_UP_S[source.kind]
        self._silent = False

    def answers(self) -> Iterator[Answer]:
        self._ends_s = time.monotonic() + self._options.duration_s
        thread = self._reader.start()
        try:
            for piece, segment in enumerate(self._feed.segments()):
                for answer in self._of_segment(segment, piece):
                    yield answer
                    if time.monotonic() > self._ends_s:
                        return
        finally:
            self._feed.close()
            thread.join(END_S)
            if thread.is_alive():
                abandon(thread)

    def _of_segment(self, segment: Segment, piece: int) -> Iterator[Answer]:
        view, due = self._view, 0
        for start, probabilities, picture in view.answering.windows(segment):
            self._skipped += (start - due) // view.every
            due = start + view.every
            yield self._answer(segment, piece, start, view.length, probabilities, picture)
        if self._feed.closed.is_set():
            return
        if segment.cut:
            whole = segment.length - view.answering.lookahead
            missed = max(0, (whole - view.length - due) // view.every + 1)
            self._skipped += missed
            if missed:
                text = f"{self._skipped:,} windows so far."
                self._tell(Event("skipped", segment.name, text, self._skipped))
        if not segment.live and 0 < segment.length < view.length:
            frames = segment.rest(0)
            probabilities = score_clips(view.alone, self._filled(frames)[None])[0]
            picture = frames[len(frames) // 2]
            yield self._answer(segment, piece, 0, len(frames), probabilities, picture)

    def _answer(self, segment, piece, start, length, probabilities, picture) -> Answer:
        self._silent, best = False, best_labels(probabilities)
        delay_s = time.monotonic() - segment.arrived_s(start + length - 1)
        return Answer(
            name=segment.name,
            live=segment.live,
            piece=piece,
            start_s=segment.origin_s + start / self._rate,
            end_s=segment.origin_s + (start + length) / self._rate,
            probabilities=probabilities,
            labels=tuple(self._view.classes[place] for place in best),
            scores=tuple(float(probabilities[place]) for place in best),
            clock_s=time.time() - delay_s,
            delay_s=delay_s,
            skipped=self._skipped,
            picture=picture,
            aspect=segment.aspect,
        )

    def _filled(self, frames: np.ndarray) -> np.ndarray:
        """The frames (n, H, W, 3) of a video that is shorter than a window, as in training."""
        places = np.arange(self._view.length)
        if self._view.short_video == "loop":
            return frames[places % len(frames)]
        return frames[np.minimum(places, len(frames) - 1)]

    def _hear(self, event: Event) -> None:
        self._silent = False
        self._tell(event)

    def _goes_on(self, silence_s: float) -> bool:
        """Whether to wait for more frames, when none came for `silence_s`."""
        if time.monotonic() > self._ends_s:
            return False
        # A device may not even say that it gives nothing.
        quiet = self._source.kind in (CAMERA, STREAM) and silence_s > 3 * self._options.stall_s
        if quiet and not self._reader.trouble and not self._silent:
            self._silent = True
            self._tell(Event("silent", self._source.name, f"no frame for {silence_s:.0f} s."))
        if silence_s <= self._give_up_s:
            return True
        trouble = self._reader.trouble
        if self._source.kind in (FILE, FOLDER) and not trouble and not self._feed.is_reading:
            return False
        reason = trouble or "it does not answer."
        raise LostError(self._source.name, f"gives no frame for {silence_s:.0f} s: {reason}")
