import csv
import json
import resource
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from r21d_keras.training.cli import main
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.evaluation.fuse import SWEEP, fuse, swept
from r21d_keras.training.evaluation.predictions import read_predictions

CLASSES = ("dance", "kick, high", "swim|dive")
# Which class each stream finds likeliest, and how surely: what one gets wrong the other may not.
RGB = {"v1": (0, 0.9), "v2": (0, 0.5), "v3": (2, 0.8), "v4": (0, 0.6)}
FLOW = {"v1": (0, 0.6), "v2": (1, 0.9), "v3": (2, 0.4), "v4": (1, 0.95)}
LABELS = {"v1": 0, "v2": 1, "v3": 2, "v4": 0}


def scores_of(answers):
    rows = {}
    for name, (best, share) in answers.items():
        rows[name] = np.full(3, (1 - share) / 2)
        rows[name][best] = share
    return rows


def write(folder, answers, stream="rgb", labels=LABELS, classes=CLASSES, order=None, **about):
    """An evaluation as `r21d evaluate` leaves it, in what fusion reads."""
    folder.mkdir()
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["video", "label", "predicted", *classes])
        for name in order or answers:
            row = scores_of(answers)[name]
            own = labels[name]
            label = classes[own] if isinstance(own, int) else "|".join(classes[i] for i in own)
            table.writerow([name, label, classes[row.argmax()], *(f"{s:.9g}" for s in row)])
    accuracy = np.mean([scores_of(answers)[v].argmax() == LABELS.get(v) for v in answers])
    about = {"stream": stream, "classes": classes, "accuracy": {"video@1": accuracy}, **about}
    about = {"confusion": [], "dataset": "folder", "skipped": [], "missing": [], **about}
    about = {name: value for name, value in about.items() if value is not None}
    (folder / "evaluation.json").write_text(json.dumps(about), "utf-8")
    return folder


@pytest.fixture
def pair(tmp_path):
    rgb = write(tmp_path / "rgb", RGB)
    return rgb, write(tmp_path / "flow", FLOW, "flow", order=["v3", "v1", "v4", "v2"])


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_scores_are_the_weighted_mean_by_name(pair, tmp_path, weight):
    result = fuse(*pair, tmp_path / "out", weight)
    fused = read_predictions(tmp_path / "out")
    rgb, flow = scores_of(RGB), scores_of(FLOW)
    expected = {name: weight * rgb[name] + (1 - weight) * flow[name] for name in RGB}
    assert fused.names == tuple(RGB) and fused.labels == tuple((LABELS[v],) for v in RGB)
    for name, scores in zip(fused.names, fused.scores, strict=True):
        np.testing.assert_allclose(scores, expected[name], atol=1e-8)
    hits = [expected[name].argmax() == LABELS[name] for name in RGB]
    assert result["accuracy"]["video@1"] == pytest.approx(np.mean(hits))
    assert result["accuracy"]["video@3"] == 1 and "clip@1" not in result["accuracy"]


def test_the_fusion_is_stated_and_each_alone_beside_it(pair, tmp_path):
    result = fuse(*pair, tmp_path / "out", 0.6)
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8")) == result
    assert result["protocol"]["name"] == "fusion" and result["protocol"]["weight"] == 0.6
    assert (
        "0.6 x rgb (" in result["protocol"]["text"] and "0.4 x flow (" in result["protocol"]["text"]
    )
    one, other = result["fused"]
    assert (one["stream"], one["accuracy"]) == ("rgb", {"video@1": 0.75})
    assert (other["stream"], other["weight"]) == ("flow", pytest.approx(0.4))
    assert result["stream"] == "rgb+flow" and result["videos"] == 4
    names = {"evaluation.json", "predictions.csv", "per_class.csv", "confusion.png"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"reliability.png"}


def test_command_with_a_sweep(pair, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["fuse", *map(str, pair), f"--out={out}", "--weight=0.7", "--sweep"]) == 0
    said = capsys.readouterr().out
    assert "rgb" in said.splitlines()[0] and "video@1 75.0%" in said.splitlines()[0]
    assert "0.7 x rgb + 0.3 x flow" in said and "flatters" in said
    with open(out / "sweep.csv", newline="", encoding="utf-8") as file:
        rows = [{name: float(text) for name, text in row.items()} for row in csv.DictReader(file)]
    assert [row["weight"] for row in rows] == pytest.approx(SWEEP.tolist())
    for row in rows[::10]:
        alone = fuse(*pair, tmp_path / "one", row["weight"])["accuracy"]
        assert row["top1"] == pytest.approx(alone["video@1"])
        assert row["top3"] == pytest.approx(alone["video@3"])
    assert imread(out / "sweep.png").ndim == 3
    fuse(*pair, out, 0.7)  # without: that of other weights or videos does not stay
    assert not (out / "sweep.csv").exists() and not (out / "sweep.png").exists()


def test_a_full_disk_leaves_all_of_the_fusion_before(pair, tmp_path):
    out = tmp_path / "out"
    fuse(*pair, out, 0.7, sweep=True)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    fitting = len(before["evaluation.json"])  # as all tables do, but no picture
    assert fitting < len(before["sweep.png"])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (fitting, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            fuse(*pair[::-1], out, 0.2, sweep=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@given(st.integers(1, 9), st.integers(2, 7), st.integers(0, 99))
def test_ends_of_a_sweep_are_the_evaluations_alone(count, num_classes, seed):
    draw = np.random.default_rng(seed)
    scores = draw.dirichlet(np.ones(num_classes), (2, count))
    labels = tuple((int(label),) for label in draw.integers(0, num_classes, count))
    rows = swept(scores, labels)
    own = np.array(labels)[:, 0]
    assert rows[0]["top1"] == pytest.approx((scores[1].argmax(axis=1) == own).mean())
    assert rows[-1]["top1"] == pytest.approx((scores[0].argmax(axis=1) == own).mean())
    top = f"top{min(5, num_classes)}"
    assert all(0 <= row["top1"] <= row[top] <= 1 for row in rows)


def test_several_labels(tmp_path):
    classes = ("a", "b", "c")
    labels = {"v1": (0, 1), "v2": (1,), "v3": (2, 0), "v4": (0,)}
    kind = {"labels": labels, "classes": classes, "confusion": None}
    turned = {**labels, "v1": (1, 0)}
    pair = (
        write(tmp_path / "rgb", RGB, **kind),
        write(tmp_path / "flow", FLOW, "flow", **{**kind, "labels": turned}),
    )
    result = fuse(*pair, tmp_path / "out", sweep=True)
    assert set(result["accuracy"]) == {"hit@1", "hit@3", "mAP"}
    rgb, flow = scores_of(RGB), scores_of(FLOW)
    hits = [(rgb[name] + flow[name]).argmax() in labels[name] for name in labels]
    assert result["accuracy"]["hit@1"] == pytest.approx(np.mean(hits))
    fused = read_predictions(tmp_path / "out")
    assert fused.several_labels and fused.labels[0] == (0, 1)


def test_fusions_can_be_fused(pair, tmp_path):
    """A third stream comes in so."""
    fuse(*pair, tmp_path / "two", 0.5)
    result = fuse(tmp_path / "two", pair[0], tmp_path / "three", 2 / 3)
    assert result["stream"] == "rgb+flow+rgb"


def _other_videos(folder):
    return write(folder, {**FLOW, "v9": (0, 0.5)}, "flow", labels={**LABELS, "v9": 0})


def _missing_videos(folder):
    return write(folder, {"v1": FLOW["v1"]}, "flow")


def _other_labels(folder):
    return write(folder, FLOW, "flow", labels={**LABELS, "v2": 2})


def _other_classes(folder):
    return write(folder, FLOW, "flow", classes=("dance", "kick, high", "run"))


def _other_order(folder):
    return write(folder, FLOW, "flow", classes=CLASSES[::-1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_other_videos, "1 video is in .*bad and not in .*rgb: v9. Evaluate both runs on"),
        (_missing_videos, "3 videos are in .*rgb and not in .*bad: v2; v3; v4"),
        (_other_labels, "1 video has other labels in .*rgb than in .*bad: v2"),
        (_other_classes, "have other classes: 2 classes are in one of them alone: run; swim.dive"),
        (_other_order, "have other classes: their order"),
    ],
)
def test_what_does_not_match_is_refused(pair, tmp_path, make, message, capsys):
    bad = make(tmp_path / "bad")
    with pytest.raises(ValueError, match=message):
        fuse(pair[0], bad, tmp_path / "out")
    assert main(["fuse", str(pair[0]), str(bad), f"--out={tmp_path / 'out'}"]) == 1
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out").exists()


def _no_file(folder):
    (folder / "predictions.csv").unlink()


def _cut_off(folder):
    text = (folder / "predictions.csv").read_text("utf-8")
    (folder / "predictions.csv").write_text(text[:-12], "utf-8")


def _twice(folder):
    lines = (folder / "predictions.csv").read_text("utf-8").splitlines()
    (folder / "predictions.csv").write_text("\n".join([*lines, lines[-1]]), "utf-8")


def _not_finite(folder):
    text = (folder / "predictions.csv").read_text("utf-8")
    (folder / "predictions.csv").write_text(text.replace("0.95", "nan"), "utf-8")


def _other_columns(folder):
    text = (folder / "predictions.csv").read_text("utf-8")
    (folder / "predictions.csv").write_text(text.replace("dance", "jump", 1), "utf-8")


@pytest.mark.parametrize(
    ("hurt", "message"),
    [
        (_no_file, "holds no evaluation: predictions.csv is missing"),
        (_cut_off, "cannot be read"),
        (_twice, "a row of finite numbers for each video, once"),
        (_not_finite, "a row of finite numbers for each video, once"),
        (_other_columns, "its columns are not the classes of evaluation.json"),
    ],
)
def test_evaluations_that_are_hurt(pair, tmp_path, hurt, message):
    hurt(pair[1])
    with pytest.raises(ValueError, match=message):
        fuse(*pair, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_is_found_before_anything_is_written(pair, tmp_path, capsys):
    before = (pair[0] / "predictions.csv").read_bytes()
    with pytest.raises(ValueError, match="holds one of the evaluations. Give another folder"):
        fuse(*pair, pair[0])
    assert (pair[0] / "predictions.csv").read_bytes() == before
    with pytest.raises(ValueError, match="weight=1.5: expected the share of the first, from 0 to"):
        fuse(*pair, tmp_path / "out", 1.5)
    assert main(["fuse", str(pair[0]), "--out=x"]) == 2
    assert "expected two folders of `r21d evaluate`" in capsys.readouterr().err


def test_real_evaluations_of_both_streams(tiny_run, tmp_path):
    rgb = tiny_run()
    flow = tiny_run(stream="flow", variant="f_r2d_10")
    alone = [evaluate(rgb), evaluate(flow)]
    result = fuse(rgb, flow, tmp_path / "out", sweep=True)
    assert [part["accuracy"] for part in result["fused"]] == [each["accuracy"] for each in alone]
    assert [part["protocol"] for part in result["fused"]] == [each["protocol"] for each in alone]
    with open(tmp_path / "out" / "sweep.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row, each in ((rows[0], alone[1]), (rows[-1], alone[0])):
        assert float(row["top1"]) == pytest.approx(each["accuracy"]["video@1"], abs=1e-6)
        assert float(row["top5"]) == pytest.approx(each["accuracy"]["video@5"], abs=1e-6)
    shutil.rmtree(tmp_path / "out")
