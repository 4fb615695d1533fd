"""What lies in and beside a version for TensorFlow Serving: warm-up, batching, how to start."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.config import ConfigError
from r21d_keras.training.records.tfrecord import read_record
from r21d_keras.training.serving.names import BATCHING, COMPOSE, MODELS, README, SIGNATURES, WARMUP
from r21d_keras.training.serving.saved_model import export


@pytest.fixture(scope="module")
def made(tiny_run, tmp_path_factory):
    """The folder of a model with one version."""
    out = tmp_path_factory.mktemp("models") / "action"
    export(tiny_run(), out)
    return out


def requests_of(version):
    """The requests of a warm-up file as TensorFlow Serving's own definitions read them."""
    from tensorflow_serving.apis import prediction_log_pb2

    file = io.BytesIO((pathlib.Path(version) / WARMUP).read_bytes())
    while record := read_record(file):
        yield prediction_log_pb2.PredictionLog.FromString(record).predict_log.request


def test_every_signature_is_warmed_up_in_every_batch_size(made):
    loaded = tf.saved_model.load(str(made / "1"))
    found = []
    for request in requests_of(made / "1"):
        assert request.model_spec.name == "r2plus1d_10"
        ((name, value),) = request.inputs.items()
        signature, value = request.model_spec.signature_name, tf.make_ndarray(value)
        found.append((signature, value.shape[0]))
        assert value.shape[1] == 4
        if value.shape[0] == 2:
            answer = loaded.signatures[signature](**{name: tf.constant(value)})
            assert all(np.isfinite(out).all() for out in answer.values() if out.dtype != tf.string)
    assert found == [(name, size) for name in SIGNATURES["rgb"] for size in (1, 2, 4, 8)]
    assert (made / "1" / WARMUP).stat().st_size < 20_000  # values that repeat are written once


def test_flow_is_warmed_up_too(tiny_run, tmp_path):
    version = export(tiny_run(stream="flow", variant="f_r2d_10"), tmp_path)
    shapes = {
        (request.model_spec.signature_name, tuple(tf.make_ndarray(value).shape))
        for request in requests_of(version)
        for value in request.inputs.values()
    }
    expected = {
        (name, (size, 4, 32, 32, 2)) for name in SIGNATURES["flow"] for size in (1, 2, 4, 8)
    }
    assert shapes == expected
    text = (tmp_path / README).read_text("utf-8")
    assert "flow in pixels (B, T, 32, 32, 2)" in text and "`frames_bytes`" not in text


def test_the_files_of_a_server_are_there_and_stay_their_owners(tiny_run, made):
    """Batch sizes that the owner has changed are those of the next version."""
    texts = {name: (made / name).read_text("utf-8") for name in (BATCHING, MODELS, COMPOSE, README)}
    assert 'name: "r2plus1d_10"' in texts[MODELS]
    assert 'base_path: "/models/r2plus1d_10"' in texts[MODELS]
    assert ".:/models/r2plus1d_10:ro" in texts[COMPOSE]
    assert "max_batch_size { value: 8 }" in texts[BATCHING]
    assert "| `frames_bytes` | `frames_bytes` | JPEG or PNG (B, T) |" in texts[README]
    assert "one of 8 classes" in texts[README] and "1 to 512, trained with 4" in texts[README]
    own = "# allowed_batch_sizes: 64\nallowed_batch_sizes: 1\nallowed_batch_sizes : 3 # three\n"
    own += "max_batch_size: { value : 3 }\n"
    (made / BATCHING).write_text(own)
    (made / README).unlink()
    version = export(tiny_run(variant="f_r2d_10"), made)
    assert version == str(made / "2")
    sizes = [next(iter(r.inputs.values())).tensor_shape.dim[0].size for r in requests_of(version)]
    assert sizes == [1, 3] * len(SIGNATURES["rgb"])
    assert (made / BATCHING).read_text() == own
    assert (made / MODELS).read_text("utf-8") == texts[MODELS]
    assert "# f_r2d_10" in (made / README).read_text("utf-8")


@pytest.mark.parametrize(
    "text", ["", "allowed_batch_sizes: 0", "allowed_batch_sizes: [1, 2, 5000]", "max_batch_size {}"]
)
def test_batch_sizes_that_cannot_be_are_told_before_any_work(tiny_run, tmp_path, text):
    (tmp_path / BATCHING).write_text(text)
    with pytest.raises(
        ConfigError, match="allowed_batch_sizes .* from 1 to 1024 clips of 4 frames"
    ):
        export(tiny_run(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [BATCHING]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("allowed_batch_sizes: [1, 3]", r"\[1, 3\] and max_batch_size 1000"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [1, 16]", r"\[1, 16\] and .* 8"),
        ("max_batch_size { value: 8 } allowed_batch_sizes: [4, 1, 8]", r"\[4, 1, 8\] and .* 8"),
    ],
)
def test_batch_sizes_that_tensorflow_serving_does_not_take_are_told(tiny_run, tmp_path, text, said):
    """tensorflow_serving/servables/tensorflow/session_bundle_config.proto."""
    (tmp_path / BATCHING).write_text(text)
    with pytest.raises(ConfigError, match=said):
        export(tiny_run(), tmp_path)
