"""What videos show, by a run or by a SavedModel: top labels from clips spread over each video."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from r21d_keras.clips import frame_times, uniform_starts

from .data.decoder import VideoError
from .data.video import probe, read_clip, read_clips
from .evaluation.scoring import best_labels, score_clips
from .pictures import check_picture
from .prediction_picture import MAX_ROWS, PredictionRow, draw_predictions
from .predictor import Predictor
from .serving.transport import ServerError

PICTURE_HEIGHT = 160  # pixels of a frame in the prediction picture


@dataclass(frozen=True)
class Prediction:
    """The best labels of a video with their scores in [0, 1], best first."""

    video: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]


def predict(predictor: Predictor, video: str | os.PathLike, num_clips: int = 10) -> Prediction:
    """The best labels of one video: softmax averaged over `num_clips` evenly spaced clips.

    Raises:
        VideoError: if the file cannot be read.
    """
    info = probe(video)
    clips = read_clips(
        video,
        lambda duration_s: _starts(predictor, duration_s, num_clips),
        predictor.clip_frames,
        predictor.preprocessing.frame_rate,
        predictor.short_video,
        predictor.preprocessing.resized(info.height, info.width),
    )
    scores = score_clips(predictor.scorer, clips).mean(axis=0)
    best = best_labels(scores)
    return Prediction(
        os.fspath(video),
        tuple(predictor.classes[place] for place in best),
        tuple(float(scores[place]) for place in best),
    )


def predict_and_print(
    load: Callable[[], Predictor],
    videos: Iterable[str],
    *,
    num_clips: int = 10,
    as_json: bool = False,
    picture: str | None = None,
) -> int:
    """Prints the best labels of each video as it is done, as a table or as a line of JSON.

    A file that cannot be read, or whose frames the model refuses, is one line on stderr (in JSON
    also an object with "error"); the others are still answered.

    Args:
        load: what loads the model, or reaches it at a server, once the rest is known to be right.
        picture: a PNG that gets one row for each video.

    Returns:
        How many files were not answered.

    Raises:
        ValueError: before any video is read, where the model or the picture cannot be.
        ServerError: a server that does not answer; the videos before it are.
    """
    videos = list(videos)
    if picture:
        check_picture("--picture", picture)
        _check_rows(len(videos))
    predictor = load()
    rows, failed = [], 0
    for video in videos:
        try:
            prediction = predict(predictor, video, num_clips)
            if picture:
                rows.append(_row(predictor, prediction))
        except VideoError as error:
            said = str(error)
        except ServerError as error:
            if error.code != "INVALID_ARGUMENT":
                raise
            said = f"{video}: {error}"
        else:
            print(_as_json(prediction) if as_json else _as_table(prediction), flush=True)
            continue
        failed += 1
        print(f"r21d predict: error: {said}", file=sys.stderr)
        if as_json:
            print(json.dumps({"video": video, "error": said}), flush=True)
    if rows:
        draw_predictions(rows, picture)
    return failed


def _starts(predictor: Predictor, duration_s: float, num_clips: int) -> np.ndarray:
    rate = predictor.preprocessing.frame_rate
    return uniform_starts(duration_s, predictor.clip_frames, rate, num_clips)


def _row(predictor: Predictor, prediction: Prediction) -> PredictionRow:
    """The clip in the middle of the video, in the video's own shape, with the labels."""
    info = probe(prediction.video)
    count, rate = predictor.clip_frames, predictor.preprocessing.frame_rate
    (start_s,) = _starts(predictor, info.duration_s, 1)
    size = (PICTURE_HEIGHT, max(1, round(PICTURE_HEIGHT * info.width / info.height)))
    frames = read_clip(prediction.video, start_s, count, rate, predictor.short_video, size)
    times_s = frame_times(start_s, count, rate)
    title = f"{Path(prediction.video).name}: {prediction.labels[0]}"
    return PredictionRow(title, frames, times_s, prediction.labels, prediction.scores)


def _check_rows(num_videos: int) -> None:
    if num_videos > MAX_ROWS:
        raise ValueError(
            f"A picture shows up to {MAX_ROWS} videos; got {num_videos}. Leave --picture out, or "
            "give fewer videos at a time."
        )


def _as_json(prediction: Prediction) -> str:
    pairs = zip(prediction.labels, prediction.scores, strict=True)
    labels = [{"label": label, "score": round(score, 6)} for label, score in pairs]
    # In ASCII: what a terminal or pipe that is not UTF-8 makes of the rest is no JSON any more.
    return json.dumps({"video": prediction.video, "labels": labels})


def _as_table(prediction: Prediction) -> str:
    pairs = zip(prediction.labels, prediction.scores, strict=True)
    return "\n".join([prediction.video, *(f"  {score:6.1%}  {label}" for label, score in pairs)])
