"""Whether published checkpoints are what the zoo says: got, converted, counted, and tried."""

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from r21d_keras.zoo.builders import BUILDERS
from r21d_keras.zoo.cache import original_file, weights_file
from r21d_keras.zoo.published import Weights

from .data.video import probe
from .predict import predict
from .predictor import predictor_of

STEPS = ("file", "converted", "parameters", "clips")
"""What is verified of a row, in this order; what follows a failure is not tried."""
OK, FAILED, NOT_TRIED = "ok", "failed", "-"
NUM_CLIPS = 10  # of each video, as in the paper's protocol (section 4.1)


@dataclass(frozen=True)
class Answer:
    """The best label of a video with its score in [0, 1]."""

    video: str
    label: str
    score: float


@dataclass(frozen=True)
class Verdict:
    """What was found of one checkpoint.

    steps: for each of STEPS "ok", "failed" or "-"; for "file", instead of "ok", "published" where
    it has the published hash, and "first seen" where none is published and it is the file that
    was seen first. answers: one for each video. error: why a step failed.
    """

    name: str
    steps: dict[str, str]
    answers: tuple[Answer, ...] = ()
    error: str = ""


def verify(row: Weights, videos: Sequence[str] = (), num_clips: int = NUM_CLIPS) -> Verdict:
    """Gets the file of a row, checks its hash, converts it, builds the network and tries it.

    The file comes from the cache or from R21D_MIRROR where it is there; the network from its public
    builder. `videos` are classified. Nothing is raised: whatever goes wrong is in the verdict.
    """
    steps, answers, error = dict.fromkeys(STEPS, NOT_TRIED), (), ""
    trial = _steps(row, videos, num_clips)
    for step in STEPS:
        try:
            steps[step], answers = next(trial)
        except Exception as failure:  # whatever it is: the other rows are still to be verified
            steps[step], error = FAILED, _reason(failure)
            break
    return Verdict(row.name, steps, answers, error)


def verify_and_print(
    rows: Iterable[Weights],
    videos: Sequence[str] = (),
    *,
    num_clips: int = NUM_CLIPS,
    as_json: bool = False,
) -> int:
    """Prints the verdict on each row as it is found, as a table or as a line of JSON.

    Returns:
        How many rows have failed.

    Raises:
        VideoError: before any row is looked at, where a video cannot be read.
    """
    rows = list(rows)
    for video in videos:
        probe(video)
    width = max((len(row.name) for row in rows), default=0)
    if not as_json:
        print(_line("weights", dict(zip(STEPS, STEPS, strict=True)), width), flush=True)
    failed = 0
    for row in rows:
        verdict = verify(row, videos, num_clips)
        failed += bool(verdict.error)
        print(_as_json(verdict) if as_json else _as_text(verdict, width), flush=True)
        keras.backend.clear_session()  # or the networks of all rows would stay in memory
        gc.collect()
    if not as_json:
        print(f"{len(rows) - failed} of {len(rows)} verified.")
    return failed


def _steps(
    row: Weights, videos: Sequence[str], num_clips: int
) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    """The state of each of STEPS with the answers so far, as it is reached."""
    original_file(row)
    yield "published" if row.file_hash else "first seen", ()
    path = weights_file(row)
    model = BUILDERS[row.variant](weights=str(path), input_shape=row.input_shape)
    yield OK, ()
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    if count != row.num_params:
        raise ValueError(f"{count:,} parameters; expected {row.num_params:,}.")
    yield OK, ()
    if not videos:
        yield NOT_TRIED, ()
        return
    yield OK, tuple(_answers(row, model, videos, num_clips))


def _answers(
    row: Weights, model: keras.Model, videos: Sequence[str], num_clips: int
) -> Iterator[Answer]:
    predictor = predictor_of(row, model)
    for video in videos:
        found = predict(predictor, video, num_clips)
        yield Answer(found.video, found.labels[0], found.scores[0])


def _reason(failure: Exception) -> str:
    expected = isinstance(failure, ValueError | OSError) and str(failure)
    text = str(failure) if expected else f"{type(failure).__name__}: {failure}"
    return " ".join(text.split())


def _as_json(verdict: Verdict) -> str:
    answers = [
        {"video": answer.video, "label": answer.label, "score": round(answer.score, 6)}
        for answer in verdict.answers
    ]
    about = {"weights": verdict.name, **verdict.steps, "answers": answers}
    return json.dumps({**about, "error": verdict.error or None})


def _as_text(verdict: Verdict, width: int) -> str:
    lines = [_line(verdict.name, verdict.steps, width)]
    lines += [f"  {a.score:6.1%}  {a.label}  ({a.video})" for a in verdict.answers]
    return "\n".join(lines + [f"  {verdict.error}"] * bool(verdict.error))


def _line(name: str, steps: dict[str, str], width: int) -> str:
    return "  ".join([f"{name:{width}}", *(f"{state:10}" for state in steps.values())]).rstrip()
