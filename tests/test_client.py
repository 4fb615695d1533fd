"""Clients of servers, by gRPC and REST, against a test double of TensorFlow Serving.

The double has TensorFlow Serving's own message and service definitions: tests/serving_double.py.
"""

import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.cli import main
from r21d_keras.training.data.frames import center_crop
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.served import served_predictor
from r21d_keras.training.serving import Client
from r21d_keras.training.serving.names import DESCRIBE, METADATA, SIGNATURES
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.serving.tensors import Spec
from r21d_keras.training.serving.transport import ServerError
from tests.waits import until

pytest.importorskip("tensorflow_serving.apis")  # of the extra servers
from tests import serving_double as double_of  # noqa: E402


@pytest.fixture(scope="module")
def models(tiny_run, tmp_path_factory):
    """A folder with one version, of a run whose variant names it as `r21d export` does."""
    out = double_of.warmed_up_little(tmp_path_factory.mktemp("models") / "mine")
    export(tiny_run(), out)
    return out


@pytest.fixture(scope="module")
def double(models):
    with double_of.Double({"r2plus1d_10": models}) as running:
        yield running


@pytest.fixture(scope="module", params=["grpc", "rest"])
def url(request, double):
    return f"{getattr(double, request.param)}/r2plus1d_10"


@pytest.fixture
def client(url):
    with Client(url, timeout_s=60) as client:
        yield client


def clips_of(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_every_signature_answers_as_the_saved_model_does(client, models):
    loaded = tf.saved_model.load(str(models / "1"))
    numbers = load_predictor(models / "1").preprocessing
    clips = clips_of(3, 4, 36, 40, 3)
    prepared = normalise(center_crop(clips, numbers.crop_size), numbers).numpy()
    pngs = np.empty((3, 4), object)
    for place in np.ndindex(3, 4):
        pngs[place] = cv2.imencode(".png", clips[place])[1].tobytes()
    asked = {"serving_default": clips, "clips_float": prepared, "frames_bytes": pngs}
    asked["features"] = clips
    for signature in SIGNATURES["rgb"]:
        value = asked[signature]
        name = "frames_bytes" if signature == "frames_bytes" else "clips"
        tensor = tf.constant(value.tolist() if value.dtype == object else value)
        expected = loaded.signatures[signature](**{name: tensor})
        answer = client.predict(value, signature)
        assert set(answer) == set(expected)
        for key, tensor in expected.items():
            if tensor.dtype == tf.string:
                assert answer[key].tolist() == tensor.numpy().tolist()
            else:
                assert answer[key].dtype == np.float32
                np.testing.assert_allclose(answer[key], tensor.numpy(), atol=1e-5)


def test_a_client_learns_what_the_model_is(client, models):
    written = json.loads((models / "1" / METADATA).read_text("utf-8"))
    assert client.about == written
    assert client.versions() == {1: "AVAILABLE"}
    signatures = client.signatures()
    assert set(signatures) - {"__saved_model_init_op"} == {*SIGNATURES["rgb"], DESCRIBE}
    inputs, outputs = signatures["serving_default"]
    assert inputs == {"clips": Spec("uint8", (-1, -1, -1, -1, 3))}
    assert outputs["top_labels"] == Spec("string", (-1, 5))


def test_many_clips_go_in_batches(double, models):
    clips = clips_of(5, 4, 36, 40, 3)
    with Client(double.grpc, batch_size=2) as client:  # the name is found
        assert client.address.model == "r2plus1d_10"
        expected = load_predictor(models / "1").scorer(clips)
        np.testing.assert_allclose(client.probabilities(clips), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("clips", "signature", "said"),
    [
        (
            np.zeros((1, 4, 36, 40, 4), np.uint8),
            "serving_default",
            r"\(1, 4, 36, 40, 4\): expected",
        ),
        (np.zeros((4, 36, 40, 3), np.uint8), "serving_default", r"uint8 \(N, T, H, W, 3\)"),
        (np.zeros((1, 4, 36, 40, 3)), "serving_default", "of float64 .* expected uint8"),
        (np.zeros((1, 0, 36, 40, 3), np.uint8), "serving_default", "none 0"),
        (np.zeros((1, 4, 31, 32, 3), np.float32), "clips_float", r"float32 \(N, T, 32, 32, 3\)"),
        (np.zeros((1, 600, 8, 8, 3), np.uint8), "serving_default", "600 frames: .* at most 512"),
        (np.zeros((1, 4), np.uint8), "frames_bytes", r"expected bytes \(N, T\)"),
        (np.array([[b"\xff\xd8"]]), "frames_bytes", r"of \|S2 \(1, 1\): .* dtype=object"),
        (np.array([["text"]], object), "frames_bytes", r"of object \(1, 1\): expected bytes"),
        (np.zeros((1, 4, 8, 8, 3), np.uint8), "predict", "this model of rgb has serving_default,"),
    ],
    ids=["channels", "rank", "type", "empty", "size", "long"]
    + ["bytes", "strings", "text", "signature"],
)
def test_clips_that_cannot_be_answered_are_not_sent(client, clips, signature, said):
    with pytest.raises(ValueError, match=said):
        client.predict(clips, signature)


def test_what_the_graph_refuses_is_said_in_its_words(client):
    one = clips_of(1, 2, 8, 8, 3)
    with pytest.raises(
        ServerError, match="is refused: frames of 4x8 pixels: expected sides"
    ) as info:
        client.predict(one[:, :, :4])
    assert info.value.code == "INVALID_ARGUMENT" and "\n" not in str(info.value)
    with pytest.raises(ServerError, match="3 bytes that are neither JPEG nor PNG"):
        client.predict(np.array([[b"abc"]], object), "frames_bytes")
    nan = np.full((1, 2, 32, 32, 3), np.nan, np.float32)
    with pytest.raises(ServerError, match="clips with 6144 values that are NaN or infinite"):
        client.predict(nan, "clips_float")
    assert client.predict(one)["probabilities"].shape == (1, 8)


def test_models_and_versions_that_are_not_there_are_named(url):
    server = url.rpartition("/")[0]
    with Client(f"{url}/versions/7") as client:
        with pytest.raises(ServerError, match=r"no version 7 .*; it has 1 \(AVAILABLE\)"):
            _ = client.about
    with Client(f"{server}/other") as client:
        with pytest.raises(ServerError, match="the server has no model 'other'"):
            client.predict(clips_of(1, 4, 36, 40, 3))
    with Client(f"{url}/versions/1") as client:
        assert client.about["clip_frames"] == 4


class Adder(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32)])
    def __call__(self, x):
        return {"sum": x + 1.0}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """A double of models that `r21d export` has not written."""
    other = tmp_path_factory.mktemp("adder")
    tf.saved_model.save(Adder(), str(other / "1"))
    with double_of.Double(dict.fromkeys(("r2plus1d_10", "mc3_10", "model"), other)) as running:
        yield running


@pytest.mark.parametrize("kind", ["grpc", "rest"])
def test_other_models_are_told_apart(several, kind):
    server = getattr(several, kind)
    with pytest.raises(ServerError, match="has several models, .*mc3_10.* Name the one"):
        Client(server)
    with Client(f"{server}/model") as client:
        with pytest.raises(ServerError, match="has not the signature .* Expected a version that"):
            _ = client.about


def test_a_new_version_is_answered_by_and_other_classes_are_noticed(tiny_run, tmp_path):
    export(tiny_run(), tmp_path)
    with double_of.Double({"r2plus1d_10": tmp_path}) as double, Client(double.grpc) as client:
        clips = clips_of(2, 4, 36, 40, 3)
        assert client.probabilities(clips).shape == (2, 8)
        assert double.core.warmed == {("r2plus1d_10", 1): 16}  # 4 signatures, 4 batch sizes
        export(tiny_run(classes=("no", "yes")), double_of.warmed_up_little(tmp_path))
        until(lambda: client.versions().get(1) == "END")
        assert client.versions()[2] == "AVAILABLE"
        with pytest.raises(ServerError, match="has got another model meanwhile"):
            client.probabilities(clips)


def test_a_new_version_that_is_to_be_shown_other_clips_is_noticed(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr("r21d_keras.training.serving.client.ABOUT_S", 0.0)
    export(tiny_run(), tmp_path)
    with double_of.Double({"r2plus1d_10": tmp_path}) as double, Client(double.grpc) as client:
        clips = clips_of(2, 4, 36, 40, 3)
        client.probabilities(clips)
        export(tiny_run(frame_rate=7.5), double_of.warmed_up_little(tmp_path))
        until(lambda: client.versions().get(1) == "END")
        for _ in range(2):  # it does not come to like it
            with pytest.raises(ServerError, match="meanwhile, which is to be shown other clips"):
                client.probabilities(clips)


def test_clips_that_a_new_version_takes_are_sent(tiny_run, tmp_path, monkeypatch):
    export(tiny_run(), double_of.warmed_up_little(tmp_path))
    prepared = np.zeros((1, 4, 24, 24, 3), np.float32)
    with double_of.Double({"r2plus1d_10": tmp_path}) as double, Client(double.grpc) as client:
        with pytest.raises(ValueError, match=r"expected float32 \(N, T, 32, 32, 3\)"):
            client.predict(prepared, "clips_float")
        export(tiny_run(crop_size=24), tmp_path)
        until(lambda: client.versions().get(1) == "END")
        monkeypatch.setattr("r21d_keras.training.serving.client.ABOUT_S", 0.0)
        assert client.predict(prepared, "clips_float")["probabilities"].shape == (1, 8)


def predicted(capsys, *arguments):
    code = main(["predict", "--json", "--num_clips=3", *arguments])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_predict_says_the_same_by_a_server(url, models, motion_videos, tmp_path, capsys):
    videos = sorted(str(path) for path in motion_videos.rglob("*.mp4"))[:2]
    code, local = predicted(capsys, f"--model={models / '1'}", *videos)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    picture = tmp_path / "out.png"
    found = predicted(capsys, f"--server={url}", f"--picture={picture}", *videos, str(text))
    assert (code, found[0]) == (0, 1) and picture.exists()
    for ours, theirs in zip(local, found[1], strict=False):
        assert [row["label"] for row in ours["labels"]] == [
            row["label"] for row in theirs["labels"]
        ]
        scores = [[row["score"] for row in side["labels"]] for side in (ours, theirs)]
        np.testing.assert_allclose(*scores, atol=2e-6)
    assert "not a video" in found[1][-1]["error"]


def test_flow_is_computed_by_the_client(tiny_run, tmp_path):
    export(tiny_run(stream="flow"), double_of.warmed_up_little(tmp_path))
    local = load_predictor(tmp_path / "1")
    clips = clips_of(2, local.clip_frames, 36, 40, 3)
    with double_of.Double({"r2plus1d_10": tmp_path}) as double:
        for url in (double.grpc, double.rest):
            with Client(url) as client:
                served = served_predictor(client)
                assert served.clip_frames == 5
                np.testing.assert_allclose(served.scorer(clips), local.scorer(clips), atol=1e-5)
