"""`r21d watch --server`: frames are decoded here, and windows answered by a server.

That is a test double of TensorFlow Serving: tests/serving_double.py.
"""

import json

import numpy as np
import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.serving.deployment import batching_parameters
from r21d_keras.training.serving.names import BATCHING
from r21d_keras.training.serving.saved_model import export

pytest.importorskip("tensorflow_serving.apis")  # of the extra servers
from tests import serving_double as double_of  # noqa: E402


@pytest.fixture(scope="module")
def models(tiny_run, tmp_path_factory):
    """A folder with one version, which is warmed up for one clip alone."""
    out = tmp_path_factory.mktemp("models") / "mine"
    out.mkdir()
    (out / BATCHING).write_text(batching_parameters((1,)))
    export(tiny_run(variant="f_r2d_10"), out)
    return out


def lines(capsys):
    """Of each answer, where it is and what was best."""
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    scores = [[label["score"] for label in line["labels"]] for line in said]
    return [(line["start_s"], line["labels"][0]["label"]) for line in said], np.array(scores)


def test_a_server_answers_as_its_model_does_here(models, motion_videos, capsys, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    video = str(next(motion_videos.rglob("*.mp4")))
    assert main(["watch", f"--model={models}/1", video, "--json", "--every=5"]) == 0
    expected = lines(capsys)
    with double_of.Double({"f_r2d_10": models}) as double:
        assert main(["watch", f"--server={double.grpc}", video, "--json", "--every=5"]) == 0
    found = lines(capsys)
    assert found[0] == expected[0] and len(found[0]) > 2
    np.testing.assert_allclose(found[1], expected[1], atol=1e-5)


def test_what_a_server_cannot_do_is_refused(motion_videos, capsys):
    video = str(next(motion_videos.rglob("*.mp4")))
    assert main(["watch", "--server=grpc://127.0.0.1:9", "--model=run", video]) == 2
    assert "--server has its own model" in capsys.readouterr().err
    assert main(["watch", "--server=grpc://127.0.0.1:9", "--timeout_s=0.5", video]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
