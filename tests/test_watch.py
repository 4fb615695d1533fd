"""`r21d watch` on files and folders: what is answered is what the network says of those clips."""

import json
import os
import pathlib
import shutil
import signal
import time

import keras
import numpy as np
import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.decoder import VideoError
from r21d_keras.training.data.frames import center_crop
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.data.video import read_clip
from r21d_keras.training.evaluation.through_time import ThroughTime
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.watch.feed import Feed, Segment
from r21d_keras.training.watch.source import CAMERA, FILE, FOLDER, STREAM, find_source
from r21d_keras.training.watch.view import load_view
from r21d_keras.training.watch.watch import WatchOptions, watch
from tests import processes

RATE = 15.0
FRAMES = 40


@pytest.fixture(scope="module")
def video(tmp_path_factory, encode_video):
    """A file of 40 frames at 15 Hz, 48x40, none like another."""
    draw = np.random.default_rng(3)
    small = draw.integers(0, 256, (FRAMES, 5, 6, 3), np.uint8)
    path = tmp_path_factory.mktemp("watched") / "video.mp4"
    return str(encode_video(path, small.repeat(8, axis=1).repeat(8, axis=2)))


@pytest.fixture(scope="module")
def run(tiny_run):
    """The folder of a run of f-R2D-10, clips of 4 frames."""
    return tiny_run(variant="f_r2d_10")


@pytest.fixture(scope="module")
def flow_run(tiny_run):
    """The folder of a run of MC3-10 on flow, clips of 8."""
    return tiny_run(variant="mc3_10", stream="flow", clip_frames=8)


@pytest.fixture(scope="module")
def flow_export(flow_run, tmp_path_factory):
    """Its SavedModel."""
    return export(flow_run, tmp_path_factory.mktemp("export"))


def frames_of(video, config, count=FRAMES):
    return read_clip(video, 0.0, count, RATE, "loop", (config.resize_height, config.resize_width))


def shown(frames, config):
    frames = center_crop(frames, config.crop_size)
    return clip_flow(frames, config.flow_method) if config.stream == "flow" else frames


def test_windows_are_clips_of_the_file(run, video):
    predictor, every = load_predictor(run), 3
    starts = range(0, FRAMES - 4 + 1, every)
    clips = np.stack([frames_of(video, load_config(run))[start : start + 4] for start in starts])
    answers = list(watch(video, load_view(run, every=every, overlap="recompute")))
    assert [answer.start_s for answer in answers] == pytest.approx([s / RATE for s in starts])
    found = np.stack([answer.probabilities for answer in answers])
    np.testing.assert_allclose(found, predictor.scorer(clips), atol=1e-5)
    for answer in answers:
        assert answer.labels[0] == predictor.classes[answer.probabilities.argmax()]
        assert answer.end_s - answer.start_s == pytest.approx(4 / RATE)
        assert (answer.skipped, answer.piece, answer.live) == (0, 0, False)


def load_config(run):
    return load_run(run)[0]


def test_a_saved_model_and_a_run_of_flow_answer_alike(flow_run, flow_export, video):
    """Windows of nine frames for eight fields of flow; of those between windows none is seen."""
    predictor, frames = load_predictor(flow_run), frames_of(video, load_config(flow_run))
    clips = np.stack([frames[start : start + 9] for start in range(0, FRAMES - 9 + 1, 11)])
    for model in (flow_run, flow_export):
        options = WatchOptions(every=11, overlap="recompute")
        found = [answer.probabilities for answer in watch(video, model, options)]
        np.testing.assert_allclose(found, predictor.scorer(clips), atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "stream", "clip_frames", "every"),
    [
        ("f_r2d_10", "rgb", 4, 1),
        ("mc3_10", "flow", 8, 3),
        ("mc4_10", "rgb", 16, 4),
        ("r2plus1d_10", "rgb", 16, 8),
    ],
)
def test_shared_windows_are_means_over_the_features_of_the_whole(
    tiny_run, video, variant, stream, clip_frames, every
):
    run = tiny_run(variant=variant, stream=stream, clip_frames=clip_frames)
    config, _, model = load_run(run, any_length=True)
    frames = frames_of(video, config)
    body = keras.Model(model.input, model.get_layer("avgpool").input)
    inputs = normalise(shown(frames, config), config.preprocessing)[None]
    features = body(inputs, training=False).numpy().mean(axis=(2, 3))[0]  # (T', F)
    view = load_view(run, every=every, overlap="share")
    grid = ThroughTime(body).reach.stride
    starts = list(range(0, len(inputs[0]) - clip_frames + 1, every))
    means = [features[s // grid : (s + clip_frames) // grid].mean(axis=0) for s in starts]
    expected = model.get_layer("fc")(np.stack(means)).numpy()
    for live in (False, True):
        found = list(windows_of(view, frames, live))
        assert [start for start, _ in found] == starts[: len(found)]
        if live:  # what comes behind the last frames is not known
            waiting = view.answering.lookahead + every
            assert len(starts) - len(found) <= -(-waiting // every)
        else:
            assert len(starts) == len(found)
        np.testing.assert_allclose([p for _, p in found], expected[: len(found)], atol=1e-5)


def windows_of(view, frames, live):
    """What a View answers of frames that are all there."""
    feed = Feed(len(frames), lambda silence_s: True)
    feed.begin(Segment("name", live, 0.0, 1.0))
    for frame in frames:
        feed.put(frame)
    feed.finish()
    (segment,) = feed.segments()
    for start, probabilities, _ in view.answering.windows(segment):
        yield start, probabilities


@pytest.mark.parametrize(
    ("variant", "overlap", "every", "says"),
    [
        ("r2plus1d_10", "auto", None, "exact: each clip is computed for itself, as clips of 8"),
        ("f_r2d_10", "auto", None, "exact: no frame sees another"),
        ("r2d_10", "auto", 7, "exact: each clip is computed for itself"),
    ],
)
def test_what_is_shared_is_said(tiny_run, variant, overlap, every, says):
    view = load_view(tiny_run(variant=variant, clip_frames=8), every=every, overlap=overlap)
    assert view.exactness.startswith(says)
    assert view.every == (every or 4)


def test_what_cannot_be_shared_is_refused(tiny_run, flow_export):
    with pytest.raises(ConfigError, match="overlap=share: r2d_10 cannot"):
        load_view(tiny_run(variant="r2d_10"), overlap="share")
    with pytest.raises(ConfigError, match="do not lie on its grid of 8 frames"):
        load_view(tiny_run(variant="r3d_10", clip_frames=8), overlap="share", every=3)
    with pytest.raises(ConfigError, match="exports and servers take whole clips"):
        load_view(flow_export, overlap="share")


@pytest.mark.parametrize("short_video", ["loop", "repeat_last"])
def test_a_file_shorter_than_a_window_is_filled_as_in_training(
    tiny_run, encode_video, tmp_path, short_video
):
    run = tiny_run(clip_frames=8, variant="f_r2d_10", short_video=short_video)
    draw = np.random.default_rng(5)
    frames = draw.integers(0, 256, (5, 48, 48, 3), np.uint8)
    path = str(encode_video(tmp_path / "short.mp4", frames))
    clip = read_clip(path, 0.0, 8, RATE, short_video, (36, 40))
    for overlap in ("recompute", "share"):
        (answer,) = watch(path, run, WatchOptions(overlap=overlap))
        expected = load_predictor(run).scorer(clip[None])[0]
        np.testing.assert_allclose(answer.probabilities, expected, atol=1e-5)
        assert answer.end_s == pytest.approx(5 / RATE)


def test_text_has_a_line_for_each_window(run, video, tmp_path, capsys):
    picture = tmp_path / "labels.png"
    arguments = ["watch", f"--model={run}", video, "--every=9", f"--timeline={picture}"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines()] == [
        [f"{start / RATE:.1f}", "s"] for start in range(0, 37, 9)
    ]
    assert "windows of 0.27 s every 0.60 s; exact" in err and err.endswith(": 5 answers.\n")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_json_has_an_object_for_each_window(run, video, capsys):
    assert main(["watch", f"--model={run}", video, "--every=20", "--json", "--top_k=2"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["source"] == video and first["skipped"] == 0
    assert (first["start_s"], second["start_s"]) == (0.0, 1.333)
    assert len(first["labels"]) == 2 and set(first["labels"][0]) == {"label", "score"}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "0 sources given; expected one"),
        (["a.mp4", "b.mp4"], 2, "2 sources given"),
        (["missing.mp4"], 1, "missing.mp4: cannot be watched: No such file"),
        (["s3://bucket/video.mp4"], 1, "s3:// cannot be watched; expected one of rtsp"),
        ([__file__], 1, "not a video file"),
        (["7", "--timeline=out.jpg"], 1, "--timeline=out.jpg: expected a name that ends in .png"),
        (["7", "--max_delay=0"], 1, "max_delay_s=0: expected seconds above 0"),
        (["7", "--max_delay=inf"], 1, "max_delay_s=inf: so many frames are kept"),
        (["7"], 1, "camera 7: cannot be opened: No such file or directory."),
        (["/dev/null"], 1, "/dev/null: cannot be opened: Inappropriate ioctl"),
        (["tcp://127.0.0.1:9"], 1, "tcp://127.0.0.1:9: cannot be opened: Connection refused."),
    ],
)
def test_what_cannot_be_watched_is_one_line(run, capsys, arguments, code, message):
    assert main(["watch", f"--model={run}", *arguments]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert message in last and "Traceback" not in last


def test_sources_are_told_apart(tmp_path, video, monkeypatch):
    assert find_source(video).kind == FILE
    assert find_source(str(tmp_path)).kind == FOLDER
    stream = find_source("rtsp://user:secret@camera/live")
    assert (stream.kind, stream.name) == (STREAM, "rtsp://camera/live")
    assert "file" not in dict(stream.options)["protocol_whitelist"].split(",")
    assert find_source("3").kind == CAMERA
    monkeypatch.chdir(tmp_path)
    (tmp_path / "3").write_text("a file of that name")
    assert find_source("3").kind == FILE
    with pytest.raises(VideoError, match="No such file"):
        find_source("none")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(VideoError, match="is a pipe or socket"):
        find_source("pipe")


def test_a_folder_is_watched_as_it_fills_and_drawn_when_it_is_interrupted(run, video, tmp_path):
    folder, log, picture = tmp_path / "in", tmp_path / "log", tmp_path / "labels.png"
    folder.mkdir()
    shutil.copy(video, folder / "0.mp4")
    arguments = ["watch", f"--model={run}", str(folder), "--json", "--every=18"]
    process = processes.start([*arguments, f"--timeline={picture}"], log)

    def said():
        lines = log.read_text().splitlines() if log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait_for(count):
        until_s = time.monotonic() + 120
        while len(said()) < count:
            assert process.is_alive() and time.monotonic() < until_s, log.read_text()
            time.sleep(0.1)

    wait_for(4)  # the name of the file, and three windows
    with (folder / "1.mp4").open("wb") as file:  # another comes in pieces
        content = pathlib.Path(video).read_bytes()
        for part in range(4):
            file.write(content[part * len(content) // 4 : (part + 1) * len(content) // 4])
            file.flush()
            time.sleep(0.3)
    wait_for(8)
    (folder / "2.avi").write_text("no video")
    wait_for(10)
    os.kill(process.pid, signal.SIGTERM)
    process.join(60)
    found = said()
    assert process.exitcode == 130
    assert [line.get("event") for line in found] == [
        *("file", None, None, None),
        *("file", None, None, None),
        *("file", "bad_file"),
    ]
    assert [line["labels"] for line in found[1:4]] == [line["labels"] for line in found[5:8]]
    assert "not a video file" in found[-1]["reason"]
    assert "interrupted. 6 answers, 1 file could not be read." in log.read_text()
    assert picture.is_file()
