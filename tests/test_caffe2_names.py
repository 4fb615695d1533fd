"""Every blob of VMZ's Caffe2 networks finds its place, and nothing else does."""

import numpy as np
import pytest

from r21d_keras.variants import FAMILIES
from r21d_keras.zoo.checkpoints.caffe2_names import NOT_WEIGHTS, to_torch_names
from r21d_keras.zoo.errors import CheckpointError
from tests.named_checkpoints import caffe2_blobs, hollow, torch_shapes


def same_arrays(got, expected):
    assert set(got) == set(expected)
    assert all(got[key] is array for key, array in expected.items())


@pytest.fixture
def small():
    return hollow(torch_shapes("r2plus1d_10"))


@pytest.mark.parametrize("depth", [10, 18, 34, 50, 101, 152])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_and_depth(family, depth):
    arrays = hollow(torch_shapes(f"{family}_{depth}"))
    names = to_torch_names(caffe2_blobs(arrays))
    assert set(names) == set(arrays)
    # The classifier is reshaped, to the shape it has.
    same_arrays(names | {"fc.weight": arrays["fc.weight"]}, arrays)
    assert names["fc.weight"].shape == arrays["fc.weight"].shape


def test_names_written_down_by_hand():
    """As in VMZ's utilities/model_conversion/convert_models.py for R(2+1)D-34."""
    names = to_torch_names(caffe2_blobs(hollow(torch_shapes("r2plus1d_34"))))
    blobs = caffe2_blobs(hollow(torch_shapes("r2plus1d_34")))
    for blob, key in {
        "conv1_middle_w": "stem.0.weight",
        "conv1_spatbn_relu_riv": "stem.4.running_var",
        "comp_0_conv_1_middle_w": "layer1.0.conv1.0.0.weight",
        "comp_3_spatbn_2_middle_rm": "layer2.0.conv2.0.1.running_mean",
        "comp_7_conv_2_w": "layer3.0.conv2.0.3.weight",
        "comp_15_spatbn_1_s": "layer4.2.conv1.1.weight",
        "shortcut_projection_13_spatbn_b": "layer4.0.downsample.1.bias",
    }.items():
        assert names[key].shape == blobs[blob].shape and names[key].flat[0] == blobs[blob].flat[0]


def test_scopes_are_taken_off(small):
    blobs = caffe2_blobs(small)
    names = to_torch_names({f"gpu_0/{name}": blob for name, blob in blobs.items()})
    assert set(names) == set(small)
    with pytest.raises(
        CheckpointError, match="'gpu_0/conv1_w' and 'gpu_1/conv1_w' are both 'conv1_w'"
    ):
        to_torch_names({f"gpu_{n}/conv1_w": blobs["conv1_w"] for n in (0, 1)})


def test_a_convolutional_classifier_becomes_a_matrix(small):
    blobs = caffe2_blobs(small)
    blobs["last_out_L8_w"] = blobs["last_out_L8_w"].reshape(8, 512, 1, 1, 1)
    weight = to_torch_names(blobs)["fc.weight"]
    np.testing.assert_array_equal(weight, small["fc.weight"])


@pytest.mark.parametrize("shape", [(9, 512), (8, 512, 3, 1, 1), (8,)])
def test_a_classifier_that_is_not_as_its_name_says(small, shape):
    blobs = caffe2_blobs(small) | {"last_out_L8_w": np.zeros(shape, "float32")}
    with pytest.raises(CheckpointError, match=r"last_out_L8_w has shape .* expected \(8, C\)"):
        to_torch_names(blobs)


@pytest.mark.parametrize("ending", NOT_WEIGHTS)
def test_what_training_leaves_beside_a_weight_is_passed_over(small, ending):
    blobs = caffe2_blobs(small)
    left = {f"{name}{ending}": blob for name, blob in blobs.items() if name.endswith(("_w", "_s"))}
    assert set(to_torch_names(blobs | left)) == set(small)


@pytest.mark.parametrize(
    "name",
    [
        "conv1_b",  # a bias, which these convolutions do not have
        "conv1_w_grad",
        "comp_0_conv_1_w_lr",
        "comp_8_conv_9_w_momentum",  # beside no weight
        "optimizer_iteration",
        "final_avg",
        "comp_0_conv_1_middle_q",
        "comp_0_conv_1_group_w",
        "v_comp_0_conv_1_w",
    ],
)
def test_anything_else_is_named_and_refused(small, name):
    blobs = caffe2_blobs(small) | {name: np.zeros(3, "float32")}
    with pytest.raises(
        CheckpointError, match=rf"1 of \d+ arrays belong to no layer .*: '{name}'\."
    ):
        to_torch_names(blobs)


@pytest.mark.parametrize("name", ["comp_{}_conv_1_w", "shortcut_projection_{}_w", "last_out_L{}_w"])
def test_numbers_of_thousands_of_digits_are_left_over(small, name):
    blobs = caffe2_blobs(small) | {name.format("1" * 5000): np.zeros(3, "float32")}
    with pytest.raises(CheckpointError, match=r"1 of \d+ arrays belong to no layer") as error:
        to_torch_names(blobs)
    assert len(str(error.value)) < 400


def test_digits_of_other_scripts_are_none(small):
    blobs = caffe2_blobs(small) | {"comp_\u0663_conv_1_w": np.zeros(3, "float32")}
    with pytest.raises(CheckpointError, match=r"belong to no layer .*: 'comp_\\u0663_conv_1_w'"):
        to_torch_names(blobs)


def test_momentum_of_another_shape_is_refused(small):
    blobs = caffe2_blobs(small) | {"conv1_w_momentum": np.zeros(3, "float32")}
    with pytest.raises(CheckpointError, match="conv1_w_momentum"):
        to_torch_names(blobs)


def test_two_blobs_for_one_weight(small):
    blobs = caffe2_blobs(small)
    twice = {name.replace("comp_0_", "comp_00_"): blob for name, blob in blobs.items()}
    with pytest.raises(
        CheckpointError, match="comp_0_conv_1_\\w+' and 'comp_00_conv_1_\\w+' are both"
    ):
        to_torch_names(blobs | twice)


def test_other_than_four_stages(small):
    blobs = {n: b for n, b in caffe2_blobs(small).items() if "projection_2" not in n}
    with pytest.raises(CheckpointError, match=r"Blocks 0, 1, 3 begin a stage.*Expected 4"):
        to_torch_names(blobs)
