"""The networks: sizes, structure, options and files. Numbers of parameters are exact."""

import math

import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, list_variants, merge_batch_norm
from r21d_keras.variants import FAMILIES

# Trainable parameters with 400 classes: (variant, convention, frames, channels). Those of depth 18
# with "torchvision" are torchvision's num_params; the rest agree with VMZ c2/tutorials/models.md.
PARAMETERS = {
    ("r2d_18", "paper", 8, 3): 11_447_568,
    ("r2d_18", "paper", 16, 3): 11_522_832,
    ("f_r2d_18", "paper", 16, 3): 11_381_712,
    ("r3d_18", "paper", 16, 3): 33_371_472,
    ("mc2_18", "paper", 16, 3): 11_400_528,
    ("mc3_18", "paper", 16, 3): 11_695_440,
    ("mc4_18", "paper", 16, 3): 12_727_632,
    ("mc5_18", "paper", 16, 3): 16_856_400,
    ("rmc2_18", "paper", 16, 3): 33_352_656,
    ("rmc3_18", "paper", 16, 3): 33_057_744,
    ("rmc4_18", "paper", 16, 3): 32_025_552,
    ("rmc5_18", "paper", 16, 3): 27_896_784,
    ("r2plus1d_18", "paper", 16, 3): 33_370_839,
    ("r2plus1d_18", "torchvision", 16, 3): 31_505_325,
    ("r3d_34", "paper", 16, 3): 63_681_104,
    ("r2plus1d_34", "paper", 16, 3): 63_697_175,
    ("r2plus1d_34", "torchvision", 16, 3): 61_831_661,
    ("r2plus1d_34", "paper", 32, 2): 63_694_970,
    ("r2plus1d_50", "paper", 32, 3): 46_985_057,
    ("r2plus1d_101", "paper", 32, 3): 86_050_785,
    ("r2plus1d_152", "paper", 32, 3): 118_226_785,
    ("r2plus1d_50", "torchvision", 32, 3): 53_949_691,
    ("r2plus1d_101", "torchvision", 32, 3): 99_913_475,
    ("r2plus1d_152", "torchvision", 32, 3): 137_770_491,
    ("r3d_50", "paper", 32, 3): 46_980_944,
    ("r3d_101", "paper", 32, 3): 86_027_088,
    ("r3d_152", "paper", 32, 3): 118_185_808,
}
# Frames left after conv5_x of a 16-frame clip (VMZ create_mcx, create_rmcx).
FINAL_FRAMES = {
    "r2d": 1, "f_r2d": 16, "r3d": 2, "r2plus1d": 2,
    "mc2": 16, "mc3": 16, "mc4": 8, "mc5": 4,
    "rmc2": 2, "rmc3": 2, "rmc4": 4, "rmc5": 8,
}  # fmt: skip
SMALL = {"input_shape": (4, 24, 32, 3), "width_multiplier": 0.125, "num_classes": 5}


def small(family, depth=10, **options):
    keras.utils.set_random_seed(0)
    return VideoResNet(f"{family}_{depth}", **{**SMALL, **options})


def clips(batch=2, shape=SMALL["input_shape"]):
    return np.random.default_rng(0).standard_normal((batch, *shape)).astype("float32")


@pytest.mark.parametrize("case", PARAMETERS, ids=lambda case: "-".join(map(str, case)))
def test_parameter_counts_are_the_published_ones(case):
    variant, convention, frames, channels = case
    model = VideoResNet(variant, input_shape=(frames, 112, 112, channels), convention=convention)
    assert sum(math.prod(w.shape) for w in model.trainable_weights) == PARAMETERS[case]


@pytest.mark.parametrize("name", list_variants())
def test_every_variant_builds_and_ends_with_the_right_size(name):
    family, depth = name.rsplit("_", 1)
    options = {"input_shape": (16, 112, 112, 3), "width_multiplier": 0.02, "include_top": False}
    model = VideoResNet(name, **options)
    expansion = 4 if int(depth) >= 50 else 1
    channels = round(512 * 0.02) * expansion
    assert model.output_shape == (None, FINAL_FRAMES[family], 7, 7, channels)
    assert model.name == name


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_weight(family):
    """One step on random clips moves every trainable weight and every moving statistic."""
    model = small(family, include_top=True)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    before = [np.array(w) for w in model.get_weights()]
    model.fit(clips(4), np.array([0, 1, 2, 3]), epochs=1, batch_size=4, verbose=0)
    still = [
        w.name for w, a, b in zip(model.weights, before, model.get_weights(), strict=True)
        if np.array_equal(a, b)
    ]  # fmt: skip
    assert still == []


@pytest.mark.parametrize("include_top", [True, False])
@pytest.mark.parametrize("family", FAMILIES)
def test_files_give_the_same_network(family, include_top, tmp_path):
    """.keras and .weights.h5, with and without the top."""
    model = small(family, include_top=include_top)
    _stir(model)
    expected = model.predict(clips(), verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.predict(clips(), verbose=0), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = small(family, include_top=include_top)
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh.predict(clips(), verbose=0), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_saved_model_gives_the_same_network(family, tmp_path):
    tf = pytest.importorskip("tensorflow")
    model = small(family)
    _stir(model)
    model.export(tmp_path / "saved")
    saved = tf.saved_model.load(str(tmp_path / "saved"))
    got = saved.signatures["serving_default"](tf.constant(clips()))
    np.testing.assert_allclose(
        next(iter(got.values())).numpy(), model.predict(clips(), verbose=0), atol=1e-5
    )


def _stir(model):
    """Weights and moving statistics that a network fresh from its initialisers does not have."""
    draw = np.random.default_rng(7)
    model.set_weights([
        (w * draw.uniform(0.5, 1.5, w.shape)).astype("float32") + np.float32(0.01)
        for w in model.get_weights()
    ])  # fmt: skip


@pytest.mark.parametrize("pooling", [None, "avg", "max"])
def test_features_and_their_pooling(pooling):
    model = small("mc3", include_top=False, pooling=pooling)
    features = model.predict(clips(), verbose=0)
    whole = small("mc3", include_top=False)
    whole.set_weights(model.get_weights())
    grid = whole.predict(clips(), verbose=0)
    assert grid.shape == (2, 4, 2, 2, 64)
    reduce = {
        None: lambda x: x,
        "avg": lambda x: x.mean((1, 2, 3)),
        "max": lambda x: x.max((1, 2, 3)),
    }
    np.testing.assert_allclose(features, reduce[pooling](grid), atol=1e-5)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f != "r2d"])
def test_any_clip_length_and_frame_size(family):
    """A network built with None for all three gives what one built for the size gives."""
    open_model = small(family, input_shape=(None, None, None, 3))
    for shape in [(4, 24, 32, 3), (5, 33, 17, 3), (1, 16, 16, 3)]:
        fixed = small(family, input_shape=shape)
        fixed.set_weights(open_model.get_weights())
        np.testing.assert_allclose(
            open_model.predict(clips(shape=shape), verbose=0),
            fixed.predict(clips(shape=shape), verbose=0),
            atol=1e-5,
        )


def test_r2d_needs_its_clip_length():
    with pytest.raises(ValueError, match="r2d_10 takes clips of a fixed length.*number of frames"):
        small("r2d", input_shape=(None, 32, 32, 3))
    assert small("r2d", input_shape=(8, None, None, 3)).output_shape == (None, 5)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels(channels):
    model = small("r2plus1d", input_shape=(4, 24, 32, channels))
    assert model.predict(clips(shape=(4, 24, 32, channels)), verbose=0).shape == (2, 5)


def test_stem_has_45_middle_channels_and_layers_have_torch_names():
    model = VideoResNet("r2plus1d_18", convention="torchvision")
    assert model.get_layer("stem").spatial.filters == 45
    assert model.get_layer("stem").spatial.name == "stem.0"
    assert model.get_layer("layer2.0.conv2.0").spatial.filters == 230
    paper = VideoResNet("r2plus1d_18", convention="paper")
    assert paper.get_layer("layer2.0.conv2.0").spatial.filters == 288
    for name in ("layer2.0.downsample.1", "layer4.1.conv2.1", "fc"):
        assert model.get_layer(name).name == name


@pytest.mark.parametrize(("convention", "epsilon"), [("paper", 1e-3), ("torchvision", 1e-5)])
def test_every_normalisation_has_the_conventions_epsilon(convention, epsilon):
    model = small("r2plus1d", convention=convention)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    norms += [layer.norm for layer in model.layers if hasattr(layer, "norm")]
    assert len(norms) == 2 + 4 * 4 + 3  # stem, four blocks of two pairs, three shortcuts
    assert {n.epsilon for n in norms} == {epsilon} and {n.momentum for n in norms} == {0.9}


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("family", ["r2plus1d", "mc3", "r2d"])
def test_mixed_precision(policy, family):
    """Half-precision convolutions over float32 weights; float32 probabilities near float32's."""
    exact = small(family)
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(policy)
    try:
        half = small(family)
        half.set_weights(exact.get_weights())
        half.compile(optimizer="sgd", loss="sparse_categorical_crossentropy")
        got = half.predict(clips(), verbose=0)
        loss = half.fit(clips(), np.array([0, 1]), verbose=0).history["loss"][0]
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert got.dtype == np.float32 and np.isfinite(loss)
    assert {w.dtype for w in half.get_weights()} == {np.dtype("float32")}
    assert half.get_layer("layer1.0.conv1.0").compute_dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(got, exact.predict(clips(), verbose=0), atol=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_shape": (8, 32, 32)}, "expected .frames, height, width, channels."),
        ({"input_shape": (8, 0, 32, 3)}, "positive"),
        ({"input_shape": (8, 32, 32, None)}, "first three may be None"),
        ({"num_classes": 0}, "num_classes=0"),
        ({"input_shape": 16}, "expected .frames, height, width, channels."),
        ({"num_classes": 5.0}, "num_classes=5.0"),
        ({"pooling": "mean"}, "expected None, avg, max"),
        ({"pooling": "avg"}, "is for include_top=False"),
        ({"dropout": 0.5, "include_top": False}, "part of the top"),
        ({"width_multiplier": float("inf")}, "width_multiplier=inf"),
        ({"width_multiplier": 0}, "width_multiplier=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"convention": "vmz"}, "Unknown convention 'vmz'"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        small("r3d", **options)


def test_width_multiplier_scales_every_width():
    full, half = VideoResNet("mc3_10"), VideoResNet("mc3_10", width_multiplier=0.5)
    assert full.get_layer("layer4.0.conv2.0").filters == 512
    assert half.get_layer("layer4.0.conv2.0").filters == 256
    assert half.get_layer("stem.0").filters == 32


def test_compute_compels_every_convolution():
    """The same numbers by the backend's own Conv3D as by the folded default."""
    folded, plain = small("r2plus1d"), small("r2plus1d", compute="conv3d")
    assert plain.get_layer("layer1.0.conv1.0").spatial.compute == "conv3d"
    plain.set_weights(folded.get_weights())
    np.testing.assert_allclose(
        folded.predict(clips(), verbose=0), plain.predict(clips(), verbose=0), atol=1e-5
    )


def test_networks_are_channels_last_whatever_keras_json_says():
    before = keras.backend.image_data_format()
    keras.backend.set_image_data_format("channels_first")
    try:
        model = small("r2plus1d", num_classes=np.int64(5))
        for network in (model, small("r3d", compute="stack")):
            scores = network.predict(clips(), verbose=0)
            merged = merge_batch_norm(network).predict(clips(), verbose=0)
            np.testing.assert_allclose(merged, scores, atol=1e-5)
    finally:
        keras.backend.set_image_data_format(before)
    assert model.get_layer("layer4.0.conv2.0").output.shape[1:] == (1, 2, 2, 64)
    assert model.get_layer("avgpool").output.shape[1:] == (64,)


def test_logits_and_dropout():
    model = small("r3d", classifier_activation=None, dropout=0.5)
    assert model.get_layer("dropout").rate == 0.5
    assert not np.allclose(model.predict(clips(), verbose=0).sum(-1), 1.0)
