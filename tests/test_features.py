"""Features at any layer: what the extractor gives, and how it answers what cannot be."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, get_variant, list_variants, zoo
from r21d_keras._keras import KERAS3
from r21d_keras.zoo.checkpoints.torch_names import load_torch_state
from tests.seeded import CLIP_SHAPE, NUM_CLASSES, seeded_clips

ROOT = pathlib.Path(__file__).resolve().parent.parent
SHAPE = (4, 32, 32, 3)


def small_network(variant="r2plus1d_10", shape=SHAPE, **options):
    return VideoResNet(variant, 5, shape, width_multiplier=0.1, **options)


def random_clips(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("variant", ["r2plus1d_10", "mc3_50", "r2d_10"])
def test_features_are_what_pytorchs_modules_of_these_names_give(variant):
    torch = pytest.importorskip("torch", reason="torch is not installed on this stack")
    from tests import torch_reference

    names = ["stem", "layer1", "layer2.0.conv1", "layer3.0", "layer4.0.conv2", "avgpool", "fc"]
    module = torch_reference.assemble(get_variant(variant), "paper", NUM_CLASSES, CLIP_SHAPE[0])
    torch_reference.seed_weights(module)
    found = {}
    for name in names:  # copies: PyTorch's ReLU works in place

        def keep(part, inputs, output, name=name):
            found[name] = output.clone().numpy()

        module.get_submodule(name).register_forward_hook(keep)
    with torch.inference_mode():
        torch_reference.logits(module, seeded_clips())
    model = VideoResNet(variant, NUM_CLASSES, CLIP_SHAPE, classifier_activation=None)
    load_torch_state(model, torch_reference.state_arrays(module))
    features = zoo.feature_extractor(model, names)(seeded_clips())
    assert set(features) == set(names)
    for name, expected in found.items():  # (1, C, T', H', W'), and (1, C, 1, 1, 1) when pooled
        expected = np.moveaxis(expected, 1, -1).reshape(features[name].shape)
        np.testing.assert_allclose(features[name], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["layer3", "layer3.0", "layer3.0.relu"])
def test_a_group_stands_for_its_last_layer(name):
    model, clips = small_network(), random_clips(1, *SHAPE)
    features = zoo.feature_extractor(model, name)(clips)
    relu = keras.Model(model.input, model.get_layer("layer3.0.relu").output)
    assert list(features) == [name] and features[name].shape == (1, 1, 4, 4, 26)
    np.testing.assert_array_equal(features[name], relu(clips))


@pytest.mark.parametrize("variant", [name for name in list_variants() if name.endswith("_50")])
def test_every_stage_of_every_family_ends_with_its_sum(variant):
    model = small_network(variant)
    stages = ["layer1", "layer2", "layer3", "layer4"]
    outputs = zoo.feature_extractor(model, stages).output
    for stage, count in zip(stages, (3, 4, 6, 3), strict=True):
        assert outputs[stage] is model.get_layer(f"{stage}.{count - 1}.relu").output


def test_layers_and_weights_are_those_of_the_network():
    model, clips = small_network(), random_clips(1, *SHAPE)
    extractor = zoo.feature_extractor(model, "layer1")
    assert extractor.name == "r2plus1d_10_features"
    of_network = {id(weight) for weight in model.weights}
    assert extractor.weights and {id(weight) for weight in extractor.weights} <= of_network
    before = np.array(extractor(clips)["layer1"])
    scale = model.get_layer("stem.4").weights[0]
    scale.assign(2 * scale)
    assert np.abs(before - np.array(extractor(clips)["layer1"])).max() > 0.1


def test_networks_without_a_top_and_of_any_size():
    model = small_network("r3d_10", (None, None, None, 3), include_top=False)
    extractor, clips = (
        zoo.feature_extractor(model, ("layer4", "stem")),
        random_clips(2, 5, 40, 32, 3),
    )
    features = extractor(clips)
    shapes = {name: tuple(value.shape) for name, value in features.items()}
    assert shapes == {"layer4": (2, 1, 3, 2, 51), "stem": (2, 5, 20, 16, 6)}
    np.testing.assert_array_equal(features["layer4"], model(clips))
    pooled = small_network(include_top=False, pooling="avg")
    assert zoo.feature_extractor(pooled, "avgpool")(random_clips(1, *SHAPE))["avgpool"].ndim == 2


def test_it_predicts_in_batches_and_is_saved_as_any_model(tmp_path):
    extractor = zoo.feature_extractor(small_network(), ["layer2", "avgpool"])
    clips = random_clips(5, *SHAPE)
    expected = extractor.predict(clips, batch_size=2, verbose=0)
    assert {name: len(values) for name, values in expected.items()} == {"layer2": 5, "avgpool": 5}
    extractor.save(tmp_path / "features.keras")
    loaded = keras.models.load_model(tmp_path / "features.keras")
    for name, values in loaded.predict(clips, verbose=0).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_an_extractor_may_be_part_of_another_network():
    model = small_network()
    pooled = zoo.feature_extractor(model, "avgpool")(model.input)["avgpool"]
    tuned = keras.Model(model.input, keras.layers.Dense(3, name="mine")(pooled))
    assert tuned(random_clips(2, *SHAPE)).shape == (2, 3)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            "layer5",
            "r2plus1d_10 has no layer 'layer5'. Near: layer.* Expected one of stem, layer1",
        ),
        (["stem", "layer1.0.con1"], "no layer 'layer1.0.con1'. Near: layer1.0.conv1"),
        ("layer1.0.conv1.0.3", "no layer 'layer1.0.conv1.0.3'. Near: layer1.0.conv1.0"),
        ("layer", "no layer 'layer'. Near: layer"),
        (["stem", 3], "no layer 3. Expected one of stem, .*layer4, avgpool, fc, or a layer"),
        ([], "No layer is named; expected such as 'layer3'"),
        ([""], "no layer ''. Expected one of stem"),
    ],
    ids=str,
)
def test_what_is_no_layer_is_refused_with_what_is_near(layers, message):
    with pytest.raises(ValueError, match=message):
        zoo.feature_extractor(small_network(), layers)


ON_PYTORCH = """
import json
import numpy as np
from r21d_keras import VideoResNet, zoo
model = VideoResNet("r2plus1d_10", 5, (4, 32, 32, 3), width_multiplier=0.1)
features = zoo.feature_extractor(model, ["stem", "layer3", "layer3.0.conv1", "avgpool", "fc"])
found = features(np.ones((2, 4, 32, 32, 3), "float32"))
try:
    zoo.feature_extractor(model, "layer3.1")
except ValueError as error:
    print(json.dumps([{name: tuple(values.shape) for name, values in found.items()}, str(error)]))
"""


@pytest.mark.skipif(not KERAS3, reason="Keras 2 has the TensorFlow backend alone")
def test_names_have_dots_where_keras_layers_have_none():
    pytest.importorskip("torch", reason="torch is not installed on this stack")
    done = subprocess.run(
        [sys.executable, "-c", ON_PYTORCH],
        env={**os.environ, "KERAS_BACKEND": "torch"},
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    shapes, error = json.loads(done.stdout.splitlines()[-1])
    assert shapes == {
        "stem": [2, 4, 16, 16, 6],
        "layer3": [2, 1, 4, 4, 26],
        "layer3.0.conv1": [2, 1, 4, 4, 26],
        "avgpool": [2, 51],
        "fc": [2, 5],
    }
    assert "no layer 'layer3.1'" in error
