"""An export in KServe's own model server, a process of its own, asked by the V1 protocol."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest
import requests

from r21d_keras.training.cli import main
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving import Client
from r21d_keras.training.serving.deployment import batching_parameters
from r21d_keras.training.serving.names import BATCHING
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.serving.transport import ServerError
from tests.conftest import ROOT
from tests.waits import until

pytest.importorskip("kserve")  # on the modern stack alone


@pytest.fixture(scope="module")
def version(tiny_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("models")
    (out / BATCHING).write_text(batching_parameters((1,)))
    return export(tiny_run(), out)


@pytest.fixture(scope="module")
def url(version, tmp_path_factory):
    """The model at a server that runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:  # KServe cannot be asked which it took
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("kserve") / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kserve_server", "mine", version, str(port)],
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy
            until(lambda: answers(session, f"{url}/v1/models/mine"), [process], log.read_text)
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
        yield f"{url}/mine"
    finally:
        process.kill()
        process.wait()


def answers(session, url):
    """Whether the server has the model."""
    try:
        return session.get(url, timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def test_the_client_is_answered_as_by_the_saved_model(url, version):
    clips = np.random.default_rng(0).integers(0, 256, (3, 4, 36, 40, 3), dtype=np.uint8)
    with Client(url) as client:
        assert client.versions() == {None: "AVAILABLE"}
        assert client.about["clip_frames"] == 4
        expected = load_predictor(version).scorer(clips)
        np.testing.assert_allclose(client.probabilities(clips), expected, atol=1e-5)
        assert client.predict(clips[:1, :2], "features")["embedding"].shape == (1, 64)
        with pytest.raises(ServerError, match="is refused: frames of 4x4 pixels"):
            client.predict(clips[..., :4, :4, :])
    with Client(url.replace("mine", "other")) as client:
        with pytest.raises(ServerError, match="no model 'other'"):
            _ = client.about


def test_serve_check_passes(url, version, capsys):
    assert main(["serve-check", version, f"--rest={url}"]) == 0, capsys.readouterr().out
    asked = capsys.readouterr().out.partition(f"{url}\n")[2]
    assert "left out  signatures: the server has no metadata of models" in asked
    assert asked.count("  passed    answers") == 10 and asked.count("  passed    refuses") > 15


def test_videos_are_predicted(url, version, motion_videos, capsys):
    video = str(next(motion_videos.rglob("*.mp4")))
    answers = []
    for place in (f"--server={url}", f"--model={version}"):
        assert main(["predict", place, "--num_clips=2", "--json", video]) == 0
        answers.append(json.loads(capsys.readouterr().out)["labels"])
    ours, theirs = ([row["label"] for row in answer] for answer in answers)
    assert ours == theirs
