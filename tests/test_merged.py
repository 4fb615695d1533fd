import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet
from r21d_keras.layers import Conv2Plus1D, FoldedConv3D
from r21d_keras.merged import merge_batch_norm
from r21d_keras.variants import FAMILIES
from r21d_keras.walk import leaf_layers
from tests.trained_networks import trained


def clips(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def check_same(model, shape):
    merged = merge_batch_norm(model)
    x = clips(*shape)
    expected, found = (network(x, training=False) for network in (model, merged))
    expected, found = (np.asarray(value) for value in (expected, found))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.ptp(expected) > 0.01
    return merged


@pytest.mark.parametrize(
    "variant", [*(f"{family}_10" for family in FAMILIES), "r2plus1d_50", "rmc3_50"]
)
def test_scores_stay_and_no_normalisation_is_left(variant):
    model = VideoResNet(variant, 7, (4, 24, 24, 3), width_multiplier=0.125, dropout=0.2)
    fc = model.get_layer("fc")
    fc.set_weights([20 * value for value in fc.get_weights()])
    merged = check_same(trained(model), (2, 4, 24, 24, 3))
    kinds = {type(layer) for layer, _ in leaf_layers(merged)}
    assert keras.layers.BatchNormalization not in kinds and FoldedConv3D in kinds
    assert merged.input.name.startswith("clips") and merged.name == variant
    kernels = sum(isinstance(layer, FoldedConv3D) for layer, _ in leaf_layers(model))
    assert kernels == sum(isinstance(layer, FoldedConv3D) for layer, _ in leaf_layers(merged))


def test_sizes_that_are_free_stay_so():
    model = trained(VideoResNet("r2plus1d_10", 3, (None, None, None, 2), width_multiplier=0.125))
    merged = check_same(model, (1, 5, 20, 28, 2))
    assert tuple(merged.input.shape) == (None, None, None, None, 2)


def test_what_another_layer_takes_too_is_not_changed():
    """Two normalisations of one convolution, one of the input, one behind an activation."""
    x = keras.Input((4, 8, 8, 3))
    y = keras.layers.BatchNormalization(name="of_the_input")(x)
    y = FoldedConv3D(4, 3, use_bias=True, bias_initializer="random_normal")(y)
    both = keras.layers.Add()([keras.layers.BatchNormalization(name=name)(y) for name in "ab"])
    z = keras.layers.BatchNormalization(name="behind_relu")(
        FoldedConv3D(4, 1, activation="relu")(both)
    )
    z = FoldedConv3D(4, 3, use_bias=True, bias_initializer="random_normal")(z)
    z = keras.layers.BatchNormalization(name="merged", scale=False)(z)
    z = Conv2Plus1D(4)(z)
    merged = check_same_of_any(keras.Model(x, z))
    left = {layer.name for layer in merged.layers}
    assert {"of_the_input", "a", "b", "behind_relu"} <= left and "merged" not in left


def check_same_of_any(model):
    draw = np.random.default_rng(0)
    for layer, _ in leaf_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([draw.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    return check_same(model, (2, 4, 8, 8, 3))


def test_the_model_itself_stays_as_it_is():
    model = trained(VideoResNet("mc3_10", 3, (4, 16, 16, 3), width_multiplier=0.125))
    before = model.get_weights()
    merged = merge_batch_norm(model)
    merged.set_weights([0 * value for value in merged.get_weights()])
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
