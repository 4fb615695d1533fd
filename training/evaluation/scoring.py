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
    scores = np.concatenate([scorer(part) for part in _parts(clips)])
    if not np.isfinite(scores).all():
        raise ValueError(
            "The model's probabilities are not finite: its weights are broken. Expected numbers in "
            "[0, 1]. Train with a lower learning rate, or choose other weights."
        )
    return scores


def best_labels(scores: np.ndarray, k: int = TOP_K) -> np.ndarray:
    """Indices of the `k` highest scores (K,), best first; equal scores keep the classes' order."""
    return np.argsort(-scores, kind="stable")[: min(k, len(scores))]


def _parts(clips: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(clips), CLIPS_PER_CALL):
        yield clips[start : start + CLIPS_PER_CALL]
