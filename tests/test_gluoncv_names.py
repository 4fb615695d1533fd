"""Every array of GluonCV's R(2+1)D networks finds its place, and nothing else does."""

import numpy as np
import pytest

from r21d_keras.zoo.checkpoints.gluoncv_names import V1, V2, to_torch_names
from r21d_keras.zoo.errors import CheckpointError
from tests.named_checkpoints import gluoncv_v1_state, gluoncv_v2_state, hollow, torch_shapes


@pytest.mark.parametrize("depth", [10, 18, 34, 50, 101, 152])
def test_v1_at_every_depth(depth):
    arrays = hollow(torch_shapes(f"r2plus1d_{depth}", "torchvision"))
    names = to_torch_names(gluoncv_v1_state(arrays), V1)
    assert set(names) == set(arrays)
    assert all(names[key] is array for key, array in arrays.items())


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_v2_at_every_depth_with_bottlenecks(depth):
    arrays = hollow(torch_shapes(f"r2plus1d_{depth}"))
    names = to_torch_names(gluoncv_v2_state(arrays), V2)
    assert set(names) == set(arrays)
    assert all(names[key] is array for key, array in arrays.items())


@pytest.mark.parametrize(
    ("rules", "theirs", "ours"),
    [
        (V1, "conv2.weight", "stem.3.weight"),
        (V1, "layer3.1.conv2.bn1.running_var", "layer3.1.conv2.0.1.running_var"),
        (V1, "layer1.0.conv3.weight", "layer1.0.conv3.0.weight"),
        (V1, "layer1.0.bn3.bias", "layer1.0.conv3.1.bias"),
        (V1, "bn1.num_batches_tracked", "stem.1.num_batches_tracked"),
        (V2, "conv1.weight", "stem.3.weight"),
        (V2, "layer3.35.bn2_middle.running_mean", "layer3.35.conv2.0.1.running_mean"),
        (V2, "layer3.35.conv2.weight", "layer3.35.conv2.0.3.weight"),
        (V2, "layer4.0.down_sample.1.weight", "layer4.0.downsample.1.weight"),
        (V2, "out_fc.bias", "fc.bias"),
    ],
)
def test_names_written_down_by_hand(rules, theirs, ours):
    array = np.zeros(3)
    assert to_torch_names({theirs: array}, rules) == {ours: array}


@pytest.mark.parametrize("rules", [V1, V2])
@pytest.mark.parametrize(
    "key", ["head.weight", "layer1.0.conv1", "layer1.0.bn1.scale", "layer1.0.downsample.2.weight"]
)
def test_anything_else_is_named_and_refused(rules, key):
    with pytest.raises(CheckpointError, match=rf"1 of 2 arrays belong to no layer .*: '{key}'\."):
        to_torch_names({key: np.zeros(3), "conv1.weight": np.zeros(3)}, rules)
