"""Accuracy of a run on its test videos: clip@1, video@1 and video@5 by the paper's protocol."""

import csv
import dataclasses
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import logging

from r21d_keras.zoo.durable import partial_name

from ..config import WEIGHTS, ConfigError, TrainConfig, typed, validate
from ..data.datasets import load_dataset
from ..data.pipeline import BadVideos, test_clips
from ..data.video_set import VideoSet
from ..model_dir import ModelDir, load_run, write_text
from ..pictures import draw_confusion
from .scoring import TOP_K, ClipScorer, best_labels, clip_scorer, score_clips

PROGRESS_S = 10.0  # seconds between two lines on how far the evaluation has come


@dataclass
class Tally:
    """Counts over videos; its size depends on the number of classes alone."""

    classes: tuple[str, ...]
    num_clips: int
    videos: int = 0
    clip_hits: int = 0
    top_k_hits: int = 0
    confusion: np.ndarray = field(init=False)  # (K, K) of (true, predicted)

    def __post_init__(self):
        """Starts with an empty confusion matrix."""
        self.confusion = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)

    def add(self, label: int, clip_scores: np.ndarray) -> np.ndarray:
        """Counts one video by its clips' probabilities (N, K); returns their mean (K,)."""
        scores = clip_scores.mean(axis=0)
        best = best_labels(scores)
        self.videos += 1
        self.clip_hits += int((clip_scores.argmax(axis=1) == label).sum())
        self.top_k_hits += int(label in best)
        self.confusion[label, best[0]] += 1
        return scores

    def rates(self) -> dict[str, float]:
        """clip@1, video@1 and video@k, k = min(5, classes), in [0, 1]."""
        return {
            "clip@1": self.clip_hits / (self.videos * self.num_clips),
            "video@1": int(np.trace(self.confusion)) / self.videos,
            f"video@{min(TOP_K, len(self.classes))}": self.top_k_hits / self.videos,
        }


def evaluate(
    model_dir: str | os.PathLike,
    num_clips: int | None = None,
    weights: str = WEIGHTS[0],
    places: Mapping[str, str] | None = None,
) -> dict:
    """Evaluates a run on its test videos; each counts once.

    `num_clips` evenly spaced centre-crop clips of a video are classified and their softmax
    averaged (section 4.1 of the paper; VMZ c2/tools/test_net.py). Writes evaluation.json,
    predictions.csv and confusion.png into `model_dir`, all three or none.

    Args:
        model_dir: the folder of a run.
        num_clips: clips a video; None: the run's eval_clips.
        weights: one of config.WEIGHTS.
        places: values of videos, splits, manifest, where they moved since training.

    Returns:
        What evaluation.json holds: accuracies, number of videos, those skipped, the protocol.

    Raises:
        ConfigError: no run, other classes than those of training, or no readable test video.
        VideoError: a video that fails in mid-run, with on_bad_video="stop".
    """
    config, classes, model = load_run(model_dir, weights)
    config = dataclasses.replace(config, **typed(places or {}))
    validate(config)
    videos, scorer = load_dataset(config, "test"), clip_scorer(model)
    _check_classes(classes, videos)
    folder = ModelDir(Path(model_dir))
    rows = partial_name(folder.predictions)
    try:
        with open(rows, "w", newline="", encoding="utf-8") as file:
            tally, skipped = _answer(scorer, videos, config, num_clips or config.eval_clips, file)
        text = json.dumps(_result(tally, skipped, config, weights), indent=2)
        draw_confusion(tally.confusion, classes, folder.confusion)
        os.replace(rows, folder.predictions)
        write_text(folder.evaluation, f"{text}\n")
    finally:
        rows.unlink(missing_ok=True)
    return json.loads(text)


def summary(result: dict) -> str:
    """The accuracies of an evaluation in one line, with what they were measured on."""
    rates = ", ".join(f"{name} {value:.1%}" for name, value in result["accuracy"].items())
    skipped = f", {len(result['skipped'])} skipped" if result["skipped"] else ""
    clips = result["protocol"]["clips_per_video"]
    return f"{rates} ({result['videos']} videos{skipped}, clips a video: {clips})"


def _answer(
    scorer: ClipScorer, videos: VideoSet, config: TrainConfig, num_clips: int, file
) -> tuple[Tally, list[tuple[str, str]]]:
    """Counts each video, writes its row to `file`; also (path, reason) of those not readable."""
    tally, bad = Tally(videos.classes, num_clips), BadVideos()
    table, said_s = csv.writer(file), time.monotonic()
    table.writerow(["video", "label", "predicted", *tally.classes])
    try:
        for clips, index in test_clips(videos, config, num_clips, bad):
            label = videos.labels[int(index)]
            scores = tally.add(label, score_clips(scorer, clips))
            names = tally.classes[label], tally.classes[best_labels(scores)[0]]
            table.writerow([videos.names[int(index)], *names, *(f"{s:.6g}" for s in scores)])
            if time.monotonic() - said_s > PROGRESS_S:
                logging.info("Evaluated %d of %d videos.", tally.videos, len(videos))
                said_s = time.monotonic()
    except tf.errors.OpError as error:  # how TensorFlow reports what its input pipeline raised
        raise (bad.fatal or error) from None
    skipped = [*videos.left_out, *bad.files]
    if not tally.videos:
        reasons = "; ".join(": ".join(item) for item in skipped[:3])
        raise ConfigError(
            f"None of the {len(skipped)} test videos could be read. Expected at least one: "
            f"replace them. {reasons}"
        )
    return tally, skipped


def _check_classes(classes: tuple[str, ...], videos: VideoSet) -> None:
    if tuple(videos.classes) != classes:
        differing = sorted(set(videos.classes) ^ set(classes)) or "the order"
        raise ConfigError(
            f"The test videos have other classes than the run: {differing} differ. Expected "
            f"{len(classes)} classes as in the run's classes.txt. Evaluate on the data set of the "
            "training."
        )


def _result(
    tally: Tally, skipped: list[tuple[str, str]], config: TrainConfig, weights: str
) -> dict:
    """What evaluation.json holds."""
    return {
        "accuracy": tally.rates(),
        "videos": tally.videos,
        "skipped": [{"video": path, "reason": reason} for path, reason in skipped],
        "protocol": {
            "text": (
                f"{tally.num_clips} evenly spaced clips of {config.clip_frames} frames at "
                f"{config.frame_rate:g} Hz from each video, resized to {config.resize_height}x"
                f"{config.resize_width}, centre crop {config.crop_size}x{config.crop_size}, "
                "softmax averaged over the clips; each video counts once"
            ),
            "clips_per_video": tally.num_clips,
            "clip_frames": config.clip_frames,
            **dataclasses.asdict(config.preprocessing),
        },
        "variant": config.variant,
        "dataset": config.dataset,
        "split": config.split if config.dataset == "ucf101" else None,
        "weights": weights,
        "classes": list(tally.classes),
        "confusion": tally.confusion.tolist(),
    }
