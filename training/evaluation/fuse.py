"""Two evaluations made one: the weighted mean of what RGB and flow say of each video."""

import contextlib
import csv
import json
import os
import tempfile
from pathlib import Path

import numpy as np

from ..config import ConfigError
from ..data.listings import first
from ..flow.streams import FUSION_WEIGHT
from ..fusion_picture import draw_sweep
from ..model_dir import ModelDir
from .multi_label import MultiLabelTally
from .predictions import Predictions, read_predictions
from .report import Report
from .scoring import TOP_K, VideoScores
from .tally import Tally

SWEEP = np.linspace(0, 1, 21)
"""Weights of the first evaluation that a sweep tries."""
SWEEP_CSV, SWEEP_PNG = "sweep.csv", "sweep.png"


def fuse(
    first_eval: str | os.PathLike,
    second_eval: str | os.PathLike,
    out: str | os.PathLike,
    weight: float = FUSION_WEIGHT,
    sweep: bool = False,
) -> dict:
    """Fuses the predictions of two evaluations on the same videos.

    Probabilities of a video, averaged over its clips, become weight * first + (1 - weight) *
    second (VMZ c2/tools/dense_prediction_fusion.py). Writes what `evaluate` does into `out`, all
    or none, and with `sweep` accuracy against weight as sweep.csv and sweep.png.

    Args:
        first_eval: the folder of an evaluation, by custom that of RGB.
        second_eval: another, of flow.
        out: the folder to write; neither of the two.
        weight: share of the first, in [0, 1].
        sweep: try all of SWEEP too. Its best weight was chosen on these videos, and flatters.

    Returns:
        What evaluation.json holds.

    Raises:
        ConfigError: no evaluations, or of other videos, classes or labels; a weight out of range.
    """
    if not 0 <= weight <= 1:
        raise ConfigError(f"weight={weight:g}: expected the share of the first, from 0 to 1.")
    evaluations = read_predictions(first_eval), read_predictions(second_eval)
    folder = ModelDir(Path(out))
    if folder.root.resolve() in [each.folder.resolve() for each in evaluations]:
        raise ConfigError(f"--out={out} holds one of the evaluations. Give another folder.")
    one, other = evaluations
    scores = np.stack([one.scores, _matched(one, other)])  # (2, V, K)
    with contextlib.ExitStack() as stack:
        report = stack.enter_context(Report(folder, one.classes, one.several_labels))
        tally = Tally(one.classes)
        if one.several_labels:
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder.root))
            tally = MultiLabelTally(one.classes, file)
        for name, labels, mean in zip(one.names, one.labels, _mean(scores, weight), strict=True):
            video = VideoScores(len(one.classes))
            video.add(mean[None])
            report.add(name, labels, tally.add(labels, video), mean)
        result = _result(tally, evaluations, weight)
        table, picture = folder.root / SWEEP_CSV, folder.root / SWEEP_PNG
        if sweep:
            rows, streams = swept(scores, one.labels), [part["stream"] for part in result["fused"]]
            _write_rows(rows, report.new(table))
            draw_sweep(rows, weight, len(one.names), streams, report.new(picture))
        report.finish(tally, f"{json.dumps(result, indent=2)}\n")
    if not sweep:
        for path in (table, picture):  # of an earlier fusion
            path.unlink(missing_ok=True)
    return result


def summary(result: dict) -> str:
    """The accuracies of a fusion and of each evaluation alone, a line each."""
    rows = [(f"{part['weight']:g} x {part['stream']}", part) for part in result["fused"]]
    named = [(part["stream"], part["accuracy"]) for _, part in rows]
    named.append((" + ".join(name for name, _ in rows), result["accuracy"]))
    width = max(len(name) for name, _ in named)
    shown = list(result["accuracy"])
    return "\n".join(
        f"{name:<{width}}  " + ", ".join(f"{key} {rates[key]:.1%}" for key in shown if key in rates)
        for name, rates in named
    )


def swept(scores: np.ndarray, labels: tuple[tuple[int, ...], ...]) -> list[dict[str, float]]:
    """Accuracy at each weight of SWEEP: "weight", "top1" and "topK", K = min(5, classes).

    Args:
        scores: (2, V, K), of both evaluations.
        labels: of each video; a hit is an answer that is one of them.
    """
    count, num_classes = scores.shape[1:]
    top = min(TOP_K, num_classes)
    own = np.zeros((count, num_classes), bool)
    for row, mine in zip(own, labels, strict=True):
        row[list(mine)] = True
    rows = []
    for weight in SWEEP:
        order = np.argsort(-_mean(scores, weight), axis=1, kind="stable")[:, :top]  # (V, top)
        hits = np.take_along_axis(own, order, axis=1)
        rates = {"top1": hits[:, 0].mean(), f"top{top}": hits.any(axis=1).mean()}
        rows.append({"weight": round(float(weight), 4), **{k: float(v) for k, v in rates.items()}})
    return rows


def _mean(scores: np.ndarray, weight: float) -> np.ndarray:
    return weight * scores[0] + (1 - weight) * scores[1]


def _matched(one: Predictions, other: Predictions) -> np.ndarray:
    """The scores of `other` in the order of `one`'s videos."""
    if one.classes != other.classes:
        differing = sorted(set(one.classes) ^ set(other.classes))
        raise ConfigError(
            f"{one.folder} and {other.folder} have other classes: "
            + (first(differing, "classes are in one of them alone") if differing else "their order")
        )
    places = {name: place for place, name in enumerate(other.names)}
    for here, there in ((one, other), (other, one)):
        alone = sorted(set(here.names) - set(there.names))
        if alone:
            what = f"videos are in {here.folder} and not in {there.folder}"
            raise ConfigError(f"{first(alone, what)} Evaluate both runs on the same videos.")
    pairs = zip(one.names, one.labels, strict=True)
    wrong = [name for name, labels in pairs if set(other.labels[places[name]]) != set(labels)]
    if wrong:
        what = f"videos have other labels in {one.folder} than in {other.folder}"
        raise ConfigError(f"{first(wrong, what)} Evaluate both runs on the same data set.")
    return other.scores[[places[name] for name in one.names]]


def _result(tally: Tally, evaluations: tuple[Predictions, Predictions], weight: float) -> dict:
    """What evaluation.json holds. A fusion is of videos, so that it has no rate of clips."""
    rates = {name: rate for name, rate in tally.rates().items() if not name.startswith("clip")}
    shares = (weight, 1 - weight)
    parts = [_part(each, share) for each, share in zip(evaluations, shares, strict=True)]
    terms = [f"{part['weight']:g} x {part['stream']} ({part['evaluation']})" for part in parts]
    one = evaluations[0].about
    return {
        "accuracy": rates,
        "calibration": tally.calibration.as_json(),
        "videos": tally.videos,
        "skipped": one.get("skipped", []),
        "missing": one.get("missing", []),
        "protocol": {
            "name": "fusion",
            "text": f"probabilities of each video are {' + '.join(terms)}; each video counts once",
            "weight": weight,
        },
        "fused": parts,
        "stream": "+".join(part["stream"] for part in parts),
        "dataset": one.get("dataset"),
        "split": one.get("split"),
        "classes": list(tally.classes),
        **tally.as_json(),
    }


def _part(evaluation: Predictions, share: float) -> dict:
    """What a fusion tells of one of its evaluations."""
    about = evaluation.about
    told = {name: about.get(name) for name in ("variant", "weights", "accuracy", "protocol")}
    stream = about.get("stream", "rgb")
    return {"evaluation": str(evaluation.folder), "weight": share, "stream": stream, **told}


def _write_rows(rows: list[dict[str, float]], path: Path) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)
