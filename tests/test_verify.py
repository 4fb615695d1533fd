"""`r21d zoo verify`: what it finds of good files, and of each kind of bad one."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest

from r21d_keras import VideoResNet
from r21d_keras.training.cli import main
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.verify import NOT_TRIED, OK, STEPS, verify, verify_and_print
from r21d_keras.zoo.labels import load_labels
from r21d_keras.zoo.preprocessing import Preprocessing, preprocess_input
from tests import published_files
from tests.published_files import seeded_network

# One file of each sort: labels or none, video or flow, a published hash or none.
RGB, FLOW, R2D = (
    dataclasses.replace(row, input_shape=(frames, 32, 32, row.input_shape[3]))
    for row, frames in zip(published_files.small_rows(), (4, 4, 8), strict=True)
)
NUMBERS = Preprocessing(resize=36, crop_size=32)


def counted(row):
    """The row with the number of parameters of its own, smaller network."""
    model = VideoResNet(row.variant, row.num_classes, row.input_shape, convention=row.convention)
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    return dataclasses.replace(row, num_params=count)


@pytest.fixture(scope="module")
def rows(mirror):
    """Name in the tests -> row, each with its file in the mirror."""
    made = {
        "rgb": dataclasses.replace(RGB, preprocessing=NUMBERS),
        "flow": dataclasses.replace(
            FLOW,
            preprocessing=dataclasses.replace(FLOW.preprocessing, resize=36, crop_size=32),
        ),
        "r2d": dataclasses.replace(R2D, preprocessing=NUMBERS, labels=None),
    }
    made = {name: published_files.publish(counted(row), mirror) for name, row in made.items()}
    digest = hashlib.sha256((mirror / made["r2d"].file_name).read_bytes()).hexdigest()
    made["r2d"] = dataclasses.replace(made["r2d"], file_hash=f"sha256:{digest[:8]}")
    return made


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    return tmp_path_factory.mktemp("mirror")


@pytest.fixture(autouse=True)
def places(mirror, rows, tmp_path, monkeypatch):
    """An empty cache, the mirror, no network, and the rows in the table."""
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R21D_MIRROR", str(mirror))
    monkeypatch.setenv("R21D_OFFLINE", "1")
    published_files.list_rows(monkeypatch, *rows.values())


@pytest.fixture
def videos(tiny_videos):
    return [str(tiny_videos / name / f"{name}_0.mp4") for name in ("bright", "dark")]


def expected_answers(row, videos):
    """(class, probability) of each video by the network that the row's file was made of."""
    network, frames = seeded_network(row, row.input_shape), row.input_shape[0]
    sized = dataclasses.replace(NUMBERS, resize=(36, 48))  # of 48x64
    for video in videos:
        if row.preprocessing.takes_flow:
            clips = read_test_clips(video, 2, ClipSpec(num_frames=frames + 1, preprocessing=sized))
            clips = clip_flow(clips, "farneback")
        else:
            clips = read_test_clips(video, 2, ClipSpec(num_frames=frames, preprocessing=sized))
        clips = preprocess_input(clips, dataclasses.replace(row.preprocessing, resize=(32, 32)))
        logits = network(clips).numpy()
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        scores = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
        yield int(scores.argmax()), float(scores.max())


def test_a_good_file(rows, videos):
    verdict = verify(rows["rgb"], videos, num_clips=2)
    assert verdict.error == "" and verdict.name == rows["rgb"].name
    assert verdict.steps == {"file": "first seen", **dict.fromkeys(STEPS[1:], OK)}
    expected = expected_answers(rows["rgb"], videos)
    labels = load_labels("kinetics400")
    for answer, video, (place, score) in zip(verdict.answers, videos, expected, strict=True):
        assert (answer.video, answer.label) == (video, labels[place])
        assert answer.score == pytest.approx(score, rel=1e-3)


def test_classes_without_labels_are_numbered(rows, videos):
    verdict = verify(rows["r2d"], videos[:1], num_clips=2)
    ((place, _),) = expected_answers(rows["r2d"], videos[:1])
    assert verdict.answers[0].label == f"class {place}"
    assert verdict.steps == {"file": "published", **dict.fromkeys(STEPS[1:], OK)}


def test_weights_for_flow_are_shown_that_of_the_videos(rows, videos):
    verdict = verify(rows["flow"], videos, num_clips=2)
    assert verdict.error == "" and verdict.steps["clips"] == OK
    labels, expected = load_labels("kinetics400"), expected_answers(rows["flow"], videos)
    for answer, (place, score) in zip(verdict.answers, expected, strict=True):
        assert answer.label == labels[place] and answer.score == pytest.approx(score, rel=1e-3)


def test_without_videos_none_is_tried(rows):
    verdict = verify(rows["flow"])
    assert (verdict.error, verdict.answers, verdict.steps["clips"]) == ("", (), NOT_TRIED)
    assert verdict.steps["parameters"] == OK


def bad_rows(rows, mirror):
    """Step that fails -> (row, what is said)."""
    rgb = rows["rgb"]
    absent = dataclasses.replace(rgb, tag="absent_4f", file_name="absent.pkl")
    (mirror / "garbage.pkl").write_bytes(b"no pickle")
    garbage = dataclasses.replace(rgb, tag="garbage_4f", file_name="garbage.pkl", file_hash=None)
    published = f"sha256:{hashlib.sha256(b'no pickle').hexdigest()}"
    other = dataclasses.replace(rgb, tag="other_4f", file_hash=f"sha256:{'0' * 64}")
    more = dataclasses.replace(rgb, tag="more_4f", num_params=rgb.num_params + 1)
    return {
        "absent": (absent, "file", "absent.pkl"),
        "other": (other, "file", "0000 is published"),
        "garbage": (garbage, "file", "garbage.pkl is no checkpoint"),
        "published garbage": (
            dataclasses.replace(garbage, file_hash=published),
            "converted",
            "garbage.pkl",
        ),
        "more": (more, "parameters", f"expected {rgb.num_params + 1:,}"),
    }


@pytest.mark.parametrize("bad", ["absent", "other", "garbage", "published garbage", "more"])
def test_a_failure_is_told_apart(bad, rows, mirror, videos):
    row, step, message = bad_rows(rows, mirror)[bad]
    verdict = verify(row, videos, num_clips=1)
    assert message in verdict.error and "\n" not in verdict.error
    assert verdict.steps[step] == "failed" and verdict.answers == ()
    place = STEPS.index(step)
    assert all(verdict.steps[name] == NOT_TRIED for name in STEPS[place + 1 :])
    assert not {"failed", NOT_TRIED} & {verdict.steps[name] for name in STEPS[:place]}


def test_one_failure_does_not_stop_the_others(rows, mirror, videos, capsys):
    bad = [row for row, *_ in bad_rows(rows, mirror).values()]
    assert verify_and_print([bad[0], rows["rgb"], bad[-1]], videos[:1], num_clips=1) == 2
    head, absent, why, good, answer, more, why_more, end = capsys.readouterr().out.splitlines()
    assert head.split() == ["weights", *STEPS]
    assert absent.split() == [bad[0].name, "failed", "-", "-", "-"]
    assert why.startswith("  ") and "absent.pkl" in why
    assert good.split() == [rows["rgb"].name, "first", "seen", "ok", "ok", "ok"]
    assert answer.endswith(f"  ({videos[0]})") and "%" in answer
    assert more.split() == [bad[-1].name, "first", "seen", "ok", "failed", "-"]
    assert "parameters; expected" in why_more and end == "1 of 3 verified."
    assert head.index("converted") == good.index("ok") == absent.index("-  ")


def test_the_cache_is_used_again(rows, mirror, monkeypatch, tmp_path):
    assert verify(rows["rgb"]).error == ""
    monkeypatch.setenv("R21D_MIRROR", str(tmp_path))
    assert verify(rows["rgb"]).error == ""
    changed = tmp_path / "home" / "downloads" / rows["rgb"].file_name
    changed.write_bytes(changed.read_bytes() + b"more")
    assert "sha256" in verify(rows["rgb"]).error


def test_the_command(rows, videos, capsys):
    names = [rows["rgb"].name, rows["flow"].name]
    listed = f"--videos={','.join(videos)}"
    assert main(["zoo", "verify", *names, listed, "--num_clips=1", "--json"]) == 0
    good, flow = map(json.loads, capsys.readouterr().out.splitlines())
    assert [good["weights"], flow["weights"]] == names
    assert good["file"] == "first seen" and good["converted"] == good["clips"] == "ok"
    assert [answer["video"] for answer in good["answers"]] == videos
    assert good["error"] is None and flow["clips"] == "ok"
    assert [answer["video"] for answer in flow["answers"]] == videos


def test_the_command_on_all_that_is_published(rows, mirror, monkeypatch, capsys):
    """Only our rows have files: all others fail, and none stops the rest."""
    from r21d_keras.zoo import weights

    last = weights.WEIGHTS[0]
    monkeypatch.setattr(weights, "WEIGHTS", (last, rows["rgb"]))
    assert main(["zoo", "verify", "--all"]) == 1
    printed = capsys.readouterr().out
    assert last.name in printed and printed.endswith("1 of 2 verified.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected either VARIANT.TAG... or --all"),
        (["r3d_18.kinetics400", "--all"], "expected either VARIANT.TAG... or --all"),
        (
            ["r3d_18"],
            "expected a checkpoint as VARIANT.TAG; got r3d_18. Tags of r3d_18: kinetics400_",
        ),
        (["r3d_18.kinetics"], "Did you mean"),
        (["r4d_18.kinetics400"], "r4d_18"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(arguments, message, capsys):
    assert main(["zoo", "verify", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("r21d zoo verify: ") and message in err


def test_a_bad_video_is_named_before_anything_is_fetched(rows, tmp_path, capsys):
    assert main(["zoo", "verify", rows["rgb"].name, "--videos=missing.mp4"]) == 1
    assert "missing.mp4: cannot be opened" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
