"""Runs on optical flow: what they predict, export and give as features, by hand and by command."""

import csv
import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.draws import generator
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.pipeline import (
    BadVideos,
    clip_spec,
    epoch_order,
    normalise,
    train_batches,
)
from r21d_keras.training.data.pipeline import test_clips as clips_to_test
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.evaluation.protocols import Protocol
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.predict import predict
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.recipes import resolve
from r21d_keras.training.serving.names import CLIPS_FLOAT, DESCRIBE, METADATA, SIGNATURES
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.train import train
from r21d_keras.zoo.preprocessing import FLOW
from tests import published_files


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


def test_training_clips_are_the_flow_of_what_was_drawn(make_config):
    config = make_config(stream="flow", clips_per_epoch=6, global_batch_size=3)
    videos = load_dataset(config, "train")
    spec = clip_spec(videos, config)
    assert (spec.num_frames, spec.flow_method) == (5, "farneback")
    rgb = dataclasses.replace(spec, flow_method="")
    batches = list(train_batches(videos, config, 3))
    assert [clips.shape for clips, _ in batches] == [(3, 4, 32, 32, 2)] * 2
    order = epoch_order(videos, config, 3)
    for example, clip in enumerate(np.concatenate([clips for clips, _ in batches])):
        draw = generator("training_clip", config.seed, 3, example)
        frames = videos.clip_at(int(order[example]), draw, rgb)
        expected = normalise(clip_flow(frames, "farneback"), config.preprocessing)
        np.testing.assert_allclose(clip, expected, atol=1e-6)


def test_a_file_that_fails_is_left_out_of_flow_too(make_config, tiny_videos, tmp_path):
    shutil.copytree(tiny_videos, tmp_path / "videos")
    config = make_config(stream="flow", videos=str(tmp_path / "videos"))
    videos, bad = load_dataset(config, "test"), BadVideos()
    pathlib.Path(videos.paths[0]).write_bytes(b"")
    clips = list(clips_to_test(videos, config, 2, bad))
    assert [int(index) for _, index in clips] == list(range(1, len(videos)))
    assert clips[0][0].shape == (2, 4, 32, 32, 2) and clips[0][0].dtype == tf.float32
    assert [path for path, _ in bad.files] == [videos.paths[0]]


def test_motion_is_learnt_from_flow_alone(tmp_path):
    """What tells the built-in classes apart is flow and nothing else: a few steps show it."""
    options = {"dataset": "motion", "stream": "flow", "flow_method": "dis", "epochs": 3}
    options |= {"clips_per_epoch": 256, "variant": "mc3_10", "num_cpu_replicas": 1}
    config = resolve("demo", overrides={**options, "model_dir": str(tmp_path / "run")})
    logs = train(config)
    assert logs["val_accuracy"] > 0.4  # 1 in 8 by chance


def test_published_flow_weights_start_a_run(make_config, tmp_path, monkeypatch):
    row = published_files.publish(published_files.small_rows()[1], tmp_path)
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R21D_MIRROR", str(tmp_path))
    published_files.list_rows(monkeypatch, row)
    options = {"variant": row.variant, "weights": row.tag, "width_multiplier": 1.0, "epochs": 1}
    with pytest.raises(ConfigError, match="take flow, and stream='rgb'. Give --stream=flow"):
        make_config(**options)
    config = make_config(**options, stream="flow", freeze_until="layer4", validate_every=0)
    assert config.mean == FLOW.mean
    train(config)
    model = load_run(config.model_dir)[2]
    expected = published_files.seeded_network(row, config.clip_shape)
    for layer in expected.layers:
        if layer.weights and layer.name != "fc":
            for ours, theirs in zip(
                model.get_layer(layer.name).weights, layer.weights, strict=True
            ):
                np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_tests_show_the_flow_of_evenly_spaced_clips(run):
    result = evaluate(run, Protocol(num_clips=3))
    assert result["stream"] == "flow" and result["protocol"]["flow_method"] == "dis"
    assert "3 evenly spaced clips of 4 fields of flow (dis) at 15 Hz" in result["protocol"]["text"]
    config, classes, _ = load_run(run)
    videos = load_dataset(config, "test")
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(videos)
    for row, path in zip(rows[:3], videos.paths, strict=False):
        expected = by_hand(run, path, 3)[1].mean(axis=0)
        np.testing.assert_allclose([float(row[name]) for name in classes], expected, atol=1e-5)


def test_dense_tests_of_flow_share_what_clips_have_in_common(tiny_run, tmp_path):
    run, answers = tiny_run(stream="flow", variant="f_r2d_10", clip_frames=6), {}
    for overlap in ("share", "recompute"):
        protocol = Protocol(name="dense", frames="crop", stride=2, overlap=overlap)
        evaluate(run, protocol, out=tmp_path / overlap)
        with open(tmp_path / overlap / "predictions.csv", newline="", encoding="utf-8") as file:
            answers[overlap] = [list(map(float, row[3:])) for row in list(csv.reader(file))[1:]]
    assert len(answers["share"]) == 8
    np.testing.assert_allclose(answers["share"], answers["recompute"], atol=1e-5)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return pathlib.Path(export(run, tmp_path_factory.mktemp("export")))


def test_a_run_and_its_export_say_what_the_model_says(run, exported, videos):
    for folder in (run, exported):
        predictor = load_predictor(folder)
        assert predictor.clip_frames == 5
        for video in videos[:2]:
            expected = by_hand(run, video, 3)[1].mean(axis=0)
            answer = predict(predictor, video, 3)
            np.testing.assert_allclose(answer.scores, np.sort(expected)[::-1][:5], atol=1e-5)


def test_signatures_take_flow(run, exported, videos):
    loaded = tf.saved_model.load(str(exported))
    assert set(loaded.signatures) == {*SIGNATURES["flow"], DESCRIBE}
    flow, expected = by_hand(run, videos[0], 2)
    numbers = load_run(run)[0].preprocessing
    for name, clips in (("serving_default", flow), (CLIPS_FLOAT, normalise(flow, numbers))):
        answer = loaded.signatures[name](clips=tf.constant(clips))
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    about = json.loads((exported / METADATA).read_text("utf-8"))
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
