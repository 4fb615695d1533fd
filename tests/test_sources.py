"""What `weights=` may be besides a tag: files of every kind; on other backends, in processes."""

import importlib.util
import json
import logging
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, zoo
from r21d_keras.zoo.checkpoints.convert import convert_checkpoint
from r21d_keras.zoo.errors import CheckpointError
from tests import published_files
from tests.named_checkpoints import seeded, torch_shapes
from tests.published_files import SMALL_CLIP, clips_of, seeded_network

ROOT = pathlib.Path(__file__).resolve().parent.parent
RGB, FLOW, R2D = published_files.small_rows()
KINDS = ("network.pkl", "network.pth", "network_zip.pth", "converted.weights.h5", "bare.weights.h5")

# Prints what a builder makes of each file; on any backend.
LOGITS_OF = """
import json, sys
import keras
from r21d_keras import zoo
from tests.published_files import SMALL_CLIP, clips_of
logits = []
for path in sys.argv[1:]:
    model = zoo.r2plus1d_10(path, input_shape=SMALL_CLIP, classifier_activation=None)
    logits.append(model.predict(clips_of(SMALL_CLIP), verbose=0).tolist())
print(json.dumps([keras.backend.backend(), "tensorflow" in sys.modules, logits]))
"""
# Prints which converted file a builder has left.
FILE_OF_TAG = """
import pytest
from r21d_keras import zoo
from r21d_keras.zoo.cache import weights_file
from tests import published_files
row = published_files.small_rows()[0]
with pytest.MonkeyPatch.context() as patch:
    published_files.list_rows(patch, row)
    zoo.r2plus1d_10(row.tag)
    found = weights_file(row).stat()
    print(found.st_ino, found.st_mtime_ns)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One network in a file of each of KINDS."""
    folder = tmp_path_factory.mktemp("files")
    arrays = published_files.arrays_of(RGB)
    published_files.publish(RGB, folder)
    (folder / RGB.file_name).rename(folder / "network.pkl")
    published_files.write_torch(folder / "network.pth", arrays, in_zip=False)
    published_files.write_torch(folder / "network_zip.pth", arrays, in_zip=True)
    convert_checkpoint(folder / "network.pkl", folder / "converted.weights.h5")
    seeded_network(RGB).save_weights(folder / "bare.weights.h5")
    return folder


@pytest.fixture(scope="module")
def expected():
    """Logits of that network on a small clip."""
    return np.asarray(seeded_network(RGB)(clips_of(SMALL_CLIP)))


def build(weights, **options):
    options = {"input_shape": SMALL_CLIP, "classifier_activation": None, **options}
    return zoo.r2plus1d_10(weights, **options)


@pytest.mark.parametrize("as_path", [str, pathlib.Path], ids=["str", "Path"])
@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_each_kind(name, as_path, folder, expected, caplog):
    model = build(as_path(folder / name))
    np.testing.assert_allclose(model(clips_of(SMALL_CLIP)), expected, atol=1e-5)
    assert model.name == "r2plus1d_10" and not caplog.messages


def test_a_file_in_this_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert build("network.pkl").output_shape == (None, 400)
    assert build(os.path.join(".", "bare.weights.h5")).output_shape == (None, 400)


@pytest.mark.parametrize("name", KINDS)
def test_the_clip_is_the_papers_unless_another_is_given(name, folder):
    assert build(folder / name, input_shape=None).input_shape == (None, 16, 112, 112, 3)


@pytest.mark.parametrize("name", ["network.pth", "bare.weights.h5"])
def test_another_head_or_none(name, folder, caplog):
    network, clips = seeded_network(RGB), clips_of(SMALL_CLIP)
    body = keras.Model(network.input, network.get_layer("avgpool").output)
    pooled = build(folder / name, include_top=False, pooling="avg")
    np.testing.assert_allclose(pooled(clips), body(clips), atol=1e-5)
    assert not caplog.messages
    assert build(folder / name, num_classes=3).output_shape == (None, 3)
    assert caplog.messages == [
        f"{name} has a classifier of 400 classes, which is left out; that of these 3 starts at "
        "random."
    ]


def test_weights_without_a_head(folder, tmp_path, caplog, expected):
    features = build(folder / "network.pkl", include_top=False)
    features.save_weights(tmp_path / "body.weights.h5")
    clips = clips_of(SMALL_CLIP)
    again = build(tmp_path / "body.weights.h5", include_top=False)
    np.testing.assert_allclose(again(clips), features(clips), atol=1e-6)
    assert not caplog.messages
    assert build(tmp_path / "body.weights.h5").output_shape == (None, 400)
    assert caplog.messages == [
        "body.weights.h5 has no classifier; that of these 400 starts at random."
    ]


def test_weights_of_a_network_that_was_trained(folder, tmp_path):
    """Keras saves the optimizer's state with them."""
    model = build(folder / "network.pkl", num_classes=3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
    model.fit(clips_of(SMALL_CLIP), np.ones((1, 3)), verbose=0)
    model.save_weights(tmp_path / "tuned.weights.h5")
    again = build(tmp_path / "tuned.weights.h5")
    clips = clips_of(SMALL_CLIP)
    np.testing.assert_allclose(again(clips), model(clips), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["missing.pth", "missing.weights.h5", "no_folder/weights", "."])
def test_no_such_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="There is no file .* a tag of .*r2plus1d_10"):
        build(name)


def test_a_file_that_is_none_of_these(tmp_path):
    (tmp_path / "page.pth").write_text("<html>Not found</html>")
    with pytest.raises(CheckpointError, match="page.pth: this is an HTML or XML page"):
        build(tmp_path / "page.pth")
    (tmp_path / "model.weights.h5").write_text("none")
    with pytest.raises(CheckpointError, match="expected a file in Keras' .weights.h5 format"):
        build(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("name", ["converted.weights.h5", "bare.weights.h5"])
def test_a_file_that_was_cut_off(name, folder, tmp_path):
    whole = (folder / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=f"{tmp_path / name} is damaged or cut off .* Delete"):
        build(tmp_path / name)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_another_network(name, folder):
    with pytest.raises(CheckpointError, match=f"{name}.* hold.*(r3d_10|values that do not fit)"):
        zoo.r3d_10(folder / name)
    with pytest.raises(CheckpointError, match=f"{name}.* hold.*(r2plus1d_18|values that do no)"):
        zoo.r2plus1d_18(folder / name)


def test_files_of_other_clips(folder, tmp_path):
    for row, variant in ((FLOW, zoo.r2plus1d_10), (R2D, zoo.r2d_10)):
        published_files.publish(row, tmp_path)
        shape = variant(tmp_path / row.file_name).input_shape
        assert shape == (None, 16 if row is FLOW else 8, 112, 112, row.input_shape[3])
    with pytest.raises(ValueError, match=f"{FLOW.file_name} takes 2 channels .* got .*4, 24, 32"):
        build(tmp_path / FLOW.file_name)
    with pytest.raises(ValueError, match=f"{R2D.file_name} takes clips of 8 frames"):
        zoo.r2d_10(tmp_path / R2D.file_name, input_shape=SMALL_CLIP)


@pytest.mark.parametrize("name", KINDS[:-1])
def test_the_convention_that_a_file_tells(name, folder):
    assert build(folder / name, convention="paper").count_params() > 10_000_000
    with pytest.raises(ValueError, match="convention 'paper'|has 'paper'"):
        build(folder / name, convention="torchvision")
    with pytest.raises(ValueError, match="'caffe'"):
        build(folder / name, convention="caffe")


def test_the_convention_that_a_file_does_not_tell(tmp_path, caplog):
    """Without (2+1)D convolutions the conventions differ in an epsilon alone."""
    arrays = seeded(torch_shapes("f_r2d_10"))
    published_files.write_torch(tmp_path / "net.pth", arrays, in_zip=True)
    convert_checkpoint(tmp_path / "net.pth", tmp_path / "net.weights.h5")
    VideoResNet("f_r2d_10", 8, SMALL_CLIP).save_weights(tmp_path / "bare.weights.h5")
    names = {"net.pth": "torchvision", "net.weights.h5": "torchvision", "bare.weights.h5": "paper"}
    for name, assumed in names.items():
        caplog.clear()
        with caplog.at_level(logging.WARNING, "r21d_keras.zoo"):
            assert epsilon(tmp_path / name) == {"paper": 1e-3, "torchvision": 1e-5}[assumed]
        (message,) = caplog.messages
        assert f"{name} does not tell its convention" in message and repr(assumed) in message
        caplog.clear()
        assert epsilon(tmp_path / name, convention="paper") == 1e-3
        assert epsilon(tmp_path / name, convention="torchvision") == 1e-5
        assert not caplog.messages


def test_weights_of_the_other_convention_do_not_fit(tmp_path):
    network = VideoResNet("r2plus1d_10", 400, SMALL_CLIP, convention="torchvision")
    network.save_weights(tmp_path / "bare.weights.h5")
    with pytest.raises(CheckpointError, match="bare.weights.h5 .*do not fit.* check .* convention"):
        build(tmp_path / "bare.weights.h5")
    again = build(tmp_path / "bare.weights.h5", convention="torchvision")
    for ours, theirs in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def epsilon(path, **options):
    model = zoo.f_r2d_10(path, input_shape=SMALL_CLIP, **options)
    return model.get_layer("stem.1").epsilon


@pytest.mark.skipif(keras.__version__ < "3", reason="Keras 2 has the TensorFlow backend alone")
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_read_the_same_files(backend, folder, expected):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    paths = [str(folder / name) for name in ("converted.weights.h5", "network.pkl")]
    process = start(LOGITS_OF, *paths, KERAS_BACKEND=backend)
    found, has_tensorflow, logits = json.loads(output(process).splitlines()[-1])
    assert found == backend and not has_tensorflow
    np.testing.assert_allclose(logits, [expected, expected], atol=1e-4)


def test_two_processes_convert_once(folder, tmp_path):
    (tmp_path / RGB.file_name).symlink_to(folder / "network.pkl")
    with published_files.served(tmp_path) as (url, requests):
        environment = {"R21D_HOME": str(tmp_path / "home"), "R21D_MIRROR": url}
        processes = [start(FILE_OF_TAG, **environment, NO_PROXY="127.0.0.1") for _ in range(2)]
        first, second = [output(process).splitlines()[-1] for process in processes]
    assert first == second
    assert requests.count(f"GET /{RGB.file_name}") == 1


def start(code, *arguments, **environment):
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def output(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return out
