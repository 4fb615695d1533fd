import csv
import json
import os
import shutil

import numpy as np
import pytest
from matplotlib.image import imread

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import clip_spec, normalise
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.evaluation.evaluate import evaluate, summary
from r21d_keras.training.evaluation.predictions import read_predictions
from r21d_keras.training.evaluation.protocols import Protocol
from r21d_keras.training.evaluation.scoring import best_labels, score_clips
from r21d_keras.training.model_dir import load_run
from r21d_keras.zoo.labels import load_labels

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
    run = tiny_run(variant="f_r2d_10")
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
    run = tiny_run(variant="f_r2d_10", videos=str(folder), on_bad_video="skip")
    result = evaluate(run, Protocol(num_clips=1))
    assert result["videos"] == 7
    assert [entry["video"] for entry in result["skipped"]] == [str(bad)]
    assert "empty" in result["skipped"][0]["reason"]


def test_an_unreadable_set_is_an_error_that_leaves_nothing(tiny_run, tmp_path):
    run = tiny_run(variant="f_r2d_10", videos=str(tmp_path / "moved"))
    with pytest.raises(ValueError, match="moved"):
        evaluate(run)
    assert not FILES & {path.name for path in run.iterdir()}


def test_command_finds_videos_that_moved(tiny_run, tmp_path, motion_videos, capsys):
    run = tiny_run(variant="f_r2d_10", videos=str(tmp_path / "moved"))
    arguments = [f"--model_dir={run}", f"--videos={motion_videos}", "--weights=final"]
    assert main(["evaluate", *arguments]) == 0
    assert "(8 videos, clips a video: 2)" in capsys.readouterr().out
    assert FILES <= {path.name for path in run.iterdir()}


def test_names_of_videos_that_are_not_utf8_are_kept(tiny_run, motion_videos, tmp_path):
    run = tiny_run(variant="f_r2d_10")
    shutil.copytree(motion_videos, tmp_path / "videos", symlinks=True)
    first = min(path for path in (tmp_path / "videos").rglob("*.*") if path.is_file())
    first.rename(first.with_name(os.fsdecode(b"caf\xe9.") + first.suffix[1:]))
    evaluate(run, places={"videos": str(tmp_path / "videos")})
    assert sum("caf\udce9" in name for name in read_predictions(run).names) == 1


def test_videos_that_are_named_are_tested_on_in_place_of_the_runs_records(tiny_run, motion_videos):
    run = tiny_run(variant="f_r2d_10", records="moved")
    with pytest.raises(ConfigError, match="records='moved': no such folder"):
        evaluate(run)
    assert evaluate(run, places={"videos": str(motion_videos)})["source"] == "videos"
    with pytest.raises(ConfigError, match="records='other': no such folder"):
        evaluate(run, places={"videos": str(motion_videos), "records": "other"})


def test_other_classes_than_those_of_training_are_refused(tiny_run):
    with pytest.raises(ValueError, match="other classes than the run"):
        evaluate(tiny_run(classes=tuple("abcdefgh")))


def test_broken_weights_are_an_error():
    with pytest.raises(ValueError, match="not finite"):
        score_clips(lambda clips: np.full((len(clips), 2), np.nan), np.zeros((3, 1)))


def test_equal_scores_keep_the_order_of_the_classes():
    assert best_labels(np.array([0.2, 0.3, 0.2, 0.3]), 3).tolist() == [1, 3, 0]


def test_the_table_of_classes_and_the_calibration_are_there(tiny_run):
    run = tiny_run(variant="f_r2d_10")
    result = evaluate(run)
    with open(run / "per_class.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == result["classes"]
    confusion = np.array(result["confusion"])
    assert [int(row["videos"]) for row in rows] == confusion.sum(axis=1).tolist()
    assert [float(row["accuracy"]) for row in rows] == confusion.diagonal().tolist()
    calibration = result["calibration"]
    assert sum(calibration["bins"]["videos"]) == 8 and 0 <= calibration["ece"] <= 1
    assert "1706.04599" in calibration["definition"]
    assert imread(run / "reliability.png").ndim == 3


def test_results_in_a_folder_of_their_own(tiny_run, tmp_path, capsys):
    run, out = tiny_run(variant="f_r2d_10"), tmp_path / "new" / "dense"
    arguments = ["--protocol=dense", "--frames=crop", "--stride=2", f"--out={out}"]
    assert main(["evaluate", f"--model_dir={run}", *arguments]) == 0
    assert "ECE" in (said := capsys.readouterr().out) and "dense, clips every 2 frames" in said
    assert {path.name for path in out.iterdir()} == FILES
    assert not FILES & {path.name for path in run.iterdir()}
    protocol = json.loads((out / "evaluation.json").read_text("utf-8"))["protocol"]
    stated = {name: protocol[name] for name in ("name", "frames", "stride", "overlap")}
    assert stated == {"name": "dense", "frames": "crop", "stride": 2, "overlap": "share"}
    assert "every 2 frames and at the end" in protocol["text"]
    assert protocol["crop_size"] == 32 and protocol["clip_frames"] == 4


def test_results_cannot_go_into_a_file(tiny_run, tmp_path, capsys):
    run = tiny_run(variant="f_r2d_10", videos=str(tmp_path / "moved"))
    file = tmp_path / "file"
    file.write_text("mine")
    for out in (file, file / "below"):
        assert main(["evaluate", f"--model_dir={run}", f"--out={out}"]) == 1
        said = f"out='{out}': {file} is a file; expected a folder for the results."
        assert said in capsys.readouterr().err
    assert main(["evaluate", f"--model_dir={file}"]) == 1
    assert f"{file} holds no training run" in capsys.readouterr().err


def test_what_a_network_cannot_share_is_an_error_before_any_video(tiny_run, tmp_path, capsys):
    run = tiny_run(variant="r2d_10", videos=str(tmp_path / "moved"))
    arguments = ["evaluate", f"--model_dir={run}", "--protocol=dense", "--overlap=share"]
    assert main(arguments) == 1
    assert "overlap=share: r2d_10 cannot, as the frames of a clip" in capsys.readouterr().err


@pytest.fixture
def sports(tmp_path, tiny_videos):
    """Sports-1M in small: four videos that are there and one that is not, some of two labels."""
    clips = sorted(tiny_videos.rglob("*.mp4"))
    lists = {
        "train": ["video-000-0 0", "video-000-1 1,2"],
        "test": ["video-000-2 0", "video-000-3 1,2", "video-is-no 2"],
    }
    for subset, lines in lists.items():
        text = "".join(f"http://www.youtube.com/watch?v={line}\n" for line in lines)
        (tmp_path / f"{subset}_partition.txt").write_text(text)
    for number, clip in enumerate(clips[:4]):
        (tmp_path / f"video-000-{number}.mp4").symlink_to(clip)
    return tmp_path


def test_videos_of_several_labels(tiny_run, sports):
    classes = tuple(load_labels("sports1m")[:3])
    options = {"dataset": "sports1m", "videos": str(sports), "splits": str(sports)}
    run = tiny_run(classes=classes, variant="f_r2d_10", **options)
    (run / "confusion.png").write_bytes(b"of a run on one label each")
    result = evaluate(run)
    assert result["videos"] == 2 and len(result["missing"]) == 1
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [classes[0], "|".join(classes[1:])]
    scores = np.array([[float(row[name]) for name in classes] for row in rows])
    hits = [scores[0].argmax() == 0, scores[1].argmax() in (1, 2)]
    # Of two videos: the average precision of a class with one is 1 where it is first, else 1/2.
    orders = [scores[own, k] > scores[1 - own, k] for k, own in ((0, 0), (1, 1), (2, 1))]
    assert result["accuracy"]["hit@1"] == pytest.approx(np.mean(hits))
    assert result["accuracy"]["hit@3"] == 1
    assert result["accuracy"]["mAP"] == pytest.approx(np.mean([1 if o else 0.5 for o in orders]))
    assert result["labels_per_video"] == 1.5 and "confusion" not in result
    assert {path.name for path in run.iterdir()} >= FILES - {"confusion.png"}
    assert not (run / "confusion.png").exists()
    assert "1 missing" in summary(result)


def test_records_are_tested_as_their_videos_are(tiny_run, motion_videos, tmp_path, capsys):
    out = tmp_path / "records"
    places = ["--dataset=folder", f"--videos={motion_videos}", f"--out={out}"]
    assert main(["prepare", *places, "--resize_height=36", "--resize_width=40"]) == 0
    run, found = tiny_run(variant="mc2_10", clip_frames=8), []
    for protocol in ("clips", "dense"):
        for source in ([], [f"--records={out}"]):
            results = tmp_path / f"{protocol}{len(source)}"
            arguments = [f"--model_dir={run}", f"--protocol={protocol}", f"--out={results}"]
            assert main(["evaluate", *arguments, *source]) == 0
            result = json.loads((results / "evaluation.json").read_text("utf-8"))
            assert result["source"] == ("records" if source else "videos")
            with open(results / "predictions.csv", newline="", encoding="utf-8") as file:
                rows = sorted(list(csv.reader(file))[1:])
            assert len(rows) == 8
            found.append(np.array([row[3:] for row in rows], np.float64))
    np.testing.assert_allclose(found[0], found[1], atol=0.05)  # what JPEG loses
    np.testing.assert_allclose(found[2], found[3], atol=0.05)


def test_an_evaluation_that_fails_leaves_the_earlier_one_as_it_was(tiny_run):
    run = tiny_run(variant="f_r2d_10")
    evaluate(run)
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    _, _, model = load_run(run)
    model.layers[-1].bias.assign(np.full(8, np.nan))
    model.save_weights(str(run / "final.weights.h5"))
    with pytest.raises(ValueError, match="not finite: its weights are broken"):
        evaluate(run, Protocol(name="dense"))
    before["final.weights.h5"] = (run / "final.weights.h5").read_bytes()
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
