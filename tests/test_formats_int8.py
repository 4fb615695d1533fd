"""Quantisation after training, by the ranges of given clips, as each runtime computes it."""

import numpy as np
import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.formats.agreement import agreement, random_clips
from r21d_keras.training.formats.calibration import calibration_clips, videos_of
from r21d_keras.training.formats.convert import write_format
from r21d_keras.training.formats.runtimes import open_session
from r21d_keras.training.formats.table import FORMATS, check_format
from r21d_keras.training.predict import predict
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving.servable import load_servable
from tests.trained_networks import servable_of

RUNTIMES = [name for name in FORMATS if "int8" in FORMATS[name].precisions]


def need(name):
    """Skips where runtime or quantiser are not installed."""
    try:
        check_format(name, "int8")
    except ConfigError as error:
        pytest.skip(str(error))


def integers_onnx(folder):
    import onnx

    graph = onnx.load(folder / "model.onnx").graph
    return sum(weight.data_type == onnx.TensorProto.INT8 for weight in graph.initializer)


def integers_openvino(folder):
    import openvino

    model = openvino.Core().read_model(folder / "model.xml")
    types = [op.get_element_type() for op in model.get_ops() if op.get_type_name() == "Constant"]
    return sum(kind == openvino.Type.i8 for kind in types)


def integers_litert(folder):
    from ai_edge_litert.interpreter import Interpreter

    tensors = Interpreter(str(folder / "model.tflite")).get_tensor_details()
    return sum(one["dtype"] == np.int8 and "conv2d" in one["name"].lower() for one in tensors)


INTEGERS = {"onnx": integers_onnx, "openvino": integers_openvino, "litert": integers_litert}


@pytest.mark.parametrize("variant", ["r2plus1d_10", "mc4_10"])
@pytest.mark.parametrize("name", RUNTIMES)
def test_integers_say_nearly_the_same(name, variant, tmp_path):
    """Every convolution in 8 bits; batches of any size, clips that were not seen before."""
    need(name)
    servable = servable_of(variant, width=0.125)
    sizes = {}
    for precision in ("float32", "int8"):
        folder = tmp_path / precision
        folder.mkdir()
        write_format(folder, servable, name, precision, random_clips(servable, 8))
        sizes[precision] = (folder / FORMATS[name].files[-1]).stat().st_size
    assert sizes["int8"] < 0.45 * sizes["float32"]
    kernels = [weight for weight in servable.model.weights if len(weight.shape) == 5]
    assert INTEGERS[name](tmp_path / "int8") >= len(kernels)
    unseen = np.concatenate(random_clips(servable, 12)[8:])
    found = open_session(tmp_path / "int8", name)(unseen)["probabilities"]
    expected = servable.model(normalise(unseen, servable.preprocessing)).numpy()
    assert 1e-6 < np.abs(found - expected).max() < 0.1
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() >= 0.75


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_run_is_quantised_by_its_videos(tiny_run, motion_videos, tmp_path, name, capsys):
    need(name)
    run, out = tiny_run(), tmp_path / "models"
    asked = [f"--calibrate={motion_videos / 'train'}", "--calibration_clips=12"]
    what = [f"--model_dir={run}", f"--out={out}", f"--format={name}", "--precision=int8"]
    assert main(["export", *what, *asked]) == 0
    told = capsys.readouterr().out
    assert "from those of Keras on 6 clips that it was quantised by" in told
    video = str(next(iter(sorted((motion_videos / "test").rglob("*.mp4")))))
    found, expected = (predict(load_predictor(model), video, 3) for model in (out / "1", run))
    by_label = dict(zip(expected.labels, expected.scores, strict=True))
    assert found.labels[0] in expected.labels[:2]
    assert abs(by_label[found.labels[0]] - found.scores[0]) < 0.1


def test_clips_are_spread_over_videos_and_time(tiny_run, motion_videos):
    servable = load_servable(tiny_run())
    videos = videos_of([motion_videos / "train"])
    assert videos == sorted(videos) and len(videos) == 8
    clips = calibration_clips(servable, videos, 20)
    assert len(clips) == 20
    assert {(clip.shape, clip.dtype.name) for clip in clips} == {((1, 4, 32, 32, 3), "uint8")}
    assert len({clip.tobytes() for clip in clips}) == 20
    again = calibration_clips(servable, videos, 20)
    assert all((one == other).all() for one, other in zip(clips, again, strict=True))
    few = calibration_clips(servable, videos, 2)  # of the first and the last
    (first,), (last,) = (calibration_clips(servable, [videos[place]], 1) for place in (0, -1))
    assert (few[0] == first).all() and (few[1] == last).all()
    many = calibration_clips(servable, videos[:1], 1000)
    assert len(many) < 1000  # as many as the video has, none twice
    assert len({clip.tobytes() for clip in many}) > 10


def test_flow_is_calibrated_by_flow(tiny_run, motion_videos, tmp_path):
    need("onnx")
    servable = load_servable(tiny_run(stream="flow", variant="f_r2d_10"))
    clips = calibration_clips(servable, videos_of([motion_videos / "test"]), 6)
    assert {(clip.shape, clip.dtype.name) for clip in clips} == {((1, 4, 32, 32, 2), "float32")}
    write_format(tmp_path, servable, "onnx", "int8", clips)
    assert agreement(tmp_path, "onnx", "int8", servable, clips).largest < 0.2


def test_real_clips(test_data, tmp_path):
    """Of the containers that people have; each gives its share."""
    need("openvino")
    servable = servable_of("mc3_10", side=32)
    clips = calibration_clips(servable, videos_of([test_data / "clips"]), 14)
    assert len(clips) == 14
    write_format(tmp_path, servable, "openvino", "int8", clips)
    assert agreement(tmp_path, "openvino", "int8", servable, clips).largest < 0.2
