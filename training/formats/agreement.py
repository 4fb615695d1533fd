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
    """clips: how many were compared, given: whether they are the caller's own. largest: difference
    of a score. same_best: share of clips with the same best label."""

    clips: int
    given: bool
    largest: float
    same_best: float

    def __str__(self):
        clips = f"{self.clips} {'given' if self.given else 'random'} clips"
        return (
            f"scores differ by at most {self.largest:.1e} from those of Keras on {clips}; "
            f"{self.same_best:.0%} have the same best label"
        )


def agreement(
    folder: Path, name: str, precision: str, servable: Servable, clips: Sequence[np.ndarray] = ()
) -> Agreement:
    """Compares the export in `folder` with the network it is of.

    Args:
        name: of table.FORMATS.
        clips: (1, T, S, S, C) as the export takes them; none: random ones are made.

    Raises:
        ConfigError: scores that are further apart than `precision` allows, or not finite.
    """
    run = open_session(folder, name)
    chosen = list(clips[:: -(-len(clips) // CLIPS)]) if len(clips) else random_clips(servable, 2)
    expected = [_expected(servable, clip) for clip in chosen]
    found = [run(clip) for clip in chosen]
    scores, wanted = (np.concatenate([one[PROBABILITIES] for one in a]) for a in (found, expected))
    whole = all(np.isfinite(one[EMBEDDING]).all() for one in found) and np.isfinite(scores).all()
    largest = float(np.abs(scores - wanted).max()) if whole else float("inf")
    if largest > (TOLERANCE if precision == "float32" else 1.0):
        raise ConfigError(
            f"{FORMATS[name].runtime} computes scores that are {largest:.1e} from those of Keras; "
            f"expected {TOLERANCE:.0e} at most, so nothing was written. Try another precision or "
            "format, or another version of the runtime."
        )
    same = float((scores.argmax(axis=1) == wanted.argmax(axis=1)).mean())
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


def _expected(servable: Servable, clip: np.ndarray) -> dict[str, np.ndarray]:
    scores = servable.model(normalise(clip, servable.preprocessing), training=False)
    return {PROBABILITIES: scores.numpy()}
