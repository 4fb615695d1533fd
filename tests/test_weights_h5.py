"""Keras' files that are damaged say so, by name, with what to do."""

import json
import random

import pytest

from r21d_keras import VideoResNet, zoo
from r21d_keras.zoo.errors import CheckpointError
from r21d_keras.zoo.weights_h5 import card_path, load_h5, read_contents


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


@pytest.mark.parametrize(
    "card",
    [
        {"input_shape": None},
        {"input_shape": [16, 112, 112]},
        {"input_shape": [16, 112, 112, "3"]},
        {"input_shape": [0, None, None, 3]},
        {"convention": "caffe"},
        {"convention": ["paper"]},
        {"convention_known": "yes"},
        {"variant": None},
        {"source": 3},
        {"source_sha256": None},
    ],
    ids=str,
)
def test_cards_that_say_something_else(model, path, card):
    model.save_weights(path)
    card_path(path).write_text(json.dumps(card), "utf-8")
    (name,) = card
    with pytest.raises(CheckpointError, match=f"net.json: {name} is .*; expected .* delete it"):
        zoo.f_r2d_10(weights=path)
