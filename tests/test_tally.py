"""Accuracies, tables, calibration and average precision against their definitions."""

import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from r21d_keras.training.evaluation.calibration import Calibration
from r21d_keras.training.evaluation.multi_label import MultiLabelTally, average_precision
from r21d_keras.training.evaluation.scoring import VideoScores
from r21d_keras.training.evaluation.tally import Tally
from r21d_keras.training.reliability_picture import draw_reliability

NAMES = tuple("abcdefg")


def scores_of(*clips):
    scores = VideoScores(len(clips[0]))
    scores.add(np.array(clips, np.float32))
    return scores


def random_videos(seed, count, num_classes, most_labels=1):
    """(labels, clips (N, K)) of videos; few levels, so that scores are often equal."""
    draw = np.random.default_rng(seed)
    for _ in range(count):
        num_labels = draw.integers(1, most_labels + 1)
        labels = tuple(draw.choice(num_classes, num_labels, replace=False).tolist())
        clips = draw.integers(1, 6, (draw.integers(1, 4), num_classes)).astype(np.float64)
        yield labels, clips / clips.sum(axis=1, keepdims=True)


def ranked(mean):
    """Classes, best first; equal ones in their own order."""
    return sorted(range(len(mean)), key=lambda k: (-mean[k], k))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 9))
def test_rates_are_their_definitions(seed, count, num_classes):
    videos, tally = list(random_videos(seed, count, num_classes)), Tally(NAMES[:1] * num_classes)
    means = []
    for labels, clips in videos:
        scores = scores_of(*clips)
        tally.add(labels, scores)
        means.append(scores.mean)
    true = [labels[0] for labels, _ in videos]
    first = [ranked(mean)[0] for mean in means]
    clips = [(c.argmax(), label) for label, (_, cs) in zip(true, videos, strict=True) for c in cs]
    top = min(5, num_classes)
    recalls = [
        np.mean([f == k for f, t in zip(first, true, strict=True) if t == k]) for k in set(true)
    ]
    assert tally.rates() == {
        "clip@1": pytest.approx(np.mean([a == b for a, b in clips])),
        "video@1": pytest.approx(np.mean(np.array(first) == true)),
        f"video@{top}": pytest.approx(
            np.mean([t in ranked(m)[:top] for t, m in zip(true, means, strict=True)])
        ),
        "mean_class": pytest.approx(np.mean(recalls)),
    }
    confusion = np.zeros((num_classes, num_classes), int)
    for t, f in zip(true, first, strict=True):
        confusion[t, f] += 1
    assert tally.as_json() == {"confusion": confusion.tolist()}
    assert tally.videos == count


def test_the_table_of_classes():
    tally = Tally(("a", "b", "c"))
    for label, clip in ((0, [8, 1, 1]), (0, [1, 8, 1]), (0, [1, 7, 2]), (1, [1, 8, 1])):
        tally.add((label,), scores_of(np.array(clip) / 10))
    a, b, c = tally.class_table()
    assert a == {
        "class": "a", "videos": 3, "top1": 1, "top3": 3, "accuracy": 1 / 3, "top3_accuracy": 1.0,
        "answered": 1, "precision": 1.0, "most_taken_for": "b", "taken_for_it": 2,
    }  # fmt: skip
    assert (b["accuracy"], b["precision"], b["most_taken_for"]) == (1.0, 1 / 3, None)
    assert (c["videos"], c["accuracy"], c["precision"]) == (0, None, None)
    assert tally.rates()["mean_class"] == pytest.approx((1 / 3 + 1) / 2)  # c has no video


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(2, 9))
def test_several_labels(seed, count, num_classes):
    file = tempfile.TemporaryFile()
    tally = MultiLabelTally(NAMES[:1] * num_classes, file)
    videos = list(random_videos(seed, count, num_classes, most_labels=min(3, num_classes)))
    means = []
    for labels, clips in videos:
        scores = scores_of(*clips)
        tally.add(labels, scores)
        means.append(scores.mean.astype(np.float32))
    sets, top = [set(labels) for labels, _ in videos], min(5, num_classes)
    clips = [(c.argmax(), own) for own, (_, cs) in zip(sets, videos, strict=True) for c in cs]
    scores = np.array(means)
    relevant = np.array([[k in own for k in range(num_classes)] for own in sets])
    precisions = [
        steps(scores[:, k], relevant[:, k]) for k in range(num_classes) if relevant[:, k].any()
    ]
    assert tally.rates() == {
        "clip_hit@1": pytest.approx(np.mean([a in own for a, own in clips])),
        "hit@1": pytest.approx(
            np.mean([ranked(m)[0] in own for m, own in zip(means, sets, strict=True)])
        ),
        f"hit@{top}": pytest.approx(
            np.mean([bool(set(ranked(m)[:top]) & own) for m, own in zip(means, sets, strict=True)])
        ),
        "mAP": pytest.approx(np.mean(precisions)),
    }
    column = [row["average_precision"] for row in tally.class_table()]
    assert [value for value in column if value is not None] == pytest.approx(precisions)
    file.close()


def steps(scores, relevant):
    """Average precision by its definition: a sum over thresholds, from the highest down."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = scores >= threshold
        precision = (relevant & found).sum() / found.sum()
        recall = (relevant & found).sum() / relevant.sum()
        total += (recall - recall_before) * precision
        recall_before = recall
    return total


@pytest.mark.parametrize(
    ("scores", "relevant", "value"),
    [
        # The example of scikit-learn's average_precision_score: 0.83.
        ([0.1, 0.4, 0.35, 0.8], [False, False, True, True], 5 / 6),
        ([3, 2, 1], [True, True, True], 1.0),
        ([3, 2, 1], [False, False, True], 1 / 3),
        ([1, 1, 1, 1], [False, True, False, False], 1 / 4),
    ],
)
def test_average_precision_of_known_rankings(scores, relevant, value):
    found = average_precision(np.array(scores), np.array(relevant))
    assert found == pytest.approx(value)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 1.0), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_calibration_error_is_its_definition(answers, num_bins):
    calibration = Calibration(num_bins)
    for confidence, hit in answers:
        calibration.add(confidence, hit)
    error = 0.0
    for m in range(num_bins):  # equation 3 of Guo et al., bins ((m - 1) / M, m / M]
        inside = [(c, hit) for c, hit in answers if m < np.float64(c) * num_bins <= m + 1]
        if inside:
            gap = np.mean([hit for _, hit in inside]) - np.mean([c for c, _ in inside])
            error += len(inside) / len(answers) * abs(gap)
    assert calibration.error() == pytest.approx(error)
    assert sum(calibration.as_json()["bins"]["videos"]) == len(answers)


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not():
    right, wrong = Calibration(), Calibration()
    for _ in range(5):
        right.add(1.0, True)
        wrong.add(1.0, False)
    assert (right.error(), wrong.error()) == (0.0, 1.0)
    assert right.as_json()["bins"]["accuracy"] == [None] * 14 + [1.0]


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        VideoScores(2).add(np.array([[0.5, np.nan]]))


def test_a_reliability_diagram_of_nothing_is_refused(tmp_path):
    calibration = Calibration()
    with pytest.raises(ValueError, match="No video was counted"):
        draw_reliability(calibration, 0.0, tmp_path / "reliability.png")
    calibration.add(0.7, True)
    draw_reliability(calibration, 1.0, tmp_path / "reliability.png")
    assert imread(tmp_path / "reliability.png").std() > 0
