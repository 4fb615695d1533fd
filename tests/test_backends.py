"""The same networks on Keras' JAX and PyTorch backends: a forward pass and a training step."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet
from r21d_keras.zoo.checkpoints.torch_names import load_torch_state
from tests.seeded import CLIP_SHAPE, NUM_CLASSES, seeded_state

ROOT = pathlib.Path(__file__).resolve().parent.parent
NAMES = ("r2plus1d_10", "mc3_10", "r2d_10")


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory):
    """.weights.h5 files, written on TensorFlow and read on every backend."""
    folder = tmp_path_factory.mktemp("weights")
    for name in NAMES:
        model = VideoResNet(name, NUM_CLASSES, CLIP_SHAPE)
        load_torch_state(model, seeded_state(model))
        model.save_weights(folder / f"{name}.weights.h5")
    return folder


@pytest.fixture(scope="session")
def tensorflow_step(weights_folder):
    return run_step("tensorflow", weights_folder)


@pytest.mark.skipif(keras.__version__ < "3", reason="Keras 2 has the TensorFlow backend alone")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backend_computes_what_tensorflow_computes(backend, tensorflow_step, weights_folder):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    step = run_step(backend, weights_folder)
    assert step["backend"] == backend and not step["tensorflow"]
    for name in NAMES:
        expected = tensorflow_step[name]
        np.testing.assert_allclose(step[name]["logits"], expected["logits"], atol=1e-4)
        assert step[name]["loss"] == pytest.approx(expected["loss"], rel=1e-4)
        assert step[name]["moved"] == pytest.approx(expected["moved"], rel=1e-2)
        assert step[name]["moved"] > 0


def run_step(backend, weights_folder):
    """Results of tests/backend_step.py in a fresh process on `backend`."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.backend_step", str(weights_folder), *NAMES],
        env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=ROOT, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    return json.loads(run.stdout.splitlines()[-1])
