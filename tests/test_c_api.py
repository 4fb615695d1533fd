"""An export in TensorFlow's C library, as a server without Python loads it: tests/c/serve.c.

Answers are those of Keras; what cannot be answered is INVALID_ARGUMENT and names the fault, and the
next request is answered.
"""

import json
import os
import pathlib
import re
import shutil
import struct
import subprocess

import cv2
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.data.frames import center_crop, resize_clip
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.serving.limits import limits_of
from r21d_keras.training.serving.saved_model import export
from r21d_keras.zoo.preprocessing import Preprocessing

SOURCE = pathlib.Path(__file__).parent / "c" / "serve.c"
OK, INVALID_ARGUMENT = 0, 3  # TF_Code of tensorflow/c/tf_status.h
CLIP = (4, 36, 40, 3)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The C program, built against the TensorFlow that is installed here."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler; install gcc")
    built = tmp_path_factory.mktemp("c") / "serve"
    here = pathlib.Path(tf.__file__).parent
    libraries = [f"-L{here}", "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-isystem", str(here / "include")]
    command = [compiler, *flags, "-o", str(built), str(SOURCE), *libraries, f"-Wl,-rpath,{here}"]
    subprocess.run(command, check=True, timeout=300)
    return built


class Server:
    """The program with one version of a model, which answers as long as it lives."""

    def __init__(self, program, version, folder):
        self._folder, self._count = folder, 0
        self._process = subprocess.Popen(
            [program, version],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    def ask(self, signature, value, name="clips"):
        """The answer to one request: its code, with the message or the outputs as arrays."""
        self._count += 1
        path = self._folder / f"{self._count}.bin"
        value = np.asarray(value)
        if value.dtype == object:
            kind, octets = "string", b"".join(struct.pack("=I", len(s)) + s for s in value.flat)
        else:
            kind = "float" if value.dtype == np.float32 else str(value.dtype)
            octets = value.tobytes()
        path.write_bytes(octets)
        sizes = " ".join(map(str, value.shape))
        self._process.stdin.write(f"{signature} {name} {kind} {path} {sizes}\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        path.unlink()
        if answer["code"] != OK:
            return answer["code"], answer["message"]
        return OK, {
            name: np.reshape(output["values"], output["shape"])
            for name, output in answer["outputs"].items()
        }

    def stop(self):
        """Ends it; returns its exit code."""
        self._process.stdin.close()
        self._process.stdout.close()
        return self._process.wait(60)


@pytest.fixture(scope="module")
def serve(program, tiny_run, tmp_path_factory):
    """A function that starts the program with the export of a run: the run and the server."""
    servers = []

    def start(**options):
        run = tiny_run(**options)
        version = export(run, tmp_path_factory.mktemp("exports"))
        servers.append(Server(program, version, tmp_path_factory.mktemp("requests")))
        return run, servers[-1]

    yield start
    assert [server.stop() for server in servers] == [0] * len(servers)


@pytest.fixture(scope="module")
def rgb(serve):
    return serve()


def pixels(*shape, seed=0):
    """Smooth clips: noise on every pixel would turn a rounding into another picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (*shape[:2], 6, 6, 3), dtype=np.uint8)
    return np.stack([resize_clip(clip, shape[2:4]) for clip in coarse])


def encoded(clips, ending=".png"):
    """Each frame of uint8 clips as a PNG or JPEG: object (B, T)."""
    frames = np.empty(clips.shape[:2], object)
    for place in np.ndindex(frames.shape):
        frames[place] = cv2.imencode(ending, clips[place][..., ::-1])[1].tobytes()
    return frames


def prepared(run, clips):
    numbers = load_run(run)[0].preprocessing
    resized = np.stack([resize_clip(clip, numbers.resize) for clip in clips])
    return normalise(center_crop(resized, numbers.crop_size), numbers).numpy()


def test_it_answers_as_keras_does(rgb):
    run, server = rgb
    classes, model = load_run(run)[1:]
    clips = pixels(2, *CLIP)
    expected = model(prepared(run, clips)).numpy()
    for signature, name, value in (
        ("serving_default", "clips", clips),
        ("clips_float", "clips", prepared(run, clips)),
        ("frames_bytes", "frames_bytes", encoded(clips)),
    ):
        code, answer = server.ask(signature, value, name)
        assert code == OK, answer
        np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
        order = np.argsort(-expected, axis=1)[:, :5]
        assert answer["top_labels"].tolist() == [[classes[i] for i in row] for row in order]
        scores = np.take_along_axis(expected, order, axis=1)
        np.testing.assert_allclose(answer["top_scores"], scores, atol=1e-5)
        code, features = server.ask("features", clips)
        assert list(features) == ["embedding"]
        np.testing.assert_allclose(answer["embedding"], features["embedding"], atol=1e-5)
    assert np.ptp(expected) > 0.1


def test_frames_are_resized_as_in_training_and_clips_may_be_of_any_length(rgb):
    run, server = rgb
    model = load_run(run, any_length=True)[2]
    for shape in [(1, 7, 64, 64, 3), (3, 2, 20, 90, 3), (1, 1, 8, 2048, 3)]:
        clips = pixels(*shape)
        code, answer = server.ask("serving_default", clips)
        assert code == OK, answer
        expected = model(prepared(run, clips)).numpy()
        # OpenCV's bilinear differs from TensorFlow's by rounding.
        np.testing.assert_allclose(answer["probabilities"], expected, atol=2e-3)
        code, again = server.ask("frames_bytes", encoded(clips), "frames_bytes")
        np.testing.assert_allclose(again["probabilities"], answer["probabilities"], atol=1e-5)


def test_jpegs_are_decoded_accurately_grey_ones_too(rgb):
    _, server = rgb
    frames = encoded(pixels(1, *CLIP), ".jpg")
    decoded = np.stack([cv2.imdecode(np.frombuffer(f, np.uint8), 1)[..., ::-1] for f in frames[0]])
    grey = cv2.imencode(".jpg", decoded[0, ..., 0])[1]
    frames[0, 0], decoded[0] = grey.tobytes(), cv2.imdecode(grey, 1)
    _, expected = server.ask("serving_default", decoded[None])
    code, answer = server.ask("frames_bytes", frames, "frames_bytes")
    assert code == OK, answer
    np.testing.assert_allclose(answer["probabilities"], expected["probabilities"], atol=1e-2)


def zeros(*shape, kind=np.uint8):
    return np.zeros(shape, kind)


def with_value(value):
    clips = zeros(1, 4, 32, 32, 3, kind=np.float32)
    clips[0, 1, 2, 3, 0] = value
    return clips


MOST = limits_of(CLIP[0], 32).max_frames
BAD_CLIPS = {
    "rank 4": (zeros(*CLIP), r"clips \[4 36 40 3\]: expected \(batch, frames, height, width, 3\)"),
    "rank 0": (np.uint8(1), r"clips \[\]: expected"),
    "4 channels": (zeros(3, 4, 36, 36, 4), "clips of 4 channels: expected 3"),
    "1 channel": (zeros(3, 4, 36, 36, 1), "clips of 1 channels: expected 3"),
    "no clips": (zeros(0, *CLIP), r"clips \[0 4 36 40 3\]: .* none 0"),
    "no frames": (zeros(1, 0, 36, 40, 3), r"clips \[1 0 36 40 3\]: .* none 0"),
    "one pixel": (zeros(1, 4, 1, 1, 3), "frames of 1x1 pixels: expected sides from 8 to 2048"),
    "4K": (zeros(1, 1, 2160, 3840, 3), "frames of 2160x3840 pixels"),
    "10,000 frames": (zeros(1, 10_000, 8, 8, 3), f"10000 frames: expected at most {MOST}"),
    "much in all": (zeros(5000, 1, 8, 8, 3), "5000 clips of 1 frames: expected at most 4096"),
    "floats": (zeros(1, *CLIP, kind=np.float32), "uint8 but float"),
}


@pytest.mark.parametrize("name", BAD_CLIPS)
def test_clips_that_cannot_be_answered_are_refused_by_name(rgb, name):
    clips, said = BAD_CLIPS[name]
    refused_and_next_one_answered(rgb[1], "serving_default", clips, said)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (with_value(np.nan), "clips with 1 values that are NaN or infinite"),
        (with_value(-np.inf), "clips with 1 values that are NaN or infinite"),
        (zeros(1, 4, 31, 32, 3, kind=np.float32), r"frames \[31 32 3\] in clips: expected"),
        (zeros(4, 32, 32, 3, kind=np.float32), r"clips \[4 32 32 3\]: expected"),
    ],
    ids=["NaN", "infinity", "size", "rank"],
)
def test_floats_that_cannot_be_answered_are_refused_by_name(rgb, value, said):
    refused_and_next_one_answered(rgb[1], "clips_float", value, said)


JPEG, PNG = (encoded(pixels(1, *CLIP), ending)[0, 0] for ending in (".jpg", ".png"))
PNG_OF_GIGABYTES = PNG[:16] + struct.pack(">II", 65535, 65535) + PNG[24:]
PNG_OF_NEGATIVE_SIZE = PNG[:16] + struct.pack(">II", 2**32 - 1, 2**31) + PNG[24:]
OTHER_SIZE = encoded(pixels(1, 1, 20, 40, 3), ".jpg")[0, 0]
BAD_FRAMES = {
    "text": (b"not a picture", "13 bytes that are neither JPEG nor PNG"),
    "nothing": (b"", "0 bytes that are neither JPEG nor PNG"),
    "video": (b"\0\0\0 ftypisom" + bytes(100), "112 bytes that are neither JPEG nor PNG"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], "Invalid JPEG data"),
    "a JPEG's first bytes": (JPEG[:20], "Invalid JPEG data, size 20"),
    "half a PNG": (PNG[: len(PNG) // 2], "PNG"),
    "a PNG's first bytes": (PNG[:8], "PNG cut to 8 bytes"),
    "a PNG of 65535 x 65535": (PNG_OF_GIGABYTES, "frames of 65535x65535 pixels"),
    "a PNG of negative size": (PNG_OF_NEGATIVE_SIZE, "frames of -"),
    "another size": (OTHER_SIZE, r"different sizes within a clip: .* \[20 40\] to \[36 40\]"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
def test_frames_that_cannot_be_decoded_are_refused_by_name(rgb, name):
    octets, said = BAD_FRAMES[name]
    frames = np.array([[JPEG, JPEG, octets, JPEG]], object)
    refused_and_next_one_answered(rgb[1], "frames_bytes", frames, said)


def test_frames_are_counted_before_they_are_decoded(rgb):
    for shape, said in [((1, 10_000), "10000 frames"), ((0, 4), "none 0"), ((4,), r"\[4\]: exp")]:
        frames = np.full(shape, b"no picture", object)
        refused_and_next_one_answered(rgb[1], "frames_bytes", frames, said)


def test_flat_frames_are_refused_where_their_shape_is_kept(program, published_row, tmp_path):
    row, flat = published_row(preprocessing=Preprocessing(resize=116)), pixels(1, 4, 8, 65, 3)
    server = Server(program, export(row.name, tmp_path / "models"), tmp_path)
    for signature, value in (("serving_default", flat), ("frames_bytes", encoded(flat))):
        refused_and_next_one_answered(server, signature, value, "8x65 pixels: .* at most 8 times")
    assert server.stop() == 0


def refused_and_next_one_answered(server, signature, value, said):
    name = "frames_bytes" if signature == "frames_bytes" else "clips"
    code, message = server.ask(signature, value, name)
    assert code == INVALID_ARGUMENT, message
    assert re.search(said, message), message
    code, answer = server.ask("serving_default", pixels(1, *CLIP))
    assert code == OK and abs(answer["probabilities"].sum() - 1) < 1e-5


def test_r2d_says_its_length(serve):
    run, server = serve(variant="r2d_10")
    clips = pixels(2, *CLIP)
    expected = load_run(run)[2](prepared(run, clips)).numpy()
    np.testing.assert_allclose(
        server.ask("serving_default", clips)[1]["probabilities"], expected, atol=1e-5
    )
    five = pixels(1, 5, 36, 40, 3)
    for signature, value in (("serving_default", five), ("frames_bytes", encoded(five))):
        refused_and_next_one_answered(server, signature, value, "clips of 5 frames: expected 4")


def test_flow_is_taken_in_pixels(serve):
    run, server = serve(stream="flow")
    config, _, model = load_run(run)
    flow = np.random.default_rng(0).normal(0, 3, (2, 4, 32, 32, 2)).astype(np.float32)
    expected = model(normalise(flow, config.preprocessing)).numpy()
    code, answer = server.ask("serving_default", flow)
    assert code == OK, answer
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    assert server.ask("frames_bytes", encoded(pixels(1, *CLIP)), "frames_bytes") == (
        5,
        "no such signature",
    )
    flow[1, 2] = np.nan
    code, message = server.ask("features", flow)
    assert code == INVALID_ARGUMENT and "clips with 2048 values that are NaN" in message
