"""Logits against torchvision: recorded by its tests, assembled from its blocks, golden."""

import json
import pathlib
import zipfile

import numpy as np
import pytest

from r21d_keras import VideoResNet, get_variant
from r21d_keras.variants import FAMILIES
from r21d_keras.zoo.checkpoints.torch_names import load_torch_state
from tests.seeded import CLIP_SHAPE, NUM_CLASSES, seeded_clips, seeded_state

GOLDEN = json.loads(pathlib.Path(__file__).with_name("golden.json").read_text())["logits"]


@pytest.fixture(scope="session")
def reference():
    pytest.importorskip("torch", reason="torch is not installed on this stack")
    from tests import torch_reference

    return torch_reference


@pytest.mark.parametrize("name", ["r2plus1d_18", "r3d_18", "mc3_18"])
def test_logits_recorded_by_torchvisions_own_tests(name, reference, test_data):
    """Their procedure: seed 0, 50 classes, eval, then torch.rand(1, 3, 4, 112, 112)."""
    import torch

    torch.manual_seed(0)
    module = getattr(reference.tv, name)(num_classes=50)
    clip = torch.rand(1, 3, 4, 112, 112).permute(0, 2, 3, 4, 1).numpy()
    recorded = test_data / "torchvision_expect" / f"ModelTester.test_{name}_expect.pkl"
    with zipfile.ZipFile(recorded) as archive:
        expected = np.frombuffer(archive.read("archive/data/0"), "<f4")
    model = _keras_model(name, "torchvision", 50, clip.shape[1:])
    load_torch_state(model, reference.state_arrays(module))
    np.testing.assert_allclose(model.predict(clip, verbose=0)[0], expected, atol=1e-5)


@pytest.mark.parametrize("convention", ["paper", "torchvision"])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_at_depth_18_equals_torchvisions_blocks(family, convention, reference):
    name = f"{family}_18"
    module = reference.assemble(get_variant(name), convention, NUM_CLASSES, CLIP_SHAPE[0])
    reference.seed_weights(module)
    model = _keras_model(name, convention)
    load_torch_state(model, reference.state_arrays(module))
    np.testing.assert_allclose(
        model.predict(seeded_clips(), verbose=0),
        reference.logits(module, seeded_clips()),
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("row", GOLDEN)
def test_golden_logits(row):
    """Without torch: weights from their names, logits from tests/golden.json (make_golden.py)."""
    name, convention = row.split(".")
    model = _keras_model(name, convention)
    load_torch_state(model, seeded_state(model))
    got = model.predict(seeded_clips(), verbose=0)[0]
    np.testing.assert_allclose(got, GOLDEN[row], atol=1e-4, rtol=1e-4)


def test_golden_covers_every_family_at_depths_10_and_50():
    assert {f"{f}_{d}.paper" for f in FAMILIES for d in (10, 50)} <= set(GOLDEN)


def test_a_state_dict_that_does_not_fit_changes_nothing():
    model = VideoResNet("r3d_10", 3, (4, 24, 24, 3), width_multiplier=0.1)
    state, before = seeded_state(model), model.get_weights()
    missing = {k: v for k, v in state.items() if k != "fc.bias"}
    with pytest.raises(ValueError, match="1 keys missing .'fc.bias'"):
        load_torch_state(model, missing)
    with pytest.raises(ValueError, match="1 left over .'head.weight'"):
        load_torch_state(model, {**state, "head.weight": state["fc.bias"]})
    with pytest.raises(ValueError, match=r"fc.bias: \(4,\) in the state dict, \(3,\) expected"):
        load_torch_state(model, {**state, "fc.bias": np.zeros(4, "float32")})
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def _keras_model(name, convention, num_classes=NUM_CLASSES, shape=CLIP_SHAPE):
    return VideoResNet(name, num_classes, shape, convention=convention, classifier_activation=None)
