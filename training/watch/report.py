"""What `r21d watch` prints: answers on stdout, as text or lines of JSON, and how it went."""

import json
import sys
import threading
import time
from datetime import UTC, datetime

from .reading import Event
from .watch import Answer

_TEXTS = {
    "lost": "{name}: {reason} Trying again.",
    "back": "{name}: is back.",
    "silent": "{name}: {reason}",
    "damaged": "{name}: cannot be decoded in part: {reason}",
    "bad_file": "{name}: {reason}",
}
"""What is said of events, on stderr; of others, at another time."""
SKIPPED_EVERY_S = 10.0
"""Seconds between two lines on windows that were skipped."""


class Report:
    """Prints answers and events as they come; either may be told by any thread.

    Args:
        as_json: a line of JSON for each; else answers are a table, and events go to stderr.
        top_k: labels of an answer.
    """

    def __init__(self, as_json: bool, top_k: int):
        self._as_json, self._top_k, self._lock = as_json, top_k, threading.Lock()
        self._answers = self._skipped = self._lost = self.bad_files = 0
        self._of_files, self._piece = False, None
        self._worst_delay_s, self._said_s, self._said_skipped = 0.0, -SKIPPED_EVERY_S, 0

    def answer(self, answer: Answer) -> None:
        """Prints an answer."""
        with self._lock:
            self._answers += 1
            self._skipped = answer.skipped
            if self._of_files and answer.piece != self._piece and not self._as_json:
                self._print(answer.name)  # the next one is read while this one is answered
            self._piece = answer.piece
            if answer.live:
                self._worst_delay_s = max(self._worst_delay_s, answer.delay_s)
            self._print(self._json_of(answer) if self._as_json else self._line_of(answer))
            self._say_skipped()

    def event(self, event: Event) -> None:
        """Prints an event."""
        with self._lock:
            self._lost += event.kind == "lost"
            self.bad_files += event.kind == "bad_file"
            self._of_files |= event.kind == "file"
            self._skipped = max(self._skipped, event.skipped)
            if self._as_json:
                said = {"event": event.kind, "source": event.name, "clock": _iso(time.time())}
                more = {"reason": event.reason, "skipped": event.skipped}
                self._print(json.dumps(said | {name: it for name, it in more.items() if it}))
            elif event.kind in _TEXTS:
                self._say(_TEXTS[event.kind].format(name=event.name, reason=event.reason))
            self._say_skipped()

    def summary(self) -> str:
        """How it went, in a line."""
        counts = [_counted(self._answers, "answer")]
        if self._skipped:
            counts.append(f"{_counted(self._skipped, 'window')} skipped")
        if self._worst_delay_s:
            counts.append(f"at most {self._worst_delay_s:.2f} s late")
        if self._lost:
            counts.append(f"lost {_counted(self._lost, 'time')}")
        if self.bad_files:
            counts.append(f"{_counted(self.bad_files, 'file')} could not be read")
        return ", ".join(counts) + "."

    def _say_skipped(self) -> None:
        """On stderr, now and then, that the network does not keep up."""
        new, now_s = self._skipped - self._said_skipped, time.monotonic()
        if new and now_s - self._said_s >= SKIPPED_EVERY_S:
            self._said_s, self._said_skipped = now_s, self._skipped
            self._say(
                f"{_counted(new, 'window')} skipped: the network is slower than the source. "
                "A larger --every asks less of it."
            )

    def _json_of(self, answer: Answer) -> str:
        pairs = list(zip(answer.labels, answer.scores, strict=True))[: self._top_k]
        # In ASCII: what a terminal or pipe that is not UTF-8 makes of the rest is no JSON any more.
        return json.dumps(
            {
                "source": answer.name,
                "start_s": round(answer.start_s, 3),
                "end_s": round(answer.end_s, 3),
                "labels": [{"label": name, "score": round(score, 6)} for name, score in pairs],
                "clock": _iso(answer.clock_s),
                "delay_s": round(answer.delay_s, 3),
                "skipped": answer.skipped,
            }
        )

    def _line_of(self, answer: Answer) -> str:
        when = f"{answer.start_s:8.1f} s"
        if answer.live:
            when = f"{datetime.fromtimestamp(answer.clock_s):%H:%M:%S} {when}"
        pairs = list(zip(answer.labels, answer.scores, strict=True))[: self._top_k]
        return "   ".join([when, *(f"{score:6.1%}  {label}" for label, score in pairs)])

    def _print(self, line: str) -> None:
        print(line, flush=True)

    def _say(self, line: str) -> None:
        print(f"r21d watch: {line}", file=sys.stderr, flush=True)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _iso(clock_s: float) -> str:
    return datetime.fromtimestamp(clock_s, UTC).isoformat(timespec="milliseconds")
