import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, merge_batch_norm
from r21d_keras.layers import Conv2Plus1D, FoldedConv3D, FusedConv3D
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
    assert keras.layers.BatchNormalization not in kinds
    assert FusedConv3D in kinds and FoldedConv3D not in kinds
    assert merged.input.name.startswith("clips") and merged.name == variant
    kernels = sum(isinstance(layer, FoldedConv3D) for layer, _ in leaf_layers(model))
    assert kernels == sum(isinstance(layer, FoldedConv3D) for layer, _ in leaf_layers(merged))
    relus = [layer.name for layer in merged.layers if isinstance(layer, keras.layers.ReLU)]
    blocks = [layer for layer in merged.layers if isinstance(layer, keras.layers.Add)]
    assert len(relus) == len(blocks)  # those after a sum: it is no convolution's alone


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


def test_only_a_relu_that_is_one_convolutions_alone_becomes_its_activation():
    """Not what clips above, leaks, or is behind a normalisation that another layer takes too."""
    x = y = keras.Input((4, 8, 8, 3))
    for relu in ({}, {"max_value": 1.0}, {"negative_slope": 0.1}, {"threshold": 0.2}):
        y = keras.layers.ReLU(name="_".join(["relu", *relu]), **relu)(FoldedConv3D(4, 3)(y))
    y = keras.layers.BatchNormalization()(FoldedConv3D(4, 1)(y))
    y = keras.layers.Add()([y, keras.layers.ReLU(name="of_two")(y)])
    merged = check_same_of_any(keras.Model(x, y))
    left = {layer.name for layer in merged.layers if isinstance(layer, keras.layers.ReLU)}
    assert left == {"relu_max_value", "relu_negative_slope", "relu_threshold", "of_two"}
    assert not any(isinstance(layer, keras.layers.BatchNormalization) for layer in merged.layers)


class TwiceRelu(keras.layers.ReLU):
    def call(self, inputs):
        return 2 * super().call(inputs)


class LessOne(FoldedConv3D):
    def call(self, inputs):
        return super().call(inputs) - 1


def test_subclasses_and_other_dtypes_stay():
    x = keras.Input((4, 8, 8, 3))
    y = TwiceRelu(name="twice")(FoldedConv3D(4, 3)(x))
    y = keras.layers.ReLU(name="behind_less")(LessOne(4, 3, name="less")(y))
    y = FoldedConv3D(4, 3, dtype="mixed_bfloat16", name="half")(y)
    y = keras.layers.ReLU(dtype="float32", name="exact")(y)
    model = keras.Model(x, y)
    merged = check_same(model, (2, 4, 8, 8, 3))
    names, found = ([layer.name for layer in each.layers[1:]] for each in (model, merged))
    assert found == names
    assert "float32" in str(merged.output.dtype)  # a string, or TensorFlow's own type


@pytest.mark.parametrize("shared", ["conv", "relu"])
def test_layers_that_are_used_twice_are_refused(shared):
    x = keras.Input((4, 8, 8, 3))
    layer = FoldedConv3D(3, 3) if shared == "conv" else keras.layers.ReLU()
    y = layer(FoldedConv3D(3, 3)(layer(x)))
    with pytest.raises(ValueError, match="is used twice; .* each layer once"):
        merge_batch_norm(keras.Model(x, y))


def test_models_of_several_outputs_are_refused():
    x = keras.Input((4, 8, 8, 3))
    with pytest.raises(ValueError, match="takes 1 inputs and gives 2 outputs"):
        merge_batch_norm(keras.Model(x, [x, FoldedConv3D(3, 3)(x)]))


def test_a_merged_network_is_saved_and_merged_again(tmp_path):
    model = trained(VideoResNet("r2plus1d_10", 3, (4, 16, 16, 3), width_multiplier=0.125))
    merged = check_same(model, (2, 4, 16, 16, 3))
    merged.save(tmp_path / "merged.keras")
    again = check_same(keras.models.load_model(tmp_path / "merged.keras"), (2, 4, 16, 16, 3))
    for one, other in zip(merged.layers, again.layers, strict=True):
        assert one.get_config() == other.get_config()


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
