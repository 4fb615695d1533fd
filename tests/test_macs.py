"""Multiply-adds against VMZ's published GFLOPs (c2/tutorials/models.md) and hand counts."""

import keras
import pytest

from r21d_keras import Conv2Plus1D, VideoResNet, count_macs

# (variant, convention, frames, channels): GMAC at 112 x 112 with 400 classes.
GMACS = {
    ("r2d_18", "paper", 8, 3): 1.93,
    ("r2d_18", "paper", 16, 3): 2.17,
    ("f_r2d_18", "paper", 8, 3): 13.80,
    ("f_r2d_18", "paper", 16, 3): 27.60,
    ("r3d_18", "paper", 8, 3): 20.35,
    ("r3d_18", "paper", 16, 3): 40.70,
    ("mc2_18", "paper", 8, 3): 14.27,
    ("mc2_18", "paper", 16, 3): 28.55,
    ("mc3_18", "paper", 8, 3): 21.67,
    ("mc3_18", "paper", 16, 3): 43.34,
    ("mc4_18", "paper", 8, 3): 19.98,
    ("mc4_18", "paper", 16, 3): 39.95,
    ("mc5_18", "paper", 8, 3): 19.95,
    ("mc5_18", "paper", 16, 3): 39.90,
    ("rmc2_18", "paper", 8, 3): 19.88,
    ("rmc2_18", "paper", 16, 3): 39.75,
    ("rmc3_18", "paper", 8, 3): 12.48,
    ("rmc3_18", "paper", 16, 3): 24.95,
    ("rmc4_18", "paper", 8, 3): 14.55,
    ("rmc4_18", "paper", 16, 3): 29.09,
    ("rmc5_18", "paper", 8, 3): 15.39,
    ("rmc5_18", "paper", 16, 3): 30.79,
    ("r2plus1d_18", "paper", 8, 3): 20.75,
    ("r2plus1d_18", "paper", 16, 3): 41.50,
    ("r2plus1d_18", "torchvision", 16, 3): 40.52,
    ("r3d_34", "paper", 8, 3): 37.69,
    ("r3d_34", "paper", 16, 3): 75.38,
    ("r2plus1d_34", "paper", 8, 3): 38.09,
    ("r2plus1d_34", "paper", 16, 3): 76.18,
    ("r2plus1d_34", "paper", 32, 3): 152.36,
    ("r2plus1d_34", "torchvision", 32, 3): 150.40,
    ("r2plus1d_34", "paper", 32, 2): 152.13,
    ("r2plus1d_50", "paper", 32, 3): 115.33,
    ("r2plus1d_101", "paper", 32, 3): 176.47,
    ("r2plus1d_152", "paper", 32, 3): 252.00,
    ("r3d_50", "paper", 32, 3): 109.34,
    ("r3d_101", "paper", 32, 3): 170.49,
    ("r3d_152", "paper", 32, 3): 246.02,
}


@pytest.mark.parametrize("case", GMACS, ids=lambda case: "-".join(map(str, case)))
def test_multiply_adds_are_the_published_ones(case):
    variant, convention, frames, channels = case
    model = VideoResNet(variant, input_shape=(frames, 112, 112, channels), convention=convention)
    assert count_macs(model) / 1e9 == pytest.approx(GMACS[case], abs=0.0051)  # two decimals


def test_hand_counted_model():
    inputs = keras.Input((4, 8, 8, 2))
    x = Conv2Plus1D(6, 3, (1, 2, 2), mid_filters=5)(inputs)
    inner = keras.Sequential([keras.Input((4, 4, 4, 6)), keras.layers.Conv3D(3, 1)])
    x = keras.layers.Dense(7)(keras.layers.GlobalAveragePooling3D()(inner(x)))
    expected = 4 * 16 * (9 * 2 * 5 + 3 * 5 * 6) + 4 * 16 * 6 * 3 + 3 * 7
    assert count_macs(keras.Model(inputs, x)) == expected


def test_unknown_sizes_are_an_error():
    with pytest.raises(ValueError, match="stem.0 has an unknown size.*full input_shape"):
        count_macs(VideoResNet("r3d_10", input_shape=(None, 112, 112, 3), width_multiplier=0.1))


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (keras.layers.Conv2DTranspose(3, 2), "is a Conv2DTranspose, whose"),
        (keras.layers.SeparableConv2D(3, 2), "is a SeparableConv2D, whose"),
        (keras.layers.DepthwiseConv2D(2), "is a DepthwiseConv2D, whose"),
        (keras.layers.Conv2D(3, 2, data_format="channels_first"), "has its channels first"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_is_not_counted_is_an_error(layer, message):
    with pytest.raises(ValueError, match=f"{layer.name} {message}"):
        count_macs(keras.Sequential([keras.Input((8, 8, 2)), layer]))
