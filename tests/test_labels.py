"""Label maps against the data sets' own lists, and predictions in words."""

import numpy as np
import pytest

from r21d_keras.zoo.labels import LABEL_MAPS, decode_predictions, load_labels
from r21d_keras.zoo.weights import get_weights, list_weights

SIZES = {
    "hmdb51": 51,
    "kinetics400": 400,
    "kinetics600": 600,
    "kinetics700": 700,
    "sports1m": 487,
}


@pytest.mark.parametrize("name", LABEL_MAPS)
def test_every_label_is_there_once(name):
    labels = load_labels(name)
    assert len(labels) == len(set(labels)) == SIZES[name]
    assert all(label == label.strip() != "" for label in labels)
    assert load_labels(name) is labels  # read once


def test_order():
    for name in ("kinetics400", "kinetics600", "kinetics700"):
        assert list(load_labels(name)) == sorted(load_labels(name))
    assert list(load_labels("hmdb51")) == sorted(load_labels("hmdb51"))
    sports = load_labels("sports1m")  # its README names the first and the last
    assert (sports[0], sports[486]) == ("boomerang", "model aircraft")
    assert "yağlı güreş" in sports


def test_kinetics_lists_of_others(test_data):
    """Those of DeepMind, torchvision, mmaction2 and PaddleVideo agree with each other and ours."""
    folder = test_data / "lists" / "kinetics"
    for name in (
        "torchvision_kinetics400_categories.txt",
        "deepmind_label_map.txt",
        "mmaction2_label_map_k400.txt",
    ):
        assert tuple((folder / name).read_text("utf-8").splitlines()) == load_labels("kinetics400")
    for number in (600, 700):
        lines = (folder / f"mmaction2_label_map_k{number}.txt").read_text("utf-8").splitlines()
        assert tuple(lines) == load_labels(f"kinetics{number}")
    lines = (folder / "paddle_Kinetics-400_label_list.txt").read_text("utf-8").splitlines()
    numbered = [f"{place} {label}" for place, label in enumerate(load_labels("kinetics400"))]
    assert [line.replace("_", " ") for line in lines] == numbered


def test_lists_of_the_data_sets(test_data):
    lists = test_data / "lists"
    sports = (lists / "sports1m" / "labels.txt").read_text("utf-8").splitlines()
    assert tuple(sports) == load_labels("sports1m")
    splits = (lists / "hmdb51_testTrainMulti_7030_splits").glob("*_test_split1.txt")
    classes = sorted(path.name.removesuffix("_test_split1.txt") for path in splits)
    assert tuple(classes) == load_labels("hmdb51")


def test_unknown_map():
    with pytest.raises(ValueError, match="Unknown label map 'ucf101'. Expected one of hmdb51, kin"):
        load_labels("ucf101")


def test_predictions_in_words():
    scores = np.zeros((2, 400), np.float32)
    scores[0, 129], scores[0, 72] = 0.75, 0.25
    scores[1, 399] = 1.0
    assert decode_predictions(scores, top=3) == [
        [(129, "flipping pancake", 0.75), (72, "cooking on campfire", 0.25), (0, "abseiling", 0.0)],
        [(399, "zumba", 1.0), (0, "abseiling", 0.0), (1, "air drumming", 0.0)],
    ]
    assert decode_predictions(scores.tolist(), top=3) == decode_predictions(scores, top=3)


@pytest.mark.parametrize("row", list_weights(), ids=lambda row: row.name)
def test_every_row_is_decoded_or_says_why_not(row):
    scores = np.random.default_rng(0).random((3, row.num_classes))
    if row.labels is None:
        with pytest.raises(ValueError, match="never published .*without its top") as caught:
            decode_predictions(scores, weights=row)
        assert row.name in str(caught.value) and f"{row.num_classes} classes" in str(caught.value)
        return
    decoded = decode_predictions(scores, weights=row)
    assert [len(clip) for clip in decoded] == [5, 5, 5]
    for clip, line in zip(decoded, scores, strict=True):
        assert clip[0] == (line.argmax(), load_labels(row.labels)[line.argmax()], line.max())
        assert [score for _, _, score in clip] == sorted(line, reverse=True)[:5]


def test_no_clips():
    assert decode_predictions(np.zeros((0, 400))) == []


@pytest.mark.parametrize(
    ("scores", "options", "error", "message"),
    [
        (np.zeros(400), {}, ValueError, r"shape \(400,\); expected \(clips, 400\)"),
        (np.zeros((2, 101)), {}, ValueError, r"\(2, 101\).*each class of Kinetics-400"),
        (
            np.zeros((2, 400)),
            {"weights": get_weights("r2plus1d_152", "sports1m_32f")},
            ValueError,
            r"expected \(clips, 487\), a score for each class of r2plus1d_152.sports1m_32f",
        ),
        (np.full((1, 400), np.nan), {}, ValueError, "NaN"),
        (np.zeros((1, 400)), {"top": 0}, ValueError, "top=0: expected .* from 1 to 400"),
        (np.zeros((1, 400)), {"top": 401}, ValueError, "top=401"),
        (np.zeros((1, 400)), {"weights": "kinetics400"}, ValueError, "as VARIANT.TAG; got"),
    ],
)
def test_bad_input(scores, options, error, message):
    with pytest.raises(error, match=message):
        decode_predictions(scores, **options)
