"""Requests that a server puts together, as TensorFlow Serving does with --enable_batching."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.serving import Client
from r21d_keras.training.serving.deployment import batching_parameters
from r21d_keras.training.serving.messages import MESSAGES
from r21d_keras.training.serving.names import BATCHING
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.serving.transport import ServerError

pytest.importorskip("tensorflow_serving.apis")  # of the extra servers
from tests import serving_double as double_of  # noqa: E402


@pytest.fixture(scope="module")
def batched(tiny_run, tmp_path_factory):
    """A double with batching, and what its one version runs."""
    from tests.serving_batching import Batched

    out = tmp_path_factory.mktemp("models")
    (out / BATCHING).write_text(batching_parameters((2, 8)))
    export(tiny_run(), out)
    made = []

    def wrap(servable):
        made.append(Batched(servable, (out / BATCHING).read_text()))
        return made[-1]

    with double_of.Double({"mine": out}, wrap=wrap) as double:
        assert double.core.warmed == {("mine", 1): 8}
        yield f"{double.grpc}/mine", made[0]


def asked_together(client, servable, *requests):
    """The answer to each, or its error."""

    def ask(clips):
        try:
            return client.predict(clips)
        except ServerError as error:
            return error

    _ = client.about  # is asked for itself
    servable.together = len(requests)
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(ask, requests))
    servable.together = 1
    return answers


def clips_of(count, size=(36, 40), seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (count, 2, *size, 3), dtype=np.uint8)


def test_requests_are_answered_apart_as_together(batched):
    url, servable = batched
    requests = [clips_of(count, seed=count) for count in (1, 2, 3)]
    with Client(url) as client:
        alone = [client.predict(clips) for clips in requests]
        _ = client.about
        servable.runs.clear()
        together = asked_together(client, servable, *requests)
        assert servable.runs == [("serving_default", 8)]
        for one, other in zip(alone, together, strict=True):
            for name in ("probabilities", "embedding"):
                np.testing.assert_allclose(one[name], other[name], atol=1e-6)
            assert one["top_labels"].tolist() == other["top_labels"].tolist()


def test_the_longest_clips_are_answered_among_others(batched):
    """A batch that is filled up to an allowed size holds no more than is answered."""
    url, servable = batched
    with Client(url) as client:
        most = client.about["limits"]["max_frames"]
        clips = np.zeros((1, most, 8, 8, 3), np.uint8)
        answers = asked_together(client, servable, clips, clips, clips)
    assert servable.runs[-1] == ("serving_default", 8)
    assert all(len(answer["probabilities"]) == 1 for answer in answers)


def test_other_sizes_and_bad_neighbours_fail_all_that_come_together(batched):
    """Why batching is off by default: docs/serving.md."""
    url, servable = batched
    with Client(url) as client:
        for error in asked_together(client, servable, clips_of(1), clips_of(1, (36, 48))):
            assert error.code == "FAILED_PRECONDITION" and "different shapes" in str(error)
        for error in asked_together(client, servable, clips_of(1, (4, 4)), clips_of(1, (4, 4), 1)):
            assert error.code == "INVALID_ARGUMENT" and "frames of 4x4 pixels" in str(error)
        assert client.predict(clips_of(1))["probabilities"].shape == (1, 8)


REAL = {  # where TensorFlow's packages define what is asked and answered
    "tensorflow.core.framework.tensor_pb2": {"Tensor": "TensorProto"},
    "tensorflow.core.protobuf.meta_graph_pb2": {
        "TensorInfo": "TensorInfo",
        "SignatureDef": "SignatureDef",
    },
    "tensorflow_serving.apis.model_pb2": {"ModelSpec": "ModelSpec"},
    "tensorflow_serving.apis.predict_pb2": dict.fromkeys(("PredictRequest", "PredictResponse")),
    "tensorflow_serving.apis.prediction_log_pb2": dict.fromkeys(("PredictLog", "PredictionLog")),
    "tensorflow_serving.apis.get_model_metadata_pb2": dict.fromkeys(
        ("SignatureDefMap", "GetModelMetadataRequest", "GetModelMetadataResponse")
    ),
    "tensorflow_serving.apis.get_model_status_pb2": dict.fromkeys(
        ("GetModelStatusRequest", "ModelVersionStatus", "GetModelStatusResponse")
    ),
    "tensorflow_serving.apis.status_pb2": {"StatusProto": "StatusProto"},
}


@pytest.mark.parametrize("module", REAL)
def test_messages_have_the_fields_of_the_real_ones(module):
    real_module = pytest.importorskip(module)
    for ours, theirs in REAL[module].items():
        real = getattr(real_module, theirs or ours).DESCRIPTOR
        for field in MESSAGES[ours].DESCRIPTOR.fields:
            known = real.fields_by_name[field.name]
            assert known.number == field.number
            # Enumerations are int32 here.
            kinds = {known.type, 5 if known.type == known.TYPE_ENUM else known.type}
            assert field.type in kinds
            if field.message_type is None:
                continue
            values = [
                d.fields_by_name.get("value") for d in (field.message_type, known.message_type)
            ]
            if field.message_type.GetOptions().map_entry:
                assert values[0].type == values[1].type


def test_the_double_takes_what_tensorflow_writes():
    proto = tf.make_tensor_proto(np.float32([[1, 2], [2, 2]]))
    ours = MESSAGES["Tensor"].FromString(proto.SerializeToString())
    assert ours.SerializeToString(deterministic=True) == proto.SerializeToString(deterministic=True)
