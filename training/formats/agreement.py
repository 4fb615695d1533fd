"""Whether an export says what the Keras network says, computed by its own runtime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import ConfigError
from ..data.pipeline import normalise
from ..serving.names import EMBEDDING, PROBABILITIES
from ..serving.servable import Servable
from .runtimes import open_session
from .table import FORMATS

TOLERANCE = 1e-4
"""How far the scores of an export in float32 may be from those of Keras."""
CLIPS = 8  # compared at most
_SIDE = 8  # pixels of the pictures that clips are made of where none are given


@dataclass(frozen=True)
class Agreement:
    """clips: how many were compared, given: whether by the caller, for quantisation. largest:
    difference of a score. same_best: share of clips with the same best label."""

    clips: int
    given: bool
    largest: float
    same_best: float

    def __str__(self):
        clips = "clips that it was quantised by" if self.given else "random clips"
        return (
            f"scores differ by at most {self.largest:.1e} from those of Keras on {self.clips} "
            f"{clips}; {self.same_best:.0%} have the same best label"
        )


def agreement(
    folder: Path, name: str, precision: str, servable: Servable, clips: Sequence[np.ndarray] = ()
) -> Agreement:
    """Compares the export in `folder` with the network it is of.

    Args:
        name: of table.FORMATS.
        clips: (1, T, S, S, C) as the export takes them; none: random ones are made.

    Raises:
        ConfigError: numbers that are not finite; in float32 scores, or features for their size,
            that are further apart than TOLERANCE.
    """
    run, network = open_session(folder, name), servable.with_embedding()
    chosen = list(clips[:: -(-len(clips) // CLIPS)]) if len(clips) else random_clips(servable, 2)
    answers = [run(clip) for clip in chosen]
    found = [(answer[EMBEDDING], answer[PROBABILITIES]) for answer in answers]
    features, scores = map(np.concatenate, zip(*found, strict=True))
    expected = [network(normalise(clip, servable.preprocessing), training=False) for clip in chosen]
    keras_features, keras_scores = map(np.concatenate, zip(*expected, strict=True))
    largest = float(np.abs(scores - keras_scores).max())
    size = float(np.abs(keras_features).max()) or 1.0
    of_features = float(np.abs(features - keras_features).max()) / size
    problem = ""
    if not (np.isfinite(features).all() and np.isfinite(scores).all()):
        problem = "numbers that are NaN or infinite"
    elif precision == "float32" and not max(largest, of_features) <= TOLERANCE:
        problem = (
            f"scores that are {largest:.1e} from those of Keras, and features {of_features:.1e} of "
            f"their size; expected {TOLERANCE:.0e} at most"
        )
    if problem:
        raise ConfigError(
            f"{FORMATS[name].runtime} computes {problem}, so nothing was written. Try another "
            "precision or format, or another version of the runtime."
        )
    same = float((scores.argmax(axis=1) == keras_scores.argmax(axis=1)).mean())
    return Agreement(len(chosen), bool(len(clips)), largest, same)


def random_clips(servable: Servable, count: int) -> list[np.ndarray]:
    """Clips (1, T, S, S, C) as an export takes them: coarse noise, always the same."""
    draw = np.random.default_rng(0)
    *frame, channels = servable.crop
    shape = (1, servable.clip_frames, _SIDE, _SIDE, channels)
    places = np.ix_(*(np.arange(side) * _SIDE // side for side in frame))
    clips = []
    for _ in range(count):
        coarse = draw.integers(0, 256, shape, dtype=np.uint8)
        if servable.stream == "flow":
            coarse = draw.normal(size=shape).astype(np.float32)
        clips.append(np.ascontiguousarray(coarse[:, :, *places]))
    return clips
