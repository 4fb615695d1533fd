"""Counts of videos and how they were answered: what accuracies and tables are made of."""

import numpy as np

from .calibration import Calibration
from .scoring import TOP_K, VideoScores, best_labels


class Tally:
    """Counts over videos of one label each; its size depends on the number of classes alone.

    videos: how many were counted. confusion: (K, K) int64, of (true, predicted).
    """

    one_label = True
    """Whether each video has one label, so that there is a confusion matrix."""

    def __init__(self, classes: tuple[str, ...]):
        self.classes, self.calibration = classes, Calibration()
        self.videos = self.clips = self.clip_hits = self.hits = self.top_hits = 0
        count = len(classes)
        self._of_class = np.zeros(count, np.int64)  # videos that have the label
        self._best = np.zeros(count, np.int64)  # of these, where it is the best answer
        self._top = np.zeros(count, np.int64)  # where it is among the TOP_K
        self._answered = np.zeros(count, np.int64)  # videos whose best answer it is
        self.confusion = np.zeros((count, count), np.int64)

    def add(self, labels: tuple[int, ...], scores: VideoScores) -> int:
        """Counts one video; the class that is its best answer."""
        best = best_labels(scores.mean)
        first, own = int(best[0]), list(labels)
        hit = first in own
        self.videos += 1
        self.clips += scores.num_clips
        self.clip_hits += int(scores.votes[own].sum())
        self.hits += hit
        self.top_hits += bool(set(own) & set(best.tolist()))
        self._of_class[own] += 1
        self._best[[label for label in own if label == first]] += 1
        self._top[[label for label in own if label in best]] += 1
        self._answered[first] += 1
        self.calibration.add(float(scores.mean[first]), hit)
        self._note(own, first, scores.mean)
        return first

    def rates(self) -> dict[str, float]:
        """clip@1, video@1, video@k with k = min(5, classes), and mean_class: all in [0, 1].

        clip@1 counts what every clip, and every crop of it, says alone; mean_class is video@1
        averaged over the classes that have videos.
        """
        return {
            "clip@1": self.clip_hits / self.clips,
            "video@1": self.hits / self.videos,
            f"video@{self.top}": self.top_hits / self.videos,
            "mean_class": float(np.mean([x for x in self.recalls() if x is not None])),
        }

    @property
    def top(self) -> int:
        """How many answers video@k takes."""
        return min(TOP_K, len(self.classes))

    def recalls(self) -> list[float | None]:
        """video@1 of each class; None for one without videos."""
        return _shares(self._best, self._of_class)

    def class_table(self) -> list[dict]:
        """A row for each class, as per_class.csv has it; None where there is nothing to divide."""
        columns = {
            "class": self.classes,
            "videos": self._of_class.tolist(),
            "top1": self._best.tolist(),
            f"top{self.top}": self._top.tolist(),
            "accuracy": self.recalls(),
            f"top{self.top}_accuracy": _shares(self._top, self._of_class),
            "answered": self._answered.tolist(),
            "precision": _shares(self._best, self._answered),
            **self._more_columns(),
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def as_json(self) -> dict:
        """What evaluation.json has beside the rates."""
        return {"confusion": self.confusion.tolist()}

    def _note(self, labels: list[int], first: int, mean: np.ndarray) -> None:
        self.confusion[labels[0], first] += 1

    def _more_columns(self) -> dict[str, list]:
        """The class that each is most often taken for, and how often."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        counts = wrong.max(axis=1).tolist()
        names = [self.classes[place] for place in wrong.argmax(axis=1)]
        names = [name if count else None for name, count in zip(names, counts, strict=True)]
        return {"most_taken_for": names, "taken_for_it": counts}


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    pairs = zip(part.tolist(), whole.tolist(), strict=True)
    return [some / all_of_it if all_of_it else None for some, all_of_it in pairs]
