"""Every row of a published checkpoint: what can be recomputed is."""

import dataclasses
import functools
import math
import re

import pytest

from r21d_keras import VideoResNet, count_macs, get_variant
from r21d_keras.zoo.labels import load_labels
from r21d_keras.zoo.weights import WEIGHTS, get_weights, list_weights

DATASETS = {
    "kinetics400": "Kinetics-400",
    "sports1m": "Sports-1M",
    "ig65m": "IG-65M",
    "hmdb51": "HMDB51",
}
TAG = re.compile(
    r"(?:(?P<pretraining>ig65m|sports1m|kinetics400)_)?(?P<dataset>kinetics400|sports1m|ig65m|hmdb51)"
    r"_(?P<frames>8|16|32)f(?P<flow>_flow)?(?:_(?P<source>torchvision|gluoncv|vmz))?"
)

# c2/tutorials/models.md: GFLOPs of 8 and 16 frames, millions of parameters likewise.
TABLE_2 = {
    "r2d": (1.9, 2.2, 11.4, 11.5),
    "f_r2d": (13.8, 27.6, 11.4, 11.4),
    "r3d": (20.3, 40.7, 33.4, 33.4),
    "mc2": (14.3, 28.5, 11.4, 11.4),
    "mc3": (21.7, 43.3, 11.7, 11.7),
    "mc4": (20.0, 40.0, 12.7, 12.7),
    "mc5": (20.0, 39.9, 16.8, 16.8),
    "rmc2": (19.9, 39.8, 33.3, 33.3),
    "rmc3": (12.5, 25.0, 33.0, 33.0),
    "rmc4": (14.5, 29.1, 32.0, 32.0),
    "rmc5": (15.4, 30.8, 27.9, 27.9),
    "r2plus1d": (20.7, 41.5, 33.3, 33.3),
}

BEST_KINETICS = {
    **{f"{family}_18": "kinetics400_16f" for family in TABLE_2},
    "r2plus1d_18": "kinetics400_16f_gluoncv",
    "r2plus1d_34": "kinetics400_16f",
    "r2plus1d_50": "kinetics400_16f",
    "r2plus1d_152": "ig65m_kinetics400_32f",
}

each_row = pytest.mark.parametrize("row", WEIGHTS, ids=lambda row: row.name)


def test_how_many_rows_there_are():
    """VMZ's Table 2, its other R(2+1)D-34, its zoo; torchvision, moabitcoin, GluonCV."""
    assert len(WEIGHTS) == 24 + 5 + 9 + 3 + 4 + 4
    assert {get_variant(row.variant).family for row in WEIGHTS} == set(TABLE_2)
    for field in ("name", "file_name", "url"):
        assert len({getattr(row, field) for row in WEIGHTS}) == len(WEIGHTS), field


@functools.cache
def body_counts(variant, convention, shape):
    """(trainable parameters, multiply-adds, features) of a network without its classifier."""
    model = VideoResNet(variant, input_shape=shape, convention=convention, include_top=False)
    num_params = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    return num_params, count_macs(model), model.output_shape[-1]


@each_row
def test_parameters_and_multiply_adds(row):
    num_params, macs, features = body_counts(row.variant, row.convention, row.input_shape)
    assert row.num_params == num_params + (features + 1) * row.num_classes
    assert row.macs == macs + features * row.num_classes


@each_row
def test_tag_says_what_the_row_says(row):
    said = TAG.fullmatch(row.tag)
    assert said, row.tag
    assert DATASETS[said["dataset"]] == row.dataset
    assert DATASETS.get(said["pretraining"]) == row.pretraining
    assert int(said["frames"]) == row.input_shape[0]
    assert bool(said["flow"]) == (row.input_shape[3] == 2)
    homes = {"torchvision": "download.pytorch.org", "gluoncv": "apache-mxnet", "vmz": "dropbox.com"}
    if said["source"]:
        assert homes[said["source"]] in row.url
        plain = row.tag.removesuffix(f"_{said['source']}")
        assert get_weights(row.variant, plain), "a source is named where the tag is taken"


@each_row
def test_input(row):
    frames, height, width, channels = row.input_shape
    assert height == width == row.preprocessing.crop_size
    assert len(row.preprocessing.mean) == len(row.preprocessing.std) == channels
    assert row.preprocessing.takes_flow == (channels == 2)
    assert row.preprocessing.scale == (1.0 if channels == 2 else 255.0)
    assert min(row.preprocessing.resized(240, 320)) >= row.preprocessing.crop_size


@each_row
def test_classes(row):
    assert row.num_classes == (
        len(load_labels(row.labels)) if row.labels else {8: 487, 32: 359}[row.input_shape[0]]
    )
    assert (row.labels is None) == (row.dataset == "IG-65M")
    assert row.labels in (None, row.dataset.lower().replace("-", ""))


@each_row
def test_where_the_file_is(row):
    assert re.fullmatch(r"https://\S+", row.url) and re.fullmatch(r"https://\S+", row.page)
    assert ("dropbox.com" in row.url) == row.url.endswith("?dl=1")
    assert re.fullmatch(r"[\w.-]+\.(pkl|mdl|pth)", row.file_name)
    last = row.url.rpartition("/")[2].removesuffix("?dl=1")
    assert last.replace("%20", "") == row.file_name
    is_caffe2 = row.naming == "caffe2"
    assert is_caffe2 == row.file_name.endswith((".pkl", ".mdl"))
    assert row.naming in ("caffe2", "torchvision", "gluoncv_v1", "gluoncv_v2")
    assert row.license or row.license_note
    if row.file_hash is None:
        assert is_caffe2  # VMZ publishes none
    else:
        algorithm, digits = row.file_hash.split(":")
        assert re.fullmatch("[0-9a-f]+", digits)
        assert len(digits) in {"sha256": (8, 64), "sha1": (40,)}[algorithm]
        assert row.file_name == f"{row.file_name[: -len('-01234567.pth')]}-{digits[:8]}.pth"


@each_row
def test_convention(row):
    """GluonCV's first models are torchvision's networks; VMZ's and copies of them the paper's."""
    theirs = row.tag.endswith("_torchvision") or row.naming == "gluoncv_v1"
    assert row.convention == ("torchvision" if theirs else "paper")


@each_row
def test_accuracies_come_with_their_protocol(row):
    scores = (row.clip_top1, row.video_top1, row.video_top5)
    assert (row.protocol is None) == (scores == (None, None, None))
    known = [score for score in scores if score is not None]
    assert known == sorted(known) and all(40 < score < 100 for score in known)
    assert row.protocol is None or row.protocol.startswith(row.dataset)


@pytest.mark.parametrize("family", TABLE_2)
def test_the_figures_that_vmz_publishes(family):
    for place, frames in enumerate((8, 16)):
        row = get_weights(f"{family}_18", f"kinetics400_{frames}f")
        gflops, millions = TABLE_2[family][place::2]
        assert row.macs / 1e9 == pytest.approx(gflops, abs=0.051)  # some are cut, not rounded
        assert row.num_params / 1e6 == pytest.approx(millions, abs=0.08)  # theirs omit BN and bias


def test_files_of_the_same_training_have_the_same_facts():
    of_the_file = {"tag", "naming", "url", "file_name", "file_hash", "page", "license_note"}
    copies = [row for row in WEIGHTS if row.tag.endswith("_vmz")]
    assert len(copies) == 4
    for copy in copies:
        first = get_weights(copy.variant, copy.tag.removesuffix("_vmz"))
        for field in dataclasses.fields(copy):
            if field.name not in of_the_file | {"protocol"}:
                assert getattr(copy, field.name) == getattr(first, field.name), field.name


@pytest.mark.parametrize("variant", BEST_KINETICS)
def test_kinetics400_names_the_best_row(variant):
    row = get_weights(variant, "kinetics400")
    assert row.tag == BEST_KINETICS[variant]
    rivals = list_weights(variant, dataset="kinetics400", frames=row.input_shape[0], channels=3)
    assert row.video_top1 == max(rival.video_top1 for rival in rivals)


def test_kinetics400_is_named_for_every_variant_with_rows():
    assert {row.variant for row in WEIGHTS} == set(BEST_KINETICS)


def test_filters():
    assert list_weights() == list(WEIGHTS)
    assert [row.tag for row in list_weights("mc3_18", frames=16)] == [
        "kinetics400_16f",
        "kinetics400_16f_torchvision",
    ]
    assert {row.tag for row in list_weights(channels=2)} == {
        "kinetics400_32f_flow",
        "sports1m_kinetics400_32f_flow",
    }
    assert list_weights(dataset="Sports-1M") == list_weights(dataset="sports1m") != []
    assert list_weights("r3d_34") == []
    assert list_weights(frames=64) == []


@each_row
def test_every_row_is_found_by_its_name(row):
    assert get_weights(row.variant, row.tag) is row
    assert row.name == f"{row.variant}.{row.tag}"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: list_weights("r4d_18"), "Unknown variant 'r4d_18'"),
        (lambda: list_weights(dataset="ucf101"), "Unknown dataset 'ucf101'. Expected one of Kin"),
        (lambda: get_weights("r3d", "kinetics400"), "Unknown variant 'r3d'"),
        (
            lambda: get_weights("r3d_18", "kinetics_16f"),
            "Unknown weights 'kinetics_16f' for r3d_18. Did you mean 'kinetics400_16f'. Known: "
            "kinetics400_8f, kinetics400_16f, kinetics400_16f_torchvision, kinetics400.$",
        ),
        (
            lambda: get_weights("r3d_34", "kinetics400"),
            "there are none of r3d_34 here, but some of r2d_18, .*, r2plus1d_50",
        ),
        (lambda: get_weights("mc3_18", None), "Unknown weights None for mc3_18"),
    ],
)
def test_unknown_names(call, message):
    with pytest.raises(ValueError, match=message):
        call()
