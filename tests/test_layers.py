"""The folded convolutions against Keras' own, and the layers as parts of anyone's model."""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras import Conv2Plus1D, FoldedConv3D, VideoResNet, folding
from r21d_keras.layers import FusedConv3D
from r21d_keras.walk import leaf_layers


def plain_conv3d(clips, weights, strides, pads, activation):
    """Zeros, then `keras.layers.Conv3D`: what a folded convolution must equal."""
    layer = keras.layers.Conv3D(
        weights[0].shape[-1],
        weights[0].shape[:3],
        strides,
        padding="valid",
        activation=activation,
        use_bias=len(weights) == 2,
    )
    padded = np.pad(clips, ((0, 0), *((p, p) for p in pads), (0, 0)))
    layer.build(padded.shape)
    layer.set_weights(weights)
    return np.asarray(layer(padded))


sizes = st.integers(1, 3)


@st.composite
def convolutions(draw):
    """(method, kernel size, strides, padding, clip size, channels, filters)."""
    method = draw(st.sampled_from(sorted(folding.METHODS)))
    k, t = draw(st.sampled_from([1, 2, 3, 5])), draw(st.sampled_from([1, 2, 3]))
    kernel = {"frames": (1, k, k), "rows": (t, 1, 1)}.get(method, (t, k, k))
    st_, ss = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    strides = {"frames": (1, ss, ss), "rows": (st_, 1, 1)}.get(method, (st_, ss, ss))
    padding = draw(st.sampled_from(["symmetric", "valid", (1, 0, 2)]))
    clip = (draw(st.integers(3, 6)), draw(st.integers(5, 9)), draw(st.integers(5, 9)))
    return method, kernel, strides, padding, clip, draw(sizes), draw(sizes)


def less_first_frame(x):
    """An activation that tells whether it was given the frames as they are."""
    return x - x[:, :1]


activations = [None, "relu", "tanh", less_first_frame]


@settings(max_examples=60, deadline=None)
@given(convolutions(), st.booleans(), st.sampled_from(activations))
def test_every_method_equals_conv3d(case, use_bias, activation):
    method, kernel_size, strides, padding, clip, channels, filters = case
    draw = np.random.default_rng(0)
    clips = draw.standard_normal((2, *clip, channels)).astype("float32")
    shapes = [(*kernel_size, channels, filters), (filters,)][: 1 + use_bias]
    weights = [draw.standard_normal(shape).astype("float32") for shape in shapes]
    layer = FoldedConv3D(
        filters,
        kernel_size,
        strides,
        padding=padding,
        compute=method,
        activation=activation,
        use_bias=use_bias,
    )
    layer.build(clips.shape)
    layer.set_weights(weights)
    pads = {"symmetric": tuple(k // 2 for k in kernel_size), "valid": (0, 0, 0)}.get(
        padding, padding
    )
    expected = plain_conv3d(clips, weights, strides, pads, activation)
    got = np.asarray(layer(clips))
    assert tuple(layer.compute_output_shape(clips.shape)) == got.shape == expected.shape
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("method", "kernel_size"),
    [
        *(("auto", k) for k in [(1, 3, 3), (3, 1, 1), (3, 3, 3), (1, 1, 1)]),
        ("frames", (1, 3, 3)),
        ("rows", (3, 1, 1)),
        ("stack", (3, 3, 3)),
    ],
)
def test_unknown_sizes_compute_the_same(method, kernel_size):
    """None for time, height and width: sizes are read when the clip comes."""
    inputs = keras.Input((None, None, None, 2))
    layer = FoldedConv3D(4, kernel_size, compute=method)
    model = keras.Model(inputs, layer(inputs))
    fixed = FoldedConv3D(4, kernel_size, compute="conv3d")
    fixed.build((None, None, None, None, 2))
    fixed.set_weights(layer.get_weights())
    for size in [(3, 5, 6), (4, 8, 8)]:
        clips = np.random.default_rng(1).standard_normal((2, *size, 2)).astype("float32")
        np.testing.assert_allclose(
            model.predict(clips, verbose=0), np.asarray(fixed(clips)), atol=1e-5
        )


def test_symmetric_padding_is_not_keras_same():
    """With stride 2 on an even size the published weights saw a zero at both ends."""
    clips = np.arange(1.0, 5.0, dtype="float32").reshape(1, 1, 1, 4, 1)
    layer = FoldedConv3D(1, (1, 1, 3), (1, 1, 2), use_bias=False, kernel_initializer="ones")
    assert np.asarray(layer(clips)).ravel().tolist() == [1 + 2, 2 + 3 + 4]


def test_weights_are_conv3ds():
    ours, plain = FoldedConv3D(4, (3, 3, 3)), keras.layers.Conv3D(4, (3, 3, 3))
    for layer in (ours, plain):
        layer.build((None, 4, 8, 8, 2))
    assert [w.shape for w in ours.weights] == [w.shape for w in plain.weights]
    assert isinstance(ours, keras.layers.Conv3D)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": "same"}, "expected \"symmetric\""),
        ({"padding": (1, 1)}, "three ints"),
        ({"compute": "fft"}, "expected auto, conv3d"),
        ({"compute": "frames"}, "1 x k x k kernels|kernels 1 x k x k"),
        ({"compute": "rows"}, "kernels k x 1 x 1"),
        ({"dilation_rate": 2}, "Use keras.layers.Conv3D"),
        ({"groups": 2}, "Use keras.layers.Conv3D"),
        ({"data_format": "channels_first"}, "channels-last"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        FoldedConv3D(4, (3, 3, 3), **arguments)


def test_conv2plus1d_has_a_3d_convolutions_weight_count():
    """Section 3.5: M_i is the largest width that does not exceed it."""
    layer = Conv2Plus1D(128, 3, (2, 2, 2), name="c")
    layer.build((None, 8, 16, 16, 64))
    kernels = sum(int(np.prod(w.shape)) for w in layer.weights if len(w.shape) == 5)
    assert 0.99 * 27 * 64 * 128 < kernels <= 27 * 64 * 128
    assert layer.spatial.filters == 230 and layer.spatial.strides == (1, 2, 2)
    assert layer.temporal.strides == (2, 1, 1)
    assert tuple(layer.compute_output_shape((2, 8, 16, 16, 64))) == (2, 4, 8, 8, 128)


@settings(max_examples=30, deadline=None)
@given(convolutions(), st.booleans(), st.sampled_from(["linear", "relu"]))
def test_fused_convolutions_are_the_same(case, use_bias, activation):
    method, kernel_size, strides, padding, clip, channels, filters = case
    clips = np.random.default_rng(0).standard_normal((2, *clip, channels)).astype("float32")
    given = {
        "filters": filters,
        "kernel_size": kernel_size,
        "strides": strides,
        "padding": padding,
        "compute": method,
        "use_bias": use_bias,
        "activation": activation,
        "bias_initializer": "random_normal",
    }
    folded, fused = FoldedConv3D(**given), FusedConv3D(**given)
    for layer in (folded, fused):
        layer.build(clips.shape)
    fused.set_weights(folded.get_weights())
    got, expected = (np.asarray(layer(clips)) for layer in (fused, folded))
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "softmax", keras.layers.LeakyReLU()])
def test_fused_convolutions_refuse_other_activations(activation):
    with pytest.raises(ValueError, match='takes "linear" or "relu"'):
        FusedConv3D(4, 3, activation=activation)


@pytest.mark.parametrize("compute", ["conv3d", "frames", "stack"])
def test_what_is_known_of_a_clip_is_known_of_the_output(compute):
    inputs = keras.Input(batch_shape=(2, None, 8, 8, 3))
    for kind in (FoldedConv3D, FusedConv3D):
        layer = kind(5, (1, 3, 3), compute=compute)
        assert tuple(layer(inputs).shape) == (2, None, 8, 8, 5)


def test_an_activation_may_be_taken_away():
    clips = np.random.default_rng(0).standard_normal((2, 4, 8, 8, 3)).astype("float32")
    layer = FoldedConv3D(4, (1, 3, 3), activation="relu")
    layer(clips)
    layer.activation = None  # as Keras' own layers allow
    assert np.asarray(layer(clips)).min() < 0
    assert np.asarray(layer.among_neighbours(clips)).min() < 0


def test_an_override_of_convolution_op_computes():
    """Keras' own place to change what a convolution does with its kernel."""

    class Doubled(FoldedConv3D):
        def convolution_op(self, inputs, kernel):
            return super().convolution_op(inputs, 2 * kernel)

    clips = np.random.default_rng(0).standard_normal((2, 4, 8, 8, 3)).astype("float32")
    plain, doubled = FoldedConv3D(4, (1, 3, 3)), Doubled(4, (1, 3, 3))
    for layer in (plain, doubled):
        layer.build(clips.shape)
    doubled.set_weights(plain.get_weights())
    np.testing.assert_allclose(np.asarray(doubled(clips)), 2 * np.asarray(plain(clips)), atol=1e-5)


@pytest.mark.parametrize("kernel_size", [0, (3, 3), "3", (3, 3, 0)])
def test_conv2plus1d_refuses_a_bad_kernel_size(kernel_size):
    with pytest.raises(ValueError, match="positive int or three"):
        Conv2Plus1D(8, kernel_size)


def test_layers_serialise_in_anyones_model(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((4, 8, 8, 3)),
            Conv2Plus1D(6, 3, 2, mid_filters=5, bn_epsilon=1e-5, name="first"),
            FoldedConv3D(4, (2, 3, 3), padding="valid", compute="stack", activation="relu"),
            keras.layers.GlobalAveragePooling3D(),
        ],
    )  # fmt: skip
    clips = np.random.default_rng(2).standard_normal((2, 4, 8, 8, 3)).astype("float32")
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for old, new in zip(model.layers, again.layers, strict=True):
        assert new.get_config() == old.get_config()
    np.testing.assert_array_equal(again.predict(clips, verbose=0), model.predict(clips, verbose=0))


@pytest.mark.parametrize(
    ("asked", "engine"),
    [("0", "tensorflow"), ("false", "tensorflow"), ("1", "tensorflow+onednn")],
)
def test_engine_follows_the_switch_of_onednn(asked, engine, monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", asked)
    assert folding.engine() == engine
    methods = dict(zip(folding.FORMS, folding.AUTO[engine], strict=True))
    assert FoldedConv3D(2, 1)._method == methods["1x1x1"]
    assert FoldedConv3D(2, 1, (2, 2, 2))._method == methods["1x1x1 strided"]
    assert FoldedConv3D(2, (1, 3, 3), (1, 2, 2))._method == methods["1xkxk"]
    assert FoldedConv3D(2, (3, 1, 1), (2, 1, 1))._method == methods["kx1x1"]
    assert FoldedConv3D(2, (3, 3, 3))._method == methods["kxkxk"]
    assert FoldedConv3D(2, (3, 3, 3), (1, 2, 2))._method == methods["kxkxk strided"]


def test_every_method_of_auto_can_compute_its_form():
    """Of every kernel and stride, those that no network of ours has too."""
    for methods in folding.AUTO.values():
        for kernel in itertools.product((1, 2, 3), repeat=3):
            for strides in itertools.product((1, 2), repeat=3):
                form = folding.form_of(kernel, strides)
                folding.check(methods[folding.FORMS.index(form)], kernel, strides)


def test_a_gpu_computes_by_the_backends_own_conv3d(monkeypatch):
    monkeypatch.setitem(folding._SEES_GPU, "tensorflow", lambda tensorflow: True)
    assert {FoldedConv3D(2, k)._method for k in ((1, 3, 3), (3, 1, 1), 3)} == {"conv3d"}


def test_a_kernel_initializer_is_given_on_drawn_anew_and_kept():
    layer = Conv2Plus1D(4, kernel_initializer=keras.initializers.RandomNormal(stddev=0.5))
    twin = Conv2Plus1D.from_config(layer.get_config())
    for each in (layer, twin):
        each.build((None, 4, 8, 8, 3))
        assert 0.3 < np.std(each.spatial.kernel.numpy()) < 0.7
    again = layer._conv(layer.spatial.filters, (1, 3, 3), (1, 1, 1), "0")
    again.build((None, 4, 8, 8, 3))
    assert not np.array_equal(again.kernel.numpy(), layer.spatial.kernel.numpy())
    model = VideoResNet("r2plus1d_10", width_multiplier=0.125, kernel_initializer="zeros")
    for inner, _ in leaf_layers(model):
        if isinstance(inner, FoldedConv3D):
            assert not inner.kernel.numpy().any()
