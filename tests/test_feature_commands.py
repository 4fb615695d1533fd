"""`r21d features`: what is in its files, what it reads, and what it refuses and when."""

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest

from r21d_keras import zoo
from r21d_keras.clips import uniform_starts
from r21d_keras.training.cli import main
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.data.video import VideoError, probe
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.training.feature_options import FeatureOptions
from r21d_keras.training.feature_source import from_run
from r21d_keras.training.features import READ_AHEAD, write_features
from r21d_keras.training.model_dir import load_run


@pytest.fixture(scope="module")
def run(tiny_run):
    return tiny_run()


@pytest.fixture
def videos(motion_videos):
    return sorted(str(path) for path in (motion_videos / "test").rglob("*.mp4"))


@pytest.fixture
def bad_videos(tmp_path):
    """Files of each of which it can be said why it is no video."""
    text, missing = tmp_path / "text.mp4", tmp_path / "missing.mp4"
    text.write_text("this is no video\n" * 100)
    return str(text), str(missing)


def features(*arguments):
    return main(["features", *map(str, arguments)])


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def expected_features(run, video, num_clips, layers, **changes):
    """Features of each clip of a video, and their starts, with the run's own preprocessing."""
    config, _, model = load_run(run)
    spec = ClipSpec(num_frames=config.clip_frames, preprocessing=config.preprocessing)
    clips = normalise(read_test_clips(video, num_clips, spec), config.preprocessing)
    rate = config.frame_rate
    starts_s = uniform_starts(probe(video).duration_s, config.clip_frames, rate, num_clips)
    found = zoo.feature_extractor(model, layers)(clips)
    return {name: np.array(values) for name, values in found.items()}, starts_s


def test_features_of_a_run(run, videos, tmp_path, capsys):
    out, layers = tmp_path / "features.npz", ("avgpool", "layer3", "layer1.0.conv1")
    given = videos[: READ_AHEAD + 2]  # more than are read at once
    assert features(f"--model={run}", f"--out={out}", f"--layers={','.join(layers)}", *given) == 0
    assert capsys.readouterr().out == f"{out}: {len(given)} videos, layers {', '.join(layers)}\n"
    found = read(out)
    of_videos = {f"{layer}.video" for layer in layers}
    assert set(found) == {"videos", "clip_starts_s", "about", *layers, *of_videos}
    assert found["videos"].tolist() == given
    for place, video in enumerate(given):
        expected, starts_s = expected_features(run, video, 10, layers)
        np.testing.assert_array_equal(found["clip_starts_s"][place], starts_s)
        for layer, values in expected.items():
            by_clip = values.reshape(10, -1, values.shape[-1]).mean(axis=1)
            np.testing.assert_allclose(found[layer][place], by_clip, atol=1e-4)
            of_video = found[f"{layer}.video"][place]
            np.testing.assert_allclose(of_video, by_clip.mean(axis=0), atol=1e-4)
            assert found[layer].dtype == of_video.dtype == np.float32
    assert sorted(path.name for path in tmp_path.iterdir()) == ["features.npz"]


def test_the_file_says_how_it_was_made(run, videos, tmp_path):
    out = tmp_path / "features.npz"
    assert features(f"--model={run}", "--weights=best", f"--out={out}", videos[0]) == 0
    about = json.loads(str(read(out)["about"]))
    config = load_run(run)[0]
    assert about["weights"] == str(run / "best.weights.h5") and about["network"] == config.variant
    assert (about["num_clips"], about["clip_frames"]) == (10, config.clip_frames)
    assert about["preprocessing"]["resize"] == [config.resize_height, config.resize_width]
    assert about["layers"] == ["avgpool"] and about["pool"] == "avg" and about["skipped"] == []


def test_all_that_a_layer_gives(run, videos, tmp_path):
    out = tmp_path / "all.npz"
    arguments = (f"--model={run}", f"--out={out}", "--pool=none", "--num_clips=3")
    assert features(*arguments, "--layers=layer2,avgpool", *videos[:2]) == 0
    found = read(out)
    for place, video in enumerate(videos[:2]):
        expected, _ = expected_features(run, video, 3, ("layer2", "avgpool"))
        for layer, values in expected.items():
            assert found[layer].shape == (2, *values.shape)
            np.testing.assert_allclose(found[layer][place], values, atol=1e-4)
            mean = values.mean(axis=tuple(range(values.ndim - 1)))
            np.testing.assert_allclose(found[f"{layer}.video"][place], mean, atol=1e-4)


def test_many_clips_go_through_the_network_a_few_at_a_time(run, videos, tmp_path):
    out = tmp_path / "many.npz"
    assert features(f"--model={run}", f"--out={out}", "--num_clips=23", videos[0]) == 0
    expected, _ = expected_features(run, videos[0], 23, ("avgpool",))
    np.testing.assert_allclose(read(out)["avgpool"][0], expected["avgpool"], atol=1e-4)


def test_clips_of_another_length_size_and_rate(run, videos, tmp_path):
    out = tmp_path / "other.npz"
    changes = ("--clip_frames=6", "--crop_size=24", "--frame_rate=5", "--num_clips=2")
    arguments = (f"--model={run}", f"--out={out}", "--layers=layer1", "--pool=none")
    assert features(*arguments, *changes, videos[0]) == 0
    found = read(out)
    assert found["layer1"].shape[:5] == (1, 2, 6, 12, 12)
    assert found["clip_starts_s"][0, 1] == pytest.approx(
        max(0, probe(videos[0]).duration_s - 6 / 5)
    )


@pytest.mark.parametrize("bad", [0, 1])
def test_a_bad_video_is_named_before_the_work(run, videos, bad_videos, bad, tmp_path, capsys):
    out = tmp_path / "features.npz"
    assert features(f"--model={run}", f"--out={out}", videos[0], bad_videos[bad], videos[1]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"r21d features: error: {bad_videos[bad]}: ")
    assert error.count("\n") == 1 and not out.exists()


def test_bad_videos_are_left_out_and_counted(run, videos, bad_videos, tmp_path, capsys):
    out = tmp_path / "features.npz"
    given = [bad_videos[0], videos[0], bad_videos[1], videos[1]]
    assert features(f"--model={run}", f"--out={out}", "--on_bad_video=skip", *given) == 1
    printed, log = capsys.readouterr()
    assert printed == f"{out}: 2 videos, layers avgpool; 2 left out\n"
    assert [line for line in log.splitlines() if line.startswith("warning: Left out: ")]
    assert all(path in log for path in bad_videos)
    found = read(out)
    assert found["videos"].tolist() == videos[:2]
    expected, _ = expected_features(run, videos[1], 10, ("avgpool",))
    np.testing.assert_allclose(found["avgpool"][1], expected["avgpool"], atol=1e-4)
    skipped = json.loads(str(found["about"]))["skipped"]
    assert [item["video"] for item in skipped] == list(bad_videos)
    assert all(item["reason"] for item in skipped)


def test_no_video_that_can_be_read(run, bad_videos, tmp_path, capsys):
    out = tmp_path / "features.npz"
    assert features(f"--model={run}", f"--out={out}", "--on_bad_video=skip", *bad_videos) == 1
    assert "None of the 2 videos can be read" in capsys.readouterr().err
    assert not out.exists()


def test_a_video_that_goes_bad_in_mid_run_leaves_the_old_file(run, videos, tmp_path):
    """It opens, and only decoding it to its end tells."""
    damaged, out = tmp_path / "damaged.mp4", tmp_path / "features.npz"
    shutil.copy(videos[0], damaged)
    out.write_bytes(b"old")
    options = FeatureOptions(num_clips=2)
    source = from_run(run, options)
    load = source.load

    def damage():
        load()
        damaged.write_bytes(b"no video any more")

    with pytest.raises(VideoError, match="damaged.mp4"):
        damaging = dataclasses.replace(source, load=damage)
        write_features(damaging, [videos[1], damaged, *videos], out, options)
    assert out.read_bytes() == b"old"
    assert {path.name for path in tmp_path.iterdir()} == {"damaged.mp4", "features.npz"}


def test_a_folder_that_cannot_be_written_is_said_before_the_work(run, videos, tmp_path, capsys):
    """Root may write in any folder; so here something stands where the file would be begun."""
    blocked = tmp_path / f".partial.{os.getpid()}.features.npz"
    blocked.mkdir()
    source = from_run(run, FeatureOptions())
    reached = []
    source = dataclasses.replace(source, load=lambda: reached.append("the weights"))
    with pytest.raises(OSError, match="features.npz"):
        write_features(source, videos, tmp_path / "features.npz", FeatureOptions())
    assert not reached


def test_every_real_container_and_codec(run, test_data, tmp_path):
    clips = sorted(str(path) for path in (test_data / "clips").iterdir())
    out = tmp_path / "features.npz"
    assert features(f"--model={run}", f"--out={out}", "--num_clips=2", *clips) == 0
    found = read(out)["avgpool"]
    assert len(found) == len(clips) and len(np.unique(found[:, 0, 0])) > len(clips) // 2


def test_names_that_are_not_utf_8(run, videos, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    shutil.copy(videos[0], name)
    out = tmp_path / "features.npz"
    assert features(f"--model={run}", f"--out={out}", "--num_clips=1", name) == 0
    assert read(out)["videos"].tolist() == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4"], "--out is missing"),
        (["a.mp4", "--out=f.npz"], "--variant is missing: give --variant and --weights, or a run"),
        (["a.mp4", "--out=f.npz", "--variant=r3d_18"], "--weights is missing: give --variant"),
        (["a.mp4", "--out=f.npz", "--model=x", "--variant=r3d_18"], "--variant is that of the run"),
        (["a.mp4", "--out=f.npz", "--model=x", "--weights=y"], "--weights=y: expected final or"),
        (["--out=f.npz", "--model=x"], "no video given"),
        (["a.mp4", "--out=f.npy", "--model=x"], "--out=f.npy: expected a name that ends in .npz"),
        (["a.mp4", "--out=no/f.npz", "--model=x"], "expected a file in a folder that exists"),
        (["a.mp4", "--out=f.npz", "--model=x", "--layers="], "layers=[]: expected names"),
        (["a.mp4", "--out=f.npz", "--model=x", "--frame_rate=-1"], "frame_rate=-1.0: expected a n"),
        (["a.mp4", "--out=f.npz", "--model=x", "--frame_rate=nan"], "frame_rate=nan: expected a n"),
        (["a.mp4", "--out=f.npz", "--model=x", "--num_clips=0"], "flag --num_clips=0"),
        (["a.mp4", "--out=f.npz", "--model=x", "--pool=max"], "--pool=max: value should be one"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(arguments, message, capsys):
    assert features(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("r21d features: ") and message in err


def test_an_unknown_layer_is_said_before_anything_else(run, tmp_path, capsys):
    out = tmp_path / "features.npz"
    assert features(f"--model={run}", f"--out={out}", "--layers=layer9", "missing.mp4") == 1
    assert "has no layer 'layer9'. Near: layer" in capsys.readouterr().err
