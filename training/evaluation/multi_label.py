"""Counts of videos that may have several labels each, as in Sports-1M: hit@k and mAP."""

from typing import BinaryIO

import numpy as np

from .tally import Tally

COLUMNS_AT_ONCE = 16  # classes whose scores are in memory together: 100 MB for 1.6 M videos


class MultiLabelTally(Tally):
    """As Tally, where a video may have several labels: a hit is an answer that is one of them.

    hit@k of Karpathy et al. 2014 (Sports-1M), section 4: the share of videos of which at least one
    label is among the k best answers. Average precision needs the order of all videos: their
    scores wait in a `file`, open to read and write bytes, so that memory does not grow with them.
    """

    one_label = False

    def __init__(self, classes: tuple[str, ...], file: BinaryIO):
        super().__init__(classes)
        self._scores, self._precisions = file, None
        self._labels: list[tuple[int, ...]] = []

    def rates(self) -> dict[str, float]:
        """clip_hit@1, hit@1, hit@k with k = min(5, classes), and mAP: all in [0, 1].

        mAP is the mean of the average precisions of the classes that have videos.
        """
        found = [value for value in self.average_precisions() if value is not None]
        return {
            "clip_hit@1": self.clip_hits / self.clips,
            "hit@1": self.hits / self.videos,
            f"hit@{self.top}": self.top_hits / self.videos,
            "mAP": float(np.mean(found)),
        }

    def average_precisions(self) -> list[float | None]:
        """Of each class, see `average_precision`; None for one without videos."""
        if self._precisions is None:
            self._precisions = self._average_precisions()
        return self._precisions

    def as_json(self) -> dict:
        """What evaluation.json has beside the rates."""
        return {"labels_per_video": sum(map(len, self._labels)) / self.videos}

    def _average_precisions(self) -> list[float | None]:
        count, found = len(self.classes), []
        self._scores.flush()
        scores = np.memmap(self._scores, np.float32, "r", shape=(self.videos, count))
        videos = [[] for _ in range(count)]
        for video, labels in enumerate(self._labels):
            for label in labels:
                videos[label].append(video)
        for first in range(0, count, COLUMNS_AT_ONCE):
            part = np.ascontiguousarray(scores[:, first : first + COLUMNS_AT_ONCE].T)
            for column, own in zip(part, videos[first:], strict=False):
                relevant = np.zeros(self.videos, bool)
                relevant[own] = True
                found.append(average_precision(column, relevant) if own else None)
        return found

    def _note(self, labels: list[int], first: int, mean: np.ndarray) -> None:
        self._precisions = None
        self._labels.append(tuple(labels))
        self._scores.write(mean.astype(np.float32).tobytes())

    def _more_columns(self) -> dict[str, list]:
        return {"average_precision": self.average_precisions()}


def average_precision(scores: np.ndarray, relevant: np.ndarray) -> float:
    """The area under the steps of precision over recall, without interpolation.

    The sum over thresholds of (recall - recall before) * precision, as scikit-learn's
    average_precision_score has it: items of one score come in together, so that their order does
    not matter.

    Args:
        scores: (N,), of the items. relevant: (N,) bool, which are to be found, at least one.
    """
    order = np.argsort(-scores, kind="stable")
    hits, ranked = np.cumsum(relevant[order]), scores[order]
    ends = np.append(np.nonzero(np.diff(ranked))[0], len(ranked) - 1)  # the last of each score
    precision = hits[ends] / (ends + 1)
    recall = hits[ends] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))
