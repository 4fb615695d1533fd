"""`r21d watch`: a watch from its start to its end, printed and drawn."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from ..data.video import probe
from ..pictures import check_picture
from .report import Report
from .source import FILE, find_source
from .timeline import Timeline
from .view import View
from .watch import WatchOptions, watch

REDRAW_S = 30.0
"""Seconds between two drawings of a watch that goes on."""


def follow(
    source: str,
    load: Callable[[], View],
    options: WatchOptions,
    *,
    as_json: bool = False,
    top_k: int = 3,
    picture: str | None = None,
) -> int:
    """Prints each answer as it comes, and at the end on stderr how it went.

    SIGTERM ends a watch as Ctrl-C does.

    Args:
        source: as for `watch`.
        load: what loads the network, or reaches it at a server, once the rest is known to be right.
        options: how to watch.
        as_json: a line of JSON for each answer and event; else a table.
        top_k: labels of an answer.
        picture: a PNG that gets the labels over time, at the end and every REDRAW_S before.

    Returns:
        How many files of a folder could not be read.

    Raises:
        KeyboardInterrupt: on Ctrl-C and SIGTERM, once all is printed and drawn.
        ValueError: as `watch`, or a picture that cannot be.
    """
    if picture:
        check_picture("--timeline", picture)
    found = find_source(source)
    if found.kind == FILE:
        probe(found.place)  # before the network is loaded
    view = load()
    every_s = view.every / view.preprocessing.frame_rate
    seconds = view.length / view.preprocessing.frame_rate
    _say(f"{found.name}: windows of {seconds:.2f} s every {every_s:.2f} s; {view.exactness}.")
    report, timeline = Report(as_json, top_k), Timeline(view.classes, every_s, found.name)
    try:
        with (
            _ended_by_sigterm(),
            contextlib.closing(watch(found, view, options, tell=report.event)) as answers,
        ):
            drawn_s = time.monotonic()
            for answer in answers:
                report.answer(answer)
                timeline.add(answer)
                if picture and time.monotonic() - drawn_s > REDRAW_S:
                    _draw_meanwhile(timeline, picture)
                    drawn_s = time.monotonic()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(report.summary()) from None
    except BaseException:
        _say(report.summary())
        raise
    finally:
        if picture:
            timeline.draw(picture)
    _say(report.summary())
    return report.bad_files


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Makes SIGTERM, by which services and containers are ended, do what Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _draw_meanwhile(timeline: Timeline, picture: str) -> None:
    try:
        timeline.draw(picture)
    except OSError as error:  # no reason to watch no more
        _say(f"{picture} cannot be drawn: {error.strerror or error}. It is tried again.")


def _say(line: str) -> None:
    print(f"r21d watch: {line}", file=sys.stderr, flush=True)
