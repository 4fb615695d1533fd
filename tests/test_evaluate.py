import csv
import json

import numpy as np
import pytest
from matplotlib.image import imread

from r21d_keras.training.cli import main
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import clip_spec, normalise
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.evaluation.protocols import Protocol
from r21d_keras.training.evaluation.scoring import best_labels, score_clips
from r21d_keras.training.model_dir import load_run

FILES = {
    "evaluation.json",
    "predictions.csv",
    "per_class.csv",
    "confusion.png",
    "reliability.png",
}


def by_hand(run, num_clips):
    """Labels (N,) and probabilities (N, clips, K) of the test videos, read one by one."""
    config, _, model = load_run(run)
    videos = load_dataset(config, "test")
    spec = clip_spec(videos, config)
    clips = [read_test_clips(path, num_clips, spec) for path in videos.paths]
    scores = [model(normalise(clip, config.preprocessing)).numpy() for clip in clips]
    return np.array(videos.labels), np.stack(scores)


def test_accuracies_are_those_computed_by_hand(tiny_run):
    run = tiny_run()
    result = evaluate(run, Protocol(num_clips=3))
    labels, scores = by_hand(run, 3)
    mean = scores.mean(axis=1)
    order = np.argsort(-mean, axis=1)
    assert result["accuracy"] == {
        "clip@1": pytest.approx((scores.argmax(axis=2) == labels[:, None]).mean()),
        "video@1": pytest.approx((order[:, 0] == labels).mean()),
        "video@5": pytest.approx((order[:, :5] == labels[:, None]).any(axis=1).mean()),
        "mean_class": pytest.approx((order[:, 0] == labels).mean()),  # one video each
    }
    assert result["videos"] == 8 and result["skipped"] == []
    confusion = np.zeros((8, 8), int)
    np.add.at(confusion, (labels, order[:, 0]), 1)
    assert result["confusion"] == confusion.tolist()


def test_files_hold_every_video_once_and_the_protocol(tiny_run):
    run = tiny_run()
    result = evaluate(run)
    assert json.loads((run / "evaluation.json").read_text("utf-8")) == result
    assert result["protocol"]["clips_per_video"] == 2  # the run's eval_clips
    assert "2 evenly spaced clips of 4 frames at 15 Hz" in result["protocol"]["text"]
    config, classes, _ = load_run(run)
    videos = load_dataset(config, "test")
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == list(videos.names)
    assert [row["label"] for row in rows] == [classes[label] for label in videos.labels]
    for row in rows:
        scores = [float(row[name]) for name in classes]
        assert sum(scores) == pytest.approx(1, abs=1e-4)
        assert row["predicted"] == classes[int(np.argmax(scores))]
    assert imread(run / "confusion.png").ndim == 3
    assert not [path for path in run.iterdir() if "part" in path.name]


def test_bad_videos_are_skipped_and_named(tiny_run, motion_videos, tmp_path):
    folder = tmp_path / "videos"
    for source in motion_videos.rglob("*.mp4"):
        target = folder / source.relative_to(motion_videos)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
    bad = next((folder / "test").rglob("*.mp4"))
    bad.write_bytes(b"")
    run = tiny_run(videos=str(folder), on_bad_video="skip")
    result = evaluate(run, Protocol(num_clips=1))
    assert result["videos"] == 7
    assert [entry["video"] for entry in result["skipped"]] == [str(bad)]
    assert "empty" in result["skipped"][0]["reason"]


def test_an_unreadable_set_is_an_error_that_leaves_nothing(tiny_run, tmp_path):
    run = tiny_run(videos=str(tmp_path / "moved"))
    with pytest.raises(ValueError, match="moved"):
        evaluate(run)
    assert not FILES & {path.name for path in run.iterdir()}


def test_command_finds_videos_that_moved(tiny_run, tmp_path, motion_videos, capsys):
    run = tiny_run(videos=str(tmp_path / "moved"))
    arguments = [f"--model_dir={run}", f"--videos={motion_videos}", "--weights=final"]
    assert main(["evaluate", *arguments]) == 0
    assert "(8 videos, clips a video: 2)" in capsys.readouterr().out
    assert FILES <= {path.name for path in run.iterdir()}


def test_other_classes_than_those_of_training_are_refused(tiny_run):
    with pytest.raises(ValueError, match="other classes than the run"):
        evaluate(tiny_run(classes=tuple("abcdefgh")))


def test_broken_weights_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        score_clips(lambda clips: np.full((len(clips), 2), np.nan), np.zeros((3, 1)))


def test_equal_scores_keep_the_order_of_the_classes():
    assert best_labels(np.array([0.2, 0.3, 0.2, 0.3]), 3).tolist() == [1, 3, 0]
