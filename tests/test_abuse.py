"""Bad requests to a server of its own: each is refused by name, and the next one is answered.

The server is the test double of TensorFlow Serving, whose models run in TensorFlow's C++ session.
"""

import json
import os
import subprocess
import sys

import cv2
import grpc
import hypothesis.strategies as st
import numpy as np
import psutil
import pytest
import requests
from hypothesis import HealthCheck, given, settings

from r21d_keras.training.serving import messages
from r21d_keras.training.serving.messages import MESSAGES
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.serving.tensors import to_message
from r21d_keras.training.serving.transport import ServerError, address_of, connect

pytest.importorskip("tensorflow_serving.apis")  # of the extra servers
from tests import serving_double as double_of  # noqa: E402

TIMEOUT_S = 60
MOST_GROWN = 400 << 20  # bytes, over all of this file: buffers of TensorFlow's, not of requests
FUZZED = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Running:
    """The double as a process. grpc, rest: transports to its model."""

    def __init__(self, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving_double", f"mine={folder}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        urls = json.loads(self.process.stdout.readline())
        self.urls = {kind: f"{url}/mine" for kind, url in urls.items()}
        self.grpc, self.rest = (connect(address_of(url)) for url in self.urls.values())
        self.good = np.full((1, 1, 16, 16, 3), 100, np.uint8)
        self.expected = self.grpc.predict("serving_default", {"clips": self.good}, TIMEOUT_S)

    @property
    def memory(self):
        """Resident bytes."""
        return psutil.Process(self.process.pid).memory_info().rss

    def answers_the_next(self):
        """A good request has the answer that it always had, of the same process."""
        answer = self.grpc.predict("serving_default", {"clips": self.good}, TIMEOUT_S)
        np.testing.assert_array_equal(answer["probabilities"], self.expected["probabilities"])
        assert self.process.poll() is None

    def refuses(self, ask, *words):
        with pytest.raises(ServerError) as info:
            ask()
        assert info.value.code == "INVALID_ARGUMENT", info.value
        assert any(word in info.value.detail for word in words), info.value
        self.answers_the_next()

    def frames(self, frames):
        value = np.array([frames], object)
        return self.grpc.predict("frames_bytes", {"frames_bytes": value}, TIMEOUT_S)


@pytest.fixture(scope="module")
def server(tiny_run, tmp_path_factory):
    out = double_of.warmed_up_little(tmp_path_factory.mktemp("models"))
    export(tiny_run(variant="mc3_10"), out)
    running = Running(out)
    before = running.memory
    try:
        yield running
        running.answers_the_next()
        grown = running.memory - before
        running.process.communicate(timeout=60)  # the end of its standard input
        assert running.process.returncode == 0  # ended when asked to, not before
        assert grown < MOST_GROWN
    finally:
        running.process.kill()
        running.process.wait()
        for stream in (running.process.stdin, running.process.stdout):
            stream.close()


def zeros(*shape, kind=np.uint8):
    return np.zeros(shape, kind)


BAD = {  # of a signature, and any of these words
    "type": (
        "serving_default",
        zeros(1, 4, 16, 16, 3, kind=np.float32),
        ["expect uint8", "to be uint8"],
    ),
    "rank": ("serving_default", zeros(16, 16, 3), ["clips [16 16 3]: expected"]),
    "5 channels": ("features", zeros(1, 4, 16, 16, 5), ["clips of 5 channels"]),
    "no frames": ("serving_default", zeros(1, 0, 16, 16, 3), ["none 0"]),
    "no clips": ("features", zeros(0, 4, 16, 16, 3), ["none 0"]),
    "NaN": ("clips_float", np.full((1, 4, 32, 32, 3), np.nan, np.float32), ["NaN"]),
    "infinity": ("clips_float", np.full((2, 1, 32, 32, 3), np.inf, np.float32), ["infinite"]),
    "size": ("clips_float", zeros(1, 4, 32, 33, 3, kind=np.float32), ["frames [32 33 3]"]),
    "1 pixel": ("serving_default", zeros(1, 4, 1, 1, 3), ["frames of 1x1 pixels"]),
    "4K": ("serving_default", zeros(1, 1, 2160, 3840, 3), ["frames of 2160x3840 pixels"]),
    "10,000 frames": ("serving_default", zeros(1, 10_000, 8, 8, 3), ["clips of 10000 frames"]),
    "10,000 clips": ("serving_default", zeros(10_000, 1, 8, 8, 3), ["10000 clips of 1 frames"]),
    "descriptions": ("describe", np.full(100_000, b"?", object), ["100000 strings"]),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_answered_is_refused_by_name(server, name):
    signature, value, words = BAD[name]
    key = "describe" if signature == "describe" else "clips"
    server.refuses(lambda: server.grpc.predict(signature, {key: value}, TIMEOUT_S), *words)


def picture(ending, *size):
    draw = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    return cv2.imencode(ending, draw)[1].tobytes()


JPEG, PNG = picture(".jpg", 16, 24), picture(".png", 16, 24)


def test_files_that_are_no_pictures_are_refused_by_name(server, tiny_videos):
    video = next(tiny_videos.rglob("*.mp4")).read_bytes()
    for octets, words in (
        (video, "neither JPEG nor PNG"),
        (JPEG[:-40], "Invalid JPEG data"),
        (PNG[:-40], "PNG"),
        (picture(".png", 2160, 3840), "frames of 2160x3840 pixels"),
        (picture(".jpg", 1, 1), "frames of 1x1 pixels"),
        (picture(".bmp", 16, 24), "neither JPEG nor PNG"),
    ):
        server.refuses(lambda octets=octets: server.frames([JPEG, octets]), words)
    server.refuses(lambda: server.frames([JPEG, picture(".png", 24, 16)]), "different sizes")


@st.composite
def damaged(draw):
    """Bytes of a picture, or of none, that were cut, overwritten, spliced or made up."""
    octets = bytearray(draw(st.sampled_from([JPEG, PNG, JPEG[:4], PNG[:24], b""])))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(octets) - 1, 0)))
        match draw(st.sampled_from(["cut", "overwrite", "insert", "repeat", "append"])):
            case "cut":
                del octets[place:]
            case "overwrite":
                new = draw(st.binary(min_size=1, max_size=8))
                octets[place : place + len(new)] = new
            case "insert":
                octets[place:place] = draw(st.binary(max_size=40))
            case "repeat":
                octets += octets[place:]
            case "append":
                octets += draw(st.sampled_from([JPEG, PNG, b"\xff\xd8\xff", b"\x00" * 30]))
    return bytes(octets)


@FUZZED
@given(frames=st.lists(st.one_of(damaged(), st.binary(max_size=60)), min_size=1, max_size=3))
def test_malformed_bytes_never_end_the_server(server, frames):
    try:
        answer = server.frames(frames)
        assert answer["probabilities"].shape == (1, 8)
    except ServerError as error:  # what libjpeg can make something of is answered
        assert error.code == "INVALID_ARGUMENT", error
    server.answers_the_next()


@st.composite
def tensors(draw):
    """Tensor messages whose type, shape and content have nothing to do with each other."""
    tensor = MESSAGES["Tensor"](dtype=draw(st.sampled_from([0, 1, 3, 4, 7, 9, 23, 999])))
    for size in draw(st.lists(st.integers(-2, 2**40), max_size=6)):
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = draw(st.binary(max_size=20))
    tensor.float_val.extend(draw(st.lists(st.just(1.0), max_size=2)))
    return tensor


@FUZZED
@given(
    tensor=tensors(),
    name=st.sampled_from(["clips", "frames_bytes", "", "x" * 5000]),
    signature=st.sampled_from(["serving_default", "clips_float", "features", "", "nothing"]),
)
def test_tensors_that_contradict_themselves_never_end_the_server(server, tensor, name, signature):
    request = MESSAGES["PredictRequest"]()
    request.model_spec.name, request.model_spec.signature_name = "mine", signature
    request.inputs[name].CopyFrom(tensor)
    with grpc.insecure_channel(server.urls["grpc"].split("/")[2]) as channel:
        ask = channel.unary_unary(messages.PREDICT)
        with pytest.raises(grpc.RpcError) as info:
            ask(request.SerializeToString(), timeout=TIMEOUT_S)
    assert info.value.code().name in ("INVALID_ARGUMENT", "FAILED_PRECONDITION")
    server.answers_the_next()


def test_octets_that_are_no_message_never_end_the_server(server):
    whole = MESSAGES["PredictRequest"](inputs={"clips": to_message(server.good)})
    octets = whole.SerializeToString()
    with grpc.insecure_channel(server.urls["grpc"].split("/")[2]) as channel:
        for method in (messages.PREDICT, messages.GET_METADATA, messages.GET_STATUS, "/no/Such"):
            for body in (b"", b"\xff" * 100, octets[:-3], octets * 2):
                with pytest.raises(grpc.RpcError):
                    channel.unary_unary(method)(body, timeout=TIMEOUT_S)
    server.answers_the_next()


NESTED = "[" * 300 + "]" * 300
BODIES = {
    "nothing": b"",
    "no JSON": b"\xff\xfe not json",
    "a list": b"[]",
    "no instances": b'{"signature_name": "features"}',
    "empty": b'{"instances": []}',
    "ragged": b'{"instances": [{"clips": [[[[[1, 2, 3]], [[1, 2]]]]]}]}',
    "text": b'{"instances": [{"clips": "abc"}]}',
    "base64": b'{"signature_name": "frames_bytes", "instances": [[{"b64": "?"}]]}',
    "other input": b'{"instances": [{"other": 1}]}',
    "too large": b'{"instances": [{"clips": [[[[[256, 1, 1]]]]]}]}',
    "nested": f'{{"instances": [{{"clips": {NESTED}}}]}}'.encode(),
    "null": b'{"instances": [null]}',
    "1 pixel": b'{"instances": [{"clips": [[[[1, 1, 1]]]]}]}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_no_request_are_refused(server, name):
    host = server.urls["rest"].removesuffix("/mine")
    answer = requests.post(f"{host}/v1/models/mine:predict", BODIES[name], timeout=TIMEOUT_S)
    assert answer.status_code == 400 and answer.json()["error"]
    server.answers_the_next()
    good = server.rest.predict("serving_default", {"clips": server.good}, TIMEOUT_S)
    expected = server.expected["probabilities"]
    np.testing.assert_allclose(good["probabilities"], expected, atol=1e-6)
