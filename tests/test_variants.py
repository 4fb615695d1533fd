import pytest

from r21d_keras import get_variant, list_variants
from r21d_keras.variants import get_convention, mid_channels

# Section 3.5's M_i for d = 3, t = 3, as VMZ computes them.
MID_CHANNELS = {
    (64, 64): 144,
    (64, 128): 230,
    (128, 128): 288,
    (128, 256): 460,
    (256, 256): 576,
    (256, 512): 921,
    (512, 512): 1152,
}


def test_there_are_twelve_families_at_six_depths():
    names = list_variants()
    assert len(names) == len(set(names)) == 72
    assert {get_variant(name).family for name in names} == {
        "r2d", "f_r2d", "r3d", "r2plus1d",
        *(f"mc{i}" for i in range(2, 6)), *(f"rmc{i}" for i in range(2, 6)),
    }  # fmt: skip
    assert {get_variant(name).depth for name in names} == {10, 18, 34, 50, 101, 152}


@pytest.mark.parametrize("name", list_variants())
def test_depth_counts_the_layers_with_weights(name):
    variant = get_variant(name)
    assert variant.name == name == f"{variant.family}_{variant.depth}"
    convolutions = {"basic": 2, "bottleneck": 3}[variant.block]
    assert 2 + convolutions * sum(variant.repeats) == variant.depth


@pytest.mark.parametrize("index", range(2, 6))
def test_mixed_families_mirror_each_other(index):
    """MCx has 3-D convolutions up to group x - 1, rMCx from group x on (section 3.3, 3.4)."""
    mixed, reverse = get_variant(f"mc{index}_18").kinds, get_variant(f"rmc{index}_18").kinds
    assert mixed == ("3d",) * (index - 1) + ("2d",) * (6 - index)
    assert reverse == ("2d",) * (index - 1) + ("3d",) * (6 - index)


@pytest.mark.parametrize("name", ["r2plus1d", "r2plus1d_20", "mc1_18", "", "r3d_", 18, "R3D_18"])
def test_unknown_variant_names_what_there_is(name):
    with pytest.raises(ValueError, match=r"Unknown variant .*r2plus1d.*152.*for example"):
        get_variant(name)


def test_unknown_convention():
    with pytest.raises(ValueError, match="'caffe2'.*paper, torchvision"):
        get_convention("caffe2")


def test_mid_channels_are_the_papers():
    assert {pair: mid_channels(*pair) for pair in MID_CHANNELS} == MID_CHANNELS
    assert mid_channels(3, 64, (3, 7, 7)) == 83  # the formula; the stem uses 45
