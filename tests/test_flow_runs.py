"""Runs on optical flow: what they predict, export and give as features, by hand and by command."""

import json

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.cli import main
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.export import METADATA, export
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.predict import predict
from r21d_keras.training.predictor import load_predictor
from r21d_keras.zoo.preprocessing import FLOW


@pytest.fixture(scope="module")
def run(tiny_run):
    return tiny_run(stream="flow", flow_method="dis")


@pytest.fixture(scope="module")
def videos(motion_videos):
    return sorted(str(path) for path in (motion_videos / "test").rglob("*.mp4"))


def by_hand(run, video, num_clips):
    """Normalised flow (N, T, S, S, 2) of evenly spaced clips of T + 1 frames, and its scores."""
    config, _, model = load_run(run)
    frames = ClipSpec(num_frames=config.clip_frames + 1, preprocessing=config.preprocessing)
    flow = clip_flow(read_test_clips(video, num_clips, frames), config.flow_method)
    seen = (flow - np.float32(FLOW.mean)) / np.float32(FLOW.std)
    np.testing.assert_allclose(normalise(flow, config.preprocessing), seen, atol=1e-5)
    return flow, model(seen).numpy()


def test_a_run_and_its_export_say_what_the_model_says(run, videos, tmp_path):
    export(run, tmp_path / "1")
    for folder in (run, tmp_path / "1"):
        predictor = load_predictor(folder)
        assert predictor.clip_frames == 5
        for video in videos[:2]:
            expected = by_hand(run, video, 3)[1].mean(axis=0)
            answer = predict(predictor, video, 3)
            np.testing.assert_allclose(answer.scores, np.sort(expected)[::-1][:5], atol=1e-5)


def test_signatures_take_flow(run, videos, tmp_path):
    export(run, tmp_path / "1")
    loaded = tf.saved_model.load(str(tmp_path / "1"))
    assert set(loaded.signatures) == {"serving_default", "float_clips"}
    flow, expected = by_hand(run, videos[0], 2)
    numbers = load_run(run)[0].preprocessing
    for name, clips in (("serving_default", flow), ("float_clips", normalise(flow, numbers))):
        answer = loaded.signatures[name](clips=tf.constant(clips))
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    about = json.loads((tmp_path / "1" / METADATA).read_text("utf-8"))
    assert about["flow_method"] == "dis" and about["clip_frames"] == 4
    assert about["preprocessing"]["mean"] == list(FLOW.mean)


def test_commands(run, videos, tmp_path, capsys):
    assert main(["predict", f"--model={run}", "--json", "--num_clips=2", videos[0]]) == 0
    assert len(json.loads(capsys.readouterr().out)["labels"]) == 5
    picture = tmp_path / "prediction.png"
    assert main(["predict", f"--model={run}", f"--picture={picture}", *videos[:2]]) == 0
    assert picture.is_file()
    out = tmp_path / "features.npz"
    command = ["features", f"--model={run}", f"--out={out}", "--num_clips=2"]
    assert main([*command, "--layers=fc", *videos[:2]]) == 0
    with np.load(out) as file:
        logits = file["fc"]
        assert json.loads(str(file["about"]))["flow_method"] == "dis"
    for video, found in zip(videos[:2], logits, strict=True):
        shares = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
        np.testing.assert_allclose(shares, by_hand(run, video, 2)[1], atol=1e-5)
