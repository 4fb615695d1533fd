"""Every family in the formats of other runtimes, computed by those runtimes."""

import functools

import keras
import numpy as np
import pytest

from r21d_keras.merged import merge_batch_norm
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.formats.convert import write_format
from r21d_keras.training.formats.plan import plan_of
from r21d_keras.training.formats.runtimes import open_session
from r21d_keras.training.formats.table import FORMATS, check_format
from r21d_keras.variants import FAMILIES
from tests.trained_networks import CLASSES, servable_of

RUNTIMES = [name for name in FORMATS if name != "tf"]
SIDE, FRAMES = 24, 4


def written(folder, servable, name, precision="float32"):
    """The folder, with the network in a format whose runtime is here."""
    try:
        check_format(name, precision)
    except ConfigError as error:
        pytest.skip(str(error))
    folder.mkdir(exist_ok=True)
    write_format(folder, servable, name, precision)
    return folder


@pytest.fixture(scope="module", params=[f"{family}_18" for family in FAMILIES])
def servable(request):
    return servable_of(request.param, FRAMES, SIDE)


@pytest.fixture(scope="module")
def made(servable, tmp_path_factory):
    """A function that says where the network lies in a format; each is written once."""
    root = tmp_path_factory.mktemp("formats")

    @functools.cache
    def of(name):
        return written(root / name, servable, name)

    return of


def clips_of(servable, batch, frames=FRAMES):
    """Coarse pictures, or flow of a pixel or so."""
    draw = np.random.default_rng(frames)
    shape = (batch, frames, SIDE // 4, SIDE // 4)
    if servable.stream == "flow":
        coarse = draw.normal(size=(*shape, 2)).astype(np.float32)
    else:
        coarse = draw.integers(0, 256, (*shape, 3), np.uint8)
    return coarse.repeat(4, axis=2).repeat(4, axis=3)


def scores_of(servable, clips):
    return servable.model(normalise(clips, servable.preprocessing), training=False).numpy()


def check_same(servable, run, clips, atol=1e-5):
    answer, expected = run(clips), scores_of(servable, clips)
    np.testing.assert_allclose(answer["probabilities"], expected, atol=atol)
    pooled = keras.Model(servable.model.input, servable.model.get_layer("avgpool").output)
    features = pooled(normalise(clips, servable.preprocessing)).numpy()
    np.testing.assert_allclose(answer["embedding"], features, atol=100 * atol, rtol=100 * atol)
    assert answer["probabilities"].shape == (len(clips), len(CLASSES))
    assert np.ptp(expected, axis=1).min() > 0.05  # not a model that says the same of everything
    assert set(answer) == {"probabilities", "embedding"}


@pytest.mark.parametrize("name", RUNTIMES)
def test_runtimes_say_what_keras_says(servable, made, name):
    """Ten times closer than is promised; in batches of any size, and of other clip lengths."""
    run = open_session(made(name), name)
    for batch in (1, 3, 2):
        check_same(servable, run, clips_of(servable, batch))
    if FORMATS[name].any_length and servable.length is None:
        check_same(servable, run, clips_of(servable, 2, 7))


@pytest.mark.parametrize("name", RUNTIMES)
def test_bottlenecks_and_other_numbers_of_frames(name, tmp_path):
    """Strides over an odd number of frames, kernels of one pixel, and dropout, which is nothing."""
    servable = servable_of("rmc3_50", 5, SIDE, dropout=0.5)
    run = open_session(written(tmp_path, servable, name), name)
    check_same(servable, run, clips_of(servable, 2, 5))


@pytest.mark.parametrize("name", RUNTIMES)
def test_networks_of_flow_take_flow(name, tmp_path):
    servable = servable_of("f_r2d_10", FRAMES, SIDE, flow=True)
    run = open_session(written(tmp_path, servable, name), name)
    check_same(servable, run, clips_of(servable, 2))


@pytest.mark.parametrize("name", RUNTIMES)
def test_float16_takes_half_the_bytes(name, tmp_path):
    servable = servable_of("r3d_10", FRAMES, SIDE, width=0.125)
    sizes = {}
    for precision in ("float32", "float16"):
        folder = written(tmp_path / precision, servable, name, precision)
        sizes[precision] = sum((folder / file).stat().st_size for file in FORMATS[name].files)
    assert sizes["float16"] < 0.6 * sizes["float32"]
    check_same(servable, open_session(tmp_path / "float16", name), clips_of(servable, 2), 5e-3)


def test_litert_needs_no_flex(made):
    """Its own operations alone, and none that XNNPACK leaves to a slow reference."""
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    model = schema.Model.GetRootAs((made("litert") / "model.tflite").read_bytes())
    codes = [model.OperatorCodes(place) for place in range(model.OperatorCodesLength())]
    assert all(code.CustomCode() is None for code in codes)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    found = {names[code.BuiltinCode()] for code in codes}
    assert "CONV_2D" in found and not {"CONV_3D", "CUSTOM", "DELEGATE"} & found


def test_onnx_is_one_operation_for_each_of_ours(servable, made):
    """3-D convolutions as such: no reshapes by which runtimes could lose sight of them."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(made("onnx") / "model.onnx")
    found = [node.op_type for node in model.graph.node]
    kernels = sum(step.operation == "convolution" for step in plan_of(servable.model))
    assert found.count("Conv") == kernels and "Reshape" not in found
    assert found.count("Transpose") == 1  # of the clips
    assert not [entry.domain for entry in model.opset_import if entry.domain]


def test_what_is_no_video_resnet_is_refused():
    inputs = keras.Input((4, 8, 8, 3))
    x = keras.layers.AveragePooling3D(2, name="pool")(inputs)
    with pytest.raises(ConfigError, match=r"Layer pool \(AveragePooling3D\) has no counterpart"):
        plan_of(keras.Model(inputs, x))


def test_logits_are_refused():
    model = merge_batch_norm(servable_of("r3d_10").model)
    model.get_layer("fc").activation = keras.activations.sigmoid
    with pytest.raises(ConfigError, match="fc has another activation than softmax"):
        plan_of(model)
