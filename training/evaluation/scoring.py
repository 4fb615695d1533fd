"""From clips to a video's probabilities, the same in evaluation and in prediction."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

CLIPS_PER_CALL = 10  # bounds memory; ten is the usual protocol, so that one call is one video
TOP_K = 5  # as the paper's tables report: top-1 and top-5

ClipScorer = Callable[[np.ndarray], np.ndarray]
"""Clips (B, T, H, W, 3) in, probabilities (B, K) out."""


def clip_scorer(model) -> ClipScorer:
    """A compiled ClipScorer of a Keras model that takes normalised float32 clips."""
    run = tf.function(lambda clips: model(clips, training=False), reduce_retracing=True)
    return lambda clips: run(tf.convert_to_tensor(clips)).numpy()


def score_clips(scorer: ClipScorer, clips: np.ndarray) -> np.ndarray:
    """Probabilities (N, K) of each of the clips (N, T, H, W, 3), a few at a time.

    Raises:
        ValueError: if the model answers with numbers that are not finite.
    """
    return _finite(np.concatenate([scorer(part) for part in _parts(clips)]))


class VideoScores:
    """What a network says of a video, clip after clip; its size depends on the classes alone.

    mean: (K,) float64, of the clips' probabilities. votes: (K,) int64, how many clips have each
    class as their best. num_clips: of the video, in all.
    """

    def __init__(self, num_classes: int):
        self._sum = np.zeros(num_classes)
        self.votes = np.zeros(num_classes, np.int64)

    def add(self, probabilities: np.ndarray) -> None:
        """Counts clips by their probabilities (N, K).

        Raises:
            ValueError: numbers that are not finite.
        """
        self._sum += _finite(probabilities).sum(axis=0, dtype=np.float64)
        np.add.at(self.votes, probabilities.argmax(axis=1), 1)

    @property
    def num_clips(self) -> int:
        """How many were added."""
        return int(self.votes.sum())

    @property
    def mean(self) -> np.ndarray:
        """Probabilities (K,), averaged over the clips."""
        return self._sum / self.num_clips


def best_labels(scores: np.ndarray, k: int = TOP_K) -> np.ndarray:
    """Indices of the `k` highest scores (K,), best first; equal scores keep the classes' order."""
    return np.argsort(-scores, kind="stable")[: min(k, len(scores))]


def _finite(scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        raise ValueError(
            "The model's probabilities are not finite: its weights are broken. Expected numbers in "
            "[0, 1]. Train with a lower learning rate, or choose other weights."
        )
    return scores


def _parts(clips: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(clips), CLIPS_PER_CALL):
        yield clips[start : start + CLIPS_PER_CALL]
