"""OpenVINO reads the SavedModel itself: another loader of the same file, which is not TensorFlow's.

It takes `serving_default` alone, and leaves the checks of requests out.
"""

import numpy as np
import pytest

from r21d_keras.training.data.frames import resize_clip
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving.saved_model import export

openvino = pytest.importorskip("openvino")


def compiled(version):
    """The SavedModel as a function, computed in float32; CPUs that can would take bfloat16."""
    model = openvino.Core().read_model(version)
    return openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


@pytest.mark.parametrize("variant", ["r2plus1d_10", "mc3_10", "r2d_10"])
def test_it_answers_as_keras_does(tiny_run, tmp_path, variant):
    run = tiny_run(variant=variant)
    run_it, scorer = compiled(export(run, tmp_path)), load_predictor(run).scorer
    (given,), classes = run_it.inputs, load_run(run)[1]
    assert given.any_name == "clips" and given.get_element_type() == openvino.Type.u8
    draw = np.random.default_rng(0)
    for size in ((36, 40), (64, 64)):
        coarse = draw.integers(0, 256, (2, 4, 6, 6, 3), dtype=np.uint8)
        clips = np.stack([resize_clip(clip, size) for clip in coarse])
        expected = scorer(np.stack([resize_clip(clip, (36, 40)) for clip in clips]))
        answer = run_it([clips])
        # At the network's own size nothing is resized; else OpenCV's bilinear differs by rounding.
        tolerance = 1e-5 if size == (36, 40) else 2e-3
        np.testing.assert_allclose(answer["probabilities"], expected, atol=tolerance)
        best = answer["probabilities"].argmax(axis=1)
        assert answer["top_labels"][:, 0].tolist() == [classes[place] for place in best]
        assert answer["embedding"].shape == (2, 64)


def test_flow_is_taken_in_pixels(tiny_run, tmp_path):
    run = tiny_run(stream="flow")
    version = export(run, tmp_path)
    numbers = load_predictor(version).preprocessing
    flow = np.random.default_rng(0).normal(0, 3, (2, 4, 32, 32, 2)).astype(np.float32)
    expected = load_run(run)[2]((flow - np.float32(numbers.mean)) / np.float32(numbers.std))
    found = compiled(version)([flow])["probabilities"]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
