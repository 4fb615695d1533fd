import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from r21d_keras import zoo
from r21d_keras.clips import uniform_starts
from r21d_keras.training.cli import main
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.data.video import read_clips
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.predict import predict
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving.names import METADATA
from r21d_keras.training.serving.saved_model import export
from r21d_keras.zoo import weights
from tests import cached_rows


@pytest.fixture
def videos(motion_videos):
    return sorted(str(path) for path in (motion_videos / "test").rglob("*.mp4"))


def test_a_run_and_its_export_say_what_the_model_says(tiny_run, tmp_path, videos):
    run, exported = tiny_run(), tmp_path / "1"
    export(run, tmp_path)
    config, classes, model = load_run(run)
    spec = ClipSpec(num_frames=4, preprocessing=config.preprocessing)
    for folder in (run, exported):
        predictor = load_predictor(folder)
        for video in videos[:2]:
            clips = normalise(read_test_clips(video, 3, spec), config.preprocessing)
            expected = model(clips).numpy().mean(axis=0)
            answer = predict(predictor, video, 3)
            assert answer.video == video
            np.testing.assert_allclose(answer.scores, np.sort(expected)[::-1][:5], atol=1e-5)
            assert answer.labels[0] == classes[expected.argmax()]


def test_many_clips_are_averaged_a_few_at_a_time(tiny_run, videos):
    predictor = load_predictor(tiny_run())
    assert sum(predict(predictor, videos[0], 23).scores) <= 1 + 1e-5


def test_every_real_container_and_codec_is_answered(tiny_run, test_data, capsys):
    clips = sorted(str(path) for path in (test_data / "clips").iterdir())
    assert main(["predict", f"--model={tiny_run()}", "--num_clips=2", "--json", *clips]) == 0
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["video"] for answer in answers] == clips
    for answer in answers:
        scores = [row["score"] for row in answer["labels"]]
        assert scores == sorted(scores, reverse=True) and len(scores) == 5


@pytest.mark.parametrize("as_json", [False, True])
def test_bad_files_are_named_and_the_others_answered(tiny_run, videos, tmp_path, capsys, as_json):
    text, empty, missing = (tmp_path / name for name in ("text.mp4", "empty.avi", "missing.mp4"))
    text.write_text("this is no video\n" * 100)
    empty.touch()
    arguments = [videos[0], text, missing, videos[1], empty, tmp_path, *["--json"][:as_json]]
    assert main(["predict", *map(str, arguments), f"--model={tiny_run()}", "--num_clips=1"]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert len(lines) == 4
    for line, path, reason in zip(
        lines,
        (text, missing, empty, tmp_path),
        ("not a video", "No such file", "empty", "folder"),
        strict=True,
    ):
        assert line.startswith(f"r21d predict: error: {path}: ")
        assert reason.lower() in line.lower()
    if as_json:
        answers = [json.loads(line) for line in out.splitlines()]
        assert ["error" in answer for answer in answers] == [False, True, True, False, True, True]
    else:
        assert [line for line in out.splitlines() if line[0] != " "] == videos[:2]


@pytest.mark.parametrize("as_json", [False, True])
def test_names_that_are_not_utf_8_are_answered(tiny_run, videos, tmp_path, as_json):
    names = [os.fsencode(tmp_path) + b"/" + name for name in (b"caf\xe9.mp4", b"bad\xe9.mp4")]
    shutil.copy(videos[0], names[0])
    pathlib.Path(os.fsdecode(names[1])).write_text("no video")
    done = subprocess.run(
        [sys.executable, "-m", "r21d_keras.training.cli", "predict", *["--json"][:as_json]]
        + [f"--model={tiny_run()}", "--num_clips=1", *names],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONIOENCODING": "utf-8:strict",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert "bad\\udce9.mp4: is not a video" in done.stderr and "Traceback" not in done.stderr
    if as_json:
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [os.fsencode(answer["video"]) for answer in answers] == names
    else:
        assert done.stdout.splitlines()[0] == f"{tmp_path}/caf\\udce9.mp4"


def test_table_shows_labels_with_their_shares(tiny_run, videos, capsys):
    assert main(["predict", f"--model={tiny_run()}", videos[0], "--num_clips=1"]) == 0
    first, *rows = capsys.readouterr().out.splitlines()
    assert first == videos[0]
    assert len(rows) == 5 and all(row.split()[0].endswith("%") for row in rows)


def test_picture_has_a_row_for_each_video(tiny_run, videos, tmp_path, capsys):
    heights = []
    for count in (1, 3):
        picture = tmp_path / f"{count}.png"
        arguments = ["--num_clips=2", f"--picture={picture}", *videos[:count]]
        assert main(["predict", f"--model={tiny_run()}", *arguments]) == 0
        heights.append(imread(picture).shape[0])
    assert heights[1] == pytest.approx(3 * heights[0], abs=3)


@pytest.mark.parametrize(
    ("picture", "message"),
    [("out.jpg", "ends in .png"), ("no/such/folder/out.png", "folder does not exist")],
)
def test_a_picture_that_cannot_be_is_refused_at_once(tmp_path, picture, message, capsys):
    arguments = ["predict", "--model=none", f"--picture={tmp_path / picture}", "none.mp4"]
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_too_many_videos_for_a_picture_are_refused_at_once(tmp_path, capsys):
    picture = f"--picture={tmp_path / 'out.png'}"
    assert main(["predict", "--model=none", picture, *["none.mp4"] * 51]) == 1
    assert "shows up to 50 videos; got 51" in capsys.readouterr().err


def test_folders_that_are_no_model_are_refused(tiny_run, tmp_path):
    export(tiny_run(), tmp_path / "export", version=2)
    with pytest.raises(ValueError, match=r"Did you mean .*export/2\?"):
        load_predictor(tmp_path / "export")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds neither a run"):
        load_predictor(tmp_path / "empty")
    (tmp_path / "export" / "2" / METADATA).unlink()
    with pytest.raises(ValueError, match="without assets.extra/r21d.json"):
        load_predictor(tmp_path / "export" / "2")


def test_published_weights_answer_by_their_name(motion_videos, tmp_path, monkeypatch, capsys):
    row = cached_rows.row_of(labels=None)
    (tmp_path / row.file_name).write_bytes(cached_rows.checkpoint())
    monkeypatch.setattr(weights, "WEIGHTS", (row,))
    for name, value in (("MIRROR", tmp_path), ("HOME", tmp_path / "home"), ("OFFLINE", "1")):
        monkeypatch.setenv(f"R21D_{name}", str(value))
    video = str(next(motion_videos.rglob("*.mp4")))
    assert main(["predict", f"--model={row.name}", "--num_clips=1", "--json", video]) == 0
    labels = json.loads(capsys.readouterr().out)["labels"]
    assert {label["label"] for label in labels} == {f"class {index}" for index in range(5)}
    model = zoo.f_r2d_10(weights=row.tag)
    start = functools.partial(uniform_starts, num_frames=16, frame_rate=15.0, num_clips=1)
    (clip,) = read_clips(video, start, 16, 15.0, "loop", (128, 171))
    scores = model.predict(zoo.preprocess_input(clip, row)[None], verbose=0)[0]
    best = labels[0]
    assert best["label"] == f"class {scores.argmax()}"
    assert best["score"] == pytest.approx(scores.max(), abs=1e-5)


def test_weights_are_chosen_of_a_run_alone(capsys, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    for model in ("r2plus1d_18.kinetics400_16f", str(tmp_path)):
        assert main(["predict", f"--model={model}", "--weights=best", "video.mp4"]) == 1
        assert "weights='best' is for the folder of a run alone" in capsys.readouterr().err
