"""Networks are found from shapes alone; foreign ones are refused with what differs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras import VideoResNet, list_variants
from r21d_keras.zoo.checkpoints.architecture import find_architecture
from r21d_keras.zoo.errors import CheckpointError
from tests.named_checkpoints import NAMED, hollow, torch_shapes


def found(shapes, naming="torchvision", **said):
    return find_architecture(NAMED[naming](hollow(shapes)), **said)[0]


@pytest.mark.parametrize("naming", ["torchvision", "caffe2"])
@pytest.mark.parametrize(
    "variant", [name for name in list_variants() if not name.startswith("mc2_")]
)
def test_every_variant_is_found(variant, naming):
    network = found(torch_shapes(variant, num_classes=11, channels=2), naming)
    assert network.variant == variant
    assert (network.num_classes, network.input_channels) == (11, 2)
    assert network.frames == (8 if variant.startswith("r2d") else None)
    assert network.naming == naming


@pytest.mark.parametrize("depth", [18, 34])
def test_an_mc2_may_be_an_r2d_for_three_frames(depth):
    shapes = torch_shapes(f"mc2_{depth}")
    assert shapes == torch_shapes(f"r2d_{depth}", frames=3)
    with pytest.raises(CheckpointError, match=f"mc2_{depth} and of r2d_{depth}, for clips of 3 "):
        found(shapes)
    assert found(shapes, variant=f"mc2_{depth}").frames is None
    assert found(shapes, variant=f"r2d_{depth}").frames == 3


@pytest.mark.parametrize("convention", ["paper", "torchvision"])
@pytest.mark.parametrize("depth", [10, 18, 34, 50, 101, 152])
def test_middle_widths_tell_the_convention(depth, convention):
    network = found(torch_shapes(f"r2plus1d_{depth}", convention))
    assert (network.convention, network.convention_known) == (convention, True)


def test_a_network_of_ig65m_pytorch():
    """ig65m/models.py: torchvision's network with three of its convolutions replaced."""
    shapes = torch_shapes("r2plus1d_34", "torchvision", num_classes=359)
    for layer, width in ((2, 288), (3, 576), (4, 1152)):
        planes, conv = width * 4 // 9, f"layer{layer}.0.conv2.0"
        shapes[f"{conv}.0.weight"] = (width, planes, 1, 3, 3)
        shapes[f"{conv}.3.weight"] = (planes, width, 3, 1, 1)
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{conv}.1.{part}"] = (width,)
    assert shapes == torch_shapes("r2plus1d_34", "paper", num_classes=359)
    assert found(shapes).convention == "paper"


@pytest.mark.parametrize(
    ("variant", "naming", "convention"),
    [
        ("r2plus1d_18", "gluoncv_v1", "torchvision"),
        ("r2plus1d_50", "gluoncv_v1", "torchvision"),
        ("r2plus1d_152", "gluoncv_v2", "paper"),
        ("mc3_18", "caffe2", "paper"),
        ("r2d_18", "caffe2", "paper"),
    ],
)
def test_names_tell_the_convention(variant, naming, convention):
    network = found(torch_shapes(variant, convention), naming)
    assert (network.variant, network.naming) == (variant, naming)
    assert (network.convention, network.convention_known) == (convention, True)


def test_without_either_torchvision_is_an_assumption():
    shapes = torch_shapes("mc3_18")
    network = found(shapes)
    assert (network.convention, network.convention_known) == ("torchvision", False)
    network = found(shapes, convention="paper")
    assert (network.convention, network.convention_known) == ("paper", True)


@pytest.mark.parametrize(
    ("variant", "made", "naming", "said", "message"),
    [
        ("r3d_18", "paper", "caffe2", {"convention": "torchvision"}, "has the convention 'paper'"),
        ("r2plus1d_18", "paper", "torchvision", {"convention": "torchvision"}, "the convention"),
        ("r2plus1d_18", "torchvision", "caffe2", {}, "as in the convention 'torchvision'"),
        ("r2plus1d_18", "paper", "gluoncv_v1", {}, "expected 'torchvision' in a network"),
        ("r2plus1d_18", "paper", "torchvision", {"variant": "r2plus1d_34"}, "holds r2plus1d_18;"),
        ("r3d_18", "paper", "caffe2", {"variant": "mc3_18"}, "holds r3d_18; expected mc3_18"),
        ("mc2_18", "paper", "caffe2", {"variant": "mc3_18"}, "holds mc2_18 or r2d_18; expected"),
    ],
)
def test_what_contradicts_the_file(variant, made, naming, said, message):
    with pytest.raises(CheckpointError, match=message):
        found(torch_shapes(variant, made), naming, **said)


@pytest.mark.parametrize("said", [{"variant": "r4d_18"}, {"convention": "caffe"}])
def test_what_does_not_exist_is_asked_for(said):
    with pytest.raises(ValueError, match="Unknown"):
        found(torch_shapes("r3d_10"), **said)


def changed(variant="r2plus1d_10", **changes):
    """Shapes of a network but for some; None takes an array out."""
    shapes = torch_shapes(variant) | {key.replace("__", "."): s for key, s in changes.items()}
    return {key: shape for key, shape in shapes.items() if shape is not None}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        # width_multiplier=0.5, or a ResNeXt.
        (changed(stem__3__weight=(32, 45, 3, 1, 1)), "The stem has 32 filters; expected 64"),
        (changed("r3d_10", stem__0__weight=(16, 3, 3, 7, 7)), "16 filters; expected 64"),
        # M_i of the stem, which the published networks do not use.
        (changed(stem__3__weight=(64, 83, 3, 1, 1)), "83 middle channels; expected 45"),
        # VMZ's conv1_temporal_kernel=5.
        (changed(stem__3__weight=(64, 45, 5, 1, 1)), r"kernel of \(5, 1, 1\); expected \(3, 1, 1"),
        (changed("r3d_10", stem__0__weight=(64, 3, 5, 7, 7)), r"\('clip', '3d', .*No family"),
        (changed("r3d_10", stem__0__weight=(64, 3, 3, 5, 5)), r"kernel of \(3, 5, 5\)"),
        # A pattern that no family has: 3-D above 2-D above 3-D.
        (changed("mc3_10", layer4__0__conv1__0__weight=(512, 256, 3, 3, 3)), "No family has"),
        (changed("r3d_10", layer4__0__conv1__0__weight=(512, 256, 5, 3, 3)), r"\(5, 3, 3\); exp"),
        # VMZ's depth 16.
        (
            {k: s for k, s in torch_shapes("r3d_18").items() if "layer4.1" not in k},
            r"basic blocks by stage: \(2, 2, 2, 1\).*18 \('basic', \(2, 2, 2, 2\)\)",
        ),
        (changed(layer2__0__conv2__0__0__weight=(200, 128, 1, 3, 3)), "makes 200 middle channels"),
        (changed(fc__weight=None), r"No array for fc.weight. Expected all .*\(no array of fc\)"),
        (changed(fc__weight=(8,)), "fc.weight has shape .* expected 2 axes"),
        (changed("r3d_10", stem__0__weight=(64, 3, 7, 7)), "stem.0.weight has shape .* 5 axes"),
        # torchvision's ResNet for images.
        ({"conv1.weight": (64, 3, 7, 7), "bn1.weight": (64,)}, "2 arrays begin with 'bn1.weight'"),
        ({}, "0 arrays begin with none"),
    ],
)
def test_networks_of_no_family_say_what_differs(shapes, message):
    with pytest.raises(CheckpointError, match=message):
        found(shapes)


def test_a_network_without_classifier():
    network = found(changed(fc__weight=None, fc__bias=None))
    assert (network.variant, network.num_classes) == ("r2plus1d_10", None)


def test_a_classifier_within_a_sequential():
    shapes = changed(fc__weight=None, fc__bias=None)
    assert found(shapes | {"fc.1.weight": (7, 512), "fc.1.bias": (7,)}).num_classes == 7
    shapes |= {"fc.0.weight": (512, 512), "fc.3.weight": (7, 512)}
    with pytest.raises(CheckpointError, match="several layers, 'fc.0.', 'fc.3.'; .* Take out"):
        found(shapes)


HOSTILE = "\x1b[2J\n" + "x" * 100_000


@pytest.mark.parametrize("name", [HOSTILE, f"layer1.0.{HOSTILE}", f"comp_0_conv_1_{HOSTILE}_w"])
@pytest.mark.parametrize("naming", [*NAMED, None])
def test_names_in_messages_are_escaped_and_short(naming, name):
    arrays = {name: np.zeros(3, "float32")}
    if naming:
        variant = "r2plus1d_50" if naming == "gluoncv_v2" else "r2plus1d_10"
        convention = "torchvision" if naming == "gluoncv_v1" else "paper"
        arrays |= NAMED[naming](hollow(torch_shapes(variant, convention)))
    if naming == "torchvision":  # what is left over shows when the weights are loaded
        from r21d_keras.zoo.checkpoints.convert import load_arrays

        arrays = find_architecture(arrays)[1]
        with pytest.raises(CheckpointError, match="1 left over") as error:
            load_arrays(VideoResNet("r2plus1d_10", 8), arrays)
    else:
        with pytest.raises(CheckpointError) as error:
            find_architecture(arrays)
    assert len(str(error.value)) < 600 and str(error.value).isprintable()


@settings(deadline=None)
@given(data=st.data())
def test_whatever_is_changed_the_answer_is_a_network_or_an_error(data):
    variant = data.draw(st.sampled_from(["r2plus1d_10", "r2plus1d_50", "r2d_10", "mc3_18"]))
    naming = data.draw(st.sampled_from(["torchvision", "caffe2", "gluoncv_v1", "gluoncv_v2"]))
    arrays = NAMED[naming](hollow(torch_shapes(variant)))
    sizes = st.lists(st.integers(0, 65), max_size=6)
    for key in data.draw(st.lists(st.sampled_from(sorted(arrays)), max_size=4, unique=True)):
        array = arrays.pop(key)
        kind = data.draw(st.sampled_from(["left out", "renamed", "of another shape"]))
        if kind == "renamed":
            arrays[
                data.draw(st.sampled_from([f"x{key}", f"{key}x", key[1:], "conv9.0.weight"]))
            ] = array
        elif kind == "of another shape":
            shape = data.draw(sizes) if data.draw(st.booleans()) else array.shape[::-1]
            arrays[key] = np.broadcast_to(np.float32(0), shape)
    try:
        network, _ = find_architecture(arrays)
    except CheckpointError as error:
        assert "expected" in str(error).lower()
    else:
        assert network.variant in list_variants()


def test_names_of_two_projects():
    arrays = hollow(torch_shapes("r3d_10"))
    with pytest.raises(CheckpointError, match="Unknown network"):
        find_architecture(NAMED["caffe2"](arrays) | arrays)


MMACTION2 = {  # mmaction/models/common/conv2plus1d.py within mmcv's ConvModule
    "backbone.conv1.conv.conv_s.weight": (83, 3, 1, 7, 7),
    "backbone.conv1.conv.bn_s.weight": (83,),
    "backbone.conv1.conv.conv_t.weight": (64, 83, 3, 1, 1),
    "backbone.conv1.bn.weight": (64,),
    "backbone.layer1.0.conv1.conv.conv_s.weight": (144, 64, 1, 3, 3),
    "cls_head.fc_cls.weight": (400, 512),
}
PYTORCHVIDEO = {  # pytorchvideo/models/r2plus1d.py
    "blocks.0.conv.weight": (64, 3, 1, 7, 7),
    "blocks.0.norm.weight": (64,),
    "blocks.1.res_blocks.0.branch2.conv_b.conv_t.weight": (64, 64, 3, 1, 1),
    "blocks.5.proj.weight": (400, 2048),
}
KENSHOHARA_R3D = {  # models/resnet.py
    "conv1.weight": (64, 3, 7, 7, 7),
    "bn1.weight": (64,),
    "layer1.0.conv1.weight": (64, 64, 3, 3, 3),
    "fc.weight": (700, 512),
}
KENSHOHARA_R2P1D = {  # models/resnet2p1d.py
    "conv1_s.weight": (110, 3, 1, 7, 7),
    "bn1_s.weight": (110,),
    "conv1_t.weight": (64, 110, 7, 1, 1),
    "bn1_t.weight": (64,),
    "layer1.0.conv1_s.weight": (144, 64, 1, 3, 3),
    "fc.weight": (700, 512),
}
VMZ_C3D = {"conv1a_w": (64, 3, 3, 3, 3), "conv1a_b": (64,), "fc6_w": (4096, 8192)}
VMZ_IR_CSN = {  # c2/lib/models/builder/video_model.py, block_type "3d-sep"
    "conv1_w": (64, 3, 3, 7, 7),
    "comp_0_conv_1_w": (64, 64, 1, 1, 1),
    "comp_0_conv_3_w": (64, 1, 3, 3, 3),
    "comp_0_conv_4_w": (256, 64, 1, 1, 1),
}
VMZ_IP_CSN = {  # the same, "0.3d"
    "conv1_w": (64, 3, 3, 7, 7),
    "comp_0_conv_1_w": (64, 64, 1, 1, 1),
    "comp_0_conv_2_middle_w": (64, 64, 1, 1, 1),
    "comp_0_conv_2_w": (64, 1, 3, 3, 3),
}
VMZ_PT_CSN = {  # pt/vmz/models/csn.py
    "stem.0.weight": (64, 3, 3, 7, 7),
    "layer1.0.conv1.0.weight": (64, 64, 1, 1, 1),
    "layer1.0.conv2.0.weight": (64, 1, 3, 3, 3),
}
GLUONCV_AFFINE = {  # r2plus1dv2.py with use_affine=True
    "conv1_middle.weight": (45, 3, 1, 7, 7),
    "bn1_middle.weight": (45, 1, 1, 1),
    "bn1_middle.bias": (45, 1, 1, 1),
    "conv1.weight": (64, 45, 3, 1, 1),
    "out_fc.weight": (400, 2048),
}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (MMACTION2, "mmaction2 .*83 middle channels in the stem, max pooling"),
        (PYTORCHVIDEO, "PyTorchVideo .*in time before space"),
        (KENSHOHARA_R3D, "kenshohara's .*spans 7 frames .* max pooling"),
        (KENSHOHARA_R2P1D, "kenshohara's .*spans 7 frames .* max pooling"),
        (VMZ_C3D, "C3D.*no residual blocks"),
        ({f"gpu_0/{name}": shape for name, shape in VMZ_C3D.items()}, "C3D"),
        (VMZ_IR_CSN, "CSN.*grouped"),
        (VMZ_IP_CSN, "CSN.*grouped"),
        (VMZ_PT_CSN, "CSN.*grouped"),
        (GLUONCV_AFFINE, "`Affine` .*without the running statistics"),
    ],
)
def test_foreign_networks_are_refused_with_the_reason(shapes, message):
    with pytest.raises(CheckpointError, match=message) as error:
        found(shapes)
    assert "expected a network of arXiv:1711.11248" in str(error.value)


@pytest.mark.parametrize("variant", ["r2plus1d_10", "r3d_10", "r2d_10"])
def test_one_input_channel_is_no_group(variant):
    assert found(torch_shapes(variant, channels=1)).input_channels == 1


def test_arrays_come_under_pytorchs_names():
    arrays = hollow(torch_shapes("mc4_18"))
    _, named = find_architecture(NAMED["caffe2"](arrays))
    assert {key: np.shape(array) for key, array in named.items()} == torch_shapes("mc4_18")
