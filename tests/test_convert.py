"""Checkpoint files become Keras weights exactly: golden logits, torch's logits, and refusals."""

import json
import os
import pathlib

import h5py
import keras
import numpy as np
import pytest

from r21d_keras import VideoResNet, __version__
from r21d_keras.variants import FAMILIES
from r21d_keras.zoo.checkpoints.convert import convert_checkpoint, load_arrays, read_network
from r21d_keras.zoo.checkpoints.torch_names import differing
from r21d_keras.zoo.errors import CheckpointError
from r21d_keras.zoo.hashes import digest
from tests import checkpoint_files
from tests.named_checkpoints import NAMED, seeded, torch_shapes
from tests.seeded import CLIP_SHAPE, NUM_CLASSES, seeded_clips

GOLDEN = json.loads(pathlib.Path(__file__).with_name("golden.json").read_text())["logits"]
WRITERS = {
    "torchvision": checkpoint_files.write_torch_zip,
    "caffe2": checkpoint_files.write_caffe2_pickle,
    "gluoncv_v1": checkpoint_files.write_torch_legacy,
}
# The least that tells an F-R2D-10 from all other networks.
TINY = {
    "stem.0.weight": (64, 1, 1, 7, 7),
    **{f"layer{stage}.0.conv1.0.weight": (1, 1, 1, 3, 3) for stage in (1, 2, 3, 4)},
    "fc.weight": (2, 1),
}


def logits_of(path, variant, convention, shape=CLIP_SHAPE, classes=NUM_CLASSES, clips=None):
    """What a network with the weights of `path` makes of clips; the seeded ones by default."""
    model = VideoResNet(variant, classes, shape, convention=convention, classifier_activation=None)
    model.load_weights(str(path))
    return model.predict(seeded_clips() if clips is None else clips, verbose=0)


def converted_logits(source, variant, convention, given=None, **options):
    """The same of a checkpoint, converted."""
    out = source.with_name("converted.weights.h5")
    card = convert_checkpoint(source, out, **(given or {}))
    assert (card["variant"], card["convention"]) == (variant, convention)
    return logits_of(out, variant, convention, **options)


def written(path, arrays, naming="torchvision"):
    """A checkpoint file of arrays that have PyTorch's names, as this project writes it."""
    WRITERS[naming](path, NAMED[naming](arrays))
    return path


def tiny(path, **changes):
    """A file of the least arrays with some changed."""
    arrays = {key: np.ones(shape, "float32") for key, shape in TINY.items()}
    return written(path, arrays | {key.replace("__", "."): a for key, a in changes.items()})


@pytest.fixture(scope="module")
def r2d_10():
    """Arrays of the smallest network with a fixed number of frames."""
    return seeded(torch_shapes("r2d_10", num_classes=NUM_CLASSES, frames=CLIP_SHAPE[0]))


CASES = [(f"{family}_10", "paper", "caffe2") for family in FAMILIES]
CASES += [
    ("r2plus1d_10", "paper", "torchvision"),
    ("r2plus1d_10", "torchvision", "torchvision"),
    ("r2plus1d_10", "torchvision", "gluoncv_v1"),
]


@pytest.mark.parametrize(("variant", "convention", "naming"), CASES)
def test_golden_logits_of_converted_files(variant, convention, naming, tmp_path):
    shapes = torch_shapes(variant, convention, NUM_CLASSES, frames=CLIP_SHAPE[0])
    source = written(tmp_path / "source", seeded(shapes), naming)
    given = {"variant": variant} if variant == "mc2_10" else {}
    got = converted_logits(source, variant, convention, given)
    np.testing.assert_allclose(got[0], GOLDEN[f"{variant}.{convention}"], atol=1e-4, rtol=1e-4)


def test_the_card_and_nothing_else_lies_beside(r2d_10, tmp_path):
    source = written(tmp_path / "r2d.pkl", r2d_10, "caffe2")
    card = convert_checkpoint(source, tmp_path / "new" / "folder" / "mine")
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["mine.json", "mine.weights.h5"]
    assert card == json.loads((folder / "mine.json").read_text("utf-8"))
    shapes = torch_shapes("r2d_10", num_classes=NUM_CLASSES, frames=4).items()
    assert card == {
        "variant": "r2d_10",
        "convention": "paper",
        "convention_known": True,
        "naming": "caffe2",
        "num_classes": NUM_CLASSES,
        "input_shape": [4, None, None, 3],
        "num_params": sum(int(np.prod(shape)) for key, shape in shapes if "running" not in key),
        "source": "r2d.pkl",
        "source_sha256": digest(source, "sha256"),
        "num_bytes": (folder / "mine.weights.h5").stat().st_size,
        "r21d_keras": __version__,
        "keras": keras.__version__,
    }


def test_a_second_conversion_replaces_the_first(r2d_10, tmp_path):
    source = written(tmp_path / "r2d.pth", r2d_10)
    out = tmp_path / "r2d.weights.h5"
    out.write_text("an old file")
    card = convert_checkpoint(source, out, convention="paper")
    assert card["convention_known"] and h5py.is_hdf5(out)
    assert not convert_checkpoint(source, out)["convention_known"]
    assert json.loads((tmp_path / "r2d.json").read_text())["convention"] == "torchvision"


def test_a_file_that_does_not_read_back_is_not_left(r2d_10, tmp_path, monkeypatch):
    source = written(tmp_path / "r2d.pkl", r2d_10, "caffe2")
    monkeypatch.setattr(keras.Model, "load_weights", lambda model, path: None)
    with pytest.raises(CheckpointError, match="after .* was written and read"):
        convert_checkpoint(source, tmp_path / "r2d.weights.h5")
    assert list(tmp_path.iterdir()) == [source]


def test_each_bit_is_compared(r2d_10, tmp_path):
    arrays = r2d_10 | {"fc.bias": np.array([0.0, -0.0] * 4, "float32")}
    network, read = read_network(written(tmp_path / "r2d.pkl", arrays, "caffe2"))
    model = VideoResNet(network.variant, NUM_CLASSES, CLIP_SHAPE)
    load_arrays(model, read)
    assert differing(model, read) == []
    model.get_layer("fc").bias.assign(np.zeros(8, "float32"))  # equal, but no zero is negative
    assert differing(model, read) == ["fc.bias"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc.bias": None}, r"1 keys missing \('fc.bias'\)"),
        ({"layer9.0.weight": (3,)}, r"1 left over \('layer9.0.weight'\)"),
        ({"stem.1.bias": (63,)}, r"stem.1.bias: \(63,\) in the state dict, \(64,\) expected"),
        (
            {"layer2.0.downsample.0.weight": (128, 64, 1)},
            "layer2.0.downsample.0.weight: .*expected",
        ),
    ],
)
def test_arrays_that_do_not_fit_leave_nothing(r2d_10, tmp_path, change, message):
    arrays = dict(r2d_10)
    for key, shape in change.items():
        if shape is None:
            del arrays[key]
        else:
            arrays[key] = np.zeros(shape, "float32")
    source = written(tmp_path / "r2d.pth", arrays)
    with pytest.raises(CheckpointError, match=message):
        convert_checkpoint(source, tmp_path / "r2d.weights.h5")
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([[1], [np.nan]], "float32"), "source: 'fc.weight' holds 1 values that are NaN"),
        (np.array([[np.inf], [-np.inf]], "float32"), "'fc.weight' holds 2 values"),
        (np.array([[1], [2]], "int64"), "'fc.weight' is an array of int64; expected float32"),
        (np.array([[1], [0.1]], "float64"), "float64 with values that float32 does not hold"),
        (np.array([[1], [1e300]], "float64"), "float64 with values that float32 does not hold"),
    ],
)
def test_what_is_no_weight_is_refused_by_name(tmp_path, array, message):
    with pytest.raises(CheckpointError, match=message):
        read_network(tiny(tmp_path / "source", fc__weight=array))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_float32_holds_exactly_is_taken(tmp_path, dtype):
    array = np.array([[-0.0], [0.5]], dtype)
    network, arrays = read_network(tiny(tmp_path / "source", fc__weight=array))
    assert network.variant == "f_r2d_10"
    assert arrays["fc.weight"].dtype == np.float32
    np.testing.assert_array_equal(arrays["fc.weight"], array)
    assert np.signbit(arrays["fc.weight"][0, 0])


def test_a_classifier_in_a_sequential(r2d_10, tmp_path):
    """model.fc = Sequential(Dropout, Linear), as fine-tuning scripts have it."""
    arrays = {key.replace("fc.", "fc.1."): array for key, array in r2d_10.items()}
    got = converted_logits(written(tmp_path / "source", arrays), "r2d_10", "torchvision")
    expected = converted_logits(written(tmp_path / "plain", r2d_10), "r2d_10", "torchvision")
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("naming", WRITERS)
def test_a_file_without_classifier_is_a_network_without(naming, tmp_path):
    arrays = seeded(torch_shapes("r2plus1d_10", "paper" if naming == "caffe2" else "torchvision"))
    headless = {k: a for k, a in NAMED[naming](arrays).items() if not k.startswith(("fc", "last"))}
    assert len(headless) == len(arrays) - 2
    WRITERS[naming](tmp_path / "source", headless)
    card = convert_checkpoint(tmp_path / "source", tmp_path / "body.weights.h5")
    assert card["num_classes"] is None
    options = {"input_shape": CLIP_SHAPE, "convention": card["convention"]}
    body = VideoResNet("r2plus1d_10", include_top=False, **options)
    body.load_weights(str(tmp_path / "body.weights.h5"))
    del arrays["fc.weight"], arrays["fc.bias"]
    assert differing(body, arrays) == []


def test_counters_are_passed_over(tmp_path):
    source = tiny(tmp_path / "source", stem__1__num_batches_tracked=np.array(7, "int64"))
    assert set(read_network(source)[1]) == set(TINY)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "r3d_10"}, "source: The file holds f_r2d_10; expected r3d_10"),
        ({"variant": "r9d_10"}, "Unknown variant 'r9d_10'"),
        ({"convention": "caffe"}, "Unknown convention 'caffe'"),
    ],
)
def test_what_was_said_is_compared(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        convert_checkpoint(tiny(tmp_path / "source"), tmp_path / "out", **given)


def test_no_source(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.pth"):
        convert_checkpoint(tmp_path / "none.pth", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.isfile("/sys/kernel/fscaps"), reason="a file that cannot be mapped")
def test_a_source_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(OSError, match="No such device.*/sys/kernel/fscaps") as error:
        convert_checkpoint("/sys/kernel/fscaps", tmp_path / "out")
    assert error.value.filename == "/sys/kernel/fscaps" and not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed on this stack")


def assembled(convention):
    from r21d_keras import get_variant
    from tests.torch_reference import assemble

    return assemble(get_variant("r2plus1d_10"), convention, NUM_CLASSES, CLIP_SHAPE[0])


def gluoncv(version, repeats):
    from tests import gluoncv_reference

    return getattr(gluoncv_reference, version)(repeats, NUM_CLASSES)


@pytest.mark.parametrize(
    ("make", "arguments", "variant", "convention", "zipped"),
    [
        (assembled, ("paper",), "r2plus1d_10", "paper", True),
        (assembled, ("torchvision",), "r2plus1d_10", "torchvision", False),
        (gluoncv, ("v1", (1, 1, 1, 1)), "r2plus1d_10", "torchvision", False),
        (gluoncv, ("v1_deep", (3, 4, 6, 3)), "r2plus1d_50", "torchvision", True),
        (gluoncv, ("v2", (3, 4, 6, 3)), "r2plus1d_50", "paper", True),
    ],
)
def test_logits_of_torchs_own_files(make, arguments, variant, convention, zipped, torch, tmp_path):
    from tests.torch_reference import logits, seed_weights

    module = make(*arguments)
    seed_weights(module)
    wrapped = {"state_dict": {f"module.{k}": v for k, v in module.state_dict().items()}}
    path = tmp_path / "source.pth"
    torch.save(wrapped, path, _use_new_zipfile_serialization=zipped)
    got, expected = converted_logits(path, variant, convention), logits(module, seeded_clips())
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
