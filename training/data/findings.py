"""What a check of a data set has found, as text and as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from .catalog import Dataset
from .counted import counted
from .listings import SHOWN, SUBSETS

KINDS = {
    "lists": "lists that are wrong or absent",
    "missing": "listed videos that are not there",
    "bare": "subsets of a split without a video",
    "empty": "classes without a video to train on",
    "unreadable": "videos that cannot be read",
    "truncated": "videos that are cut short",
    "mislabelled": "videos in the folder, or with the name, of another class than the lists say",
    "doubled": "videos with the bytes of another one",
    "leaked": "videos that are both for training and for testing in one split",
    "repeated": "videos that a list names more than once",
    "extra": "video files that no list names",
}
"""What a check looks for, in the order of a report."""
NOTES = ("extra",)  # HMDB51's own archive holds clips that its lists do not name


@dataclass
class Findings:
    """What was found in a data set: for each of KINDS (video, what) pairs.

    counts: listed videos of each (split, subset). num_videos, num_there: listed, and there.
    """

    row: Dataset
    places: Mapping[str, str]
    classes: tuple[str, ...] = ()
    counts: dict[tuple[int, str], int] = field(default_factory=dict)
    num_videos: int = 0
    num_there: int = 0
    found: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: {k: [] for k in KINDS})

    def add(self, kind: str, video: str, what: str = "") -> None:
        """Adds to what was found of a kind."""
        self.found[kind].append((video, what))

    def is_note(self, kind: str) -> bool:
        """Whether what is of this kind is as the data set's authors would expect it."""
        return kind in NOTES or (kind == "missing" and self.row.may_miss)

    @property
    def right(self) -> bool:
        """Whether nothing is wrong."""
        return not any(items for kind, items in self.found.items() if not self.is_note(kind))

    def text(self) -> str:
        """A report to read, with the first few of each kind."""
        lines = [
            f"{self.row.title}: {self.num_there:,} of {self.num_videos:,} listed videos are there; "
            f"{counted(len(self.classes), 'classes')}{_of(self.row.num_classes, len(self.classes))}"
        ]
        for split in sorted({split for split, _ in self.counts}):
            said = (self._count(split, subset) for subset in SUBSETS)
            lines.append(f"  split {split}: {', '.join(said)}")
        for kind, items in self.found.items():
            if not items:
                continue
            lines.append(
                f"{'note' if self.is_note(kind) else 'WRONG'}: {counted(len(items), KINDS[kind])}"
            )
            lines += [f"    {': '.join(filter(None, item))}" for item in items[:SHOWN]]
            if items[SHOWN:]:
                lines.append(f"    and {len(items) - SHOWN:,} more")
        lines.append("Nothing is wrong." if self.right else "Something is wrong: see above.")
        return "\n".join(lines)

    def json(self) -> str:
        """All of it."""
        kinds = {
            kind: [{"video": video, "what": what} for video, what in items]
            for kind, items in self.found.items()
        }
        report = {
            "dataset": self.row.name,
            "places": dict(self.places),
            "right": self.right,
            "classes": len(self.classes),
            "official_classes": self.row.num_classes,
            "videos": self.num_videos,
            "there": self.num_there,
            "splits": {
                str(split): {s: self.counts.get((split, s)) for s in SUBSETS}
                for split in sorted({split for split, _ in self.counts})
            },
            "official_splits": {
                str(split): {s: self._official(split, s) for s in SUBSETS}
                for split in self.row.splits
            },
            "wrong": {kind: items for kind, items in kinds.items() if not self.is_note(kind)},
            "notes": {kind: items for kind, items in kinds.items() if self.is_note(kind)},
        }
        return json.dumps(report, indent=2) + "\n"

    def _count(self, split: int, subset: str) -> str:
        count = self.counts.get((split, subset))
        if count is None:
            return f"no list for {subset}"
        return f"{count:,} {subset}{_of(self._official(split, subset), count)}"

    def _official(self, split: int, subset: str) -> int | None:
        counts = self.row.counts.get(subset)
        return counts[self.row.splits.index(split)] if counts else None


def _of(official: int | None, count: int) -> str:
    return f" (official: {official:,})" if official not in (None, count) else ""
