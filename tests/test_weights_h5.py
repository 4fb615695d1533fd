"""Keras' files that are damaged say so, by name, with what to do."""

import random

import pytest

from r21d_keras import VideoResNet
from r21d_keras.zoo.errors import CheckpointError
from r21d_keras.zoo.weights_h5 import load_h5, read_contents


@pytest.fixture(scope="module")
def model():
    return VideoResNet("f_r2d_10", 5, (4, 16, 16, 3), width_multiplier=0.125)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """The file of that network."""
    path = tmp_path_factory.mktemp("saved") / "net.weights.h5"
    model.save_weights(path)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "net.weights.h5"


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9, 0.9999])
def test_cut_off(model, saved, path, part):
    whole = saved.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    for call in (lambda: read_contents(path), lambda: load_h5(model, path)):
        with pytest.raises(CheckpointError, match=f"{path} is damaged or cut off .* Delete it and"):
            call()


def test_damaged_structure(model, saved, path):
    whole, draw = saved.read_bytes(), random.Random(0)
    for _ in range(100):
        damaged = bytearray(whole)
        for _ in range(200):
            damaged[draw.randrange(8, len(damaged))] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            load_h5(model, path)
        except CheckpointError as error:
            assert str(path) in str(error)
