"""`r21d flow`: records of flow and clips read from them, against flow that is computed then."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import moving_scenes as scenes
from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.data.augmentation_options import Augmentation
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.frames import ClipSpec, mirrored
from r21d_keras.training.data.pipeline import clip_spec, train_batches
from r21d_keras.training.data.video import VideoError, probe, read_clips
from r21d_keras.training.data.video_set import VideoSet
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.evaluation.protocols import Protocol
from r21d_keras.training.flow.methods import clip_flow
from r21d_keras.training.flow.quantise import LIMIT
from r21d_keras.training.recipes import resolve
from r21d_keras.training.train import train

OPTIONS = {"stream": "flow", "flow_method": "dis", "resize_height": 36, "resize_width": 40}
SIZE = ["--resize_height=36", "--resize_width=40", "--method=dis", "--processes=1"]


@pytest.fixture(scope="module")
def records(tmp_path_factory, motion_videos):
    """Flow of the motion videos at 36x40, made by the command."""
    out = tmp_path_factory.mktemp("flow") / "records"
    assert (
        main(["flow", "--dataset=folder", f"--videos={motion_videos}", f"--out={out}", *SIZE]) == 0
    )
    return out


@pytest.fixture
def config(make_config, motion_videos, records):
    return make_config(videos=str(motion_videos), records=str(records))


def computed(videos: VideoSet, index: int, starts_s, config) -> np.ndarray:
    """Flow (N, T, H, W, 2) of whole frames of a video file, computed now."""
    size = (config.resize_height, config.resize_width)
    clips = read_clips(
        videos.paths[index], starts_s, config.clip_frames + 1, 15.0, config.short_video, size
    )
    return clip_flow(clips, "dis")


def assert_kept(seen, flow):
    """Equal but for 8 bits: see quantise."""
    within = np.clip(flow, -LIMIT, LIMIT)
    scale = np.abs(within).max(axis=(-3, -2, -1), keepdims=True)
    assert (np.abs(seen - within) <= scale / 254 + 1e-5).all()


@pytest.mark.parametrize("subset", ["train", "test"])
def test_clips_are_the_flow_of_the_videos_frames(config, subset):
    videos = load_dataset(config, subset)
    files = load_dataset(dataclasses.replace(config, records=""), subset)
    assert videos.source.stream == "flow" and videos.classes == files.classes
    spec = clip_spec(videos, config)
    assert (spec.num_frames, spec.flow_method) == (4, "")
    for index, name in enumerate(videos.names):
        place = files.names.index(name)
        seen = videos.source.read(index, lambda _: [0.0, 1.0], spec)
        assert seen.shape == (2, 4, 36, 40, 2) and seen.dtype == np.float32
        assert_kept(seen, computed(files, place, [0.0, 1.0], config))


def test_clips_start_where_those_of_the_videos_do(config):
    """The same seconds in training and in tests, whichever way flow comes."""
    videos = load_dataset(config, "test")
    files = load_dataset(dataclasses.replace(config, records=""), "test")
    on_the_fly, kept = clip_spec(files, config), clip_spec(videos, config)
    for index, name in enumerate(videos.names):
        place = files.names.index(name)
        starts = []
        for source, number, spec in (
            (files.source, place, on_the_fly),
            (videos.source, index, kept),
        ):
            draw, own = np.random.default_rng(index), []
            for _ in range(4):
                _starts_of(source, number, spec, draw, own)
            starts.append(own)
        assert starts[0] == starts[1]


def _starts_of(source, index, spec, draw, own):
    from r21d_keras.clips import random_start, uniform_starts

    rate = spec.preprocessing.frame_rate

    def both(duration_s):
        own.append(random_start(duration_s, spec.num_frames, rate, draw))
        own.extend(uniform_starts(duration_s, spec.num_frames, rate, 5).tolist())
        return own[-6:]

    source.read(index, both, spec)


@pytest.mark.parametrize("short", ["loop", "repeat_last"])
def test_clips_longer_than_the_video(make_config, motion_videos, records, short):
    """30 frames have 29 fields; a clip that begins again shows a cut, one that stands still 0."""
    options = {"videos": str(motion_videos), "records": str(records), "short_video": short}
    config = make_config(**options, clip_frames=34)
    videos = load_dataset(config, "test")
    files = load_dataset(dataclasses.replace(config, records=""), "test")
    seen = videos.source.read(0, lambda _: [0.0], clip_spec(videos, config))
    flow = computed(files, files.names.index(videos.names[0]), [0.0], config)
    assert_kept(seen, flow)
    if short == "loop":
        np.testing.assert_array_equal(seen[0, 30:], seen[0, :4])
    else:
        assert not seen[0, 29:].any()


def test_resized_flow_moves_by_as_much_more(config):
    videos = load_dataset(config, "test")
    spec = clip_spec(videos, config)
    larger = dataclasses.replace(spec.preprocessing, resize=(72, 120))
    small = videos.source.read(0, lambda _: [0.5], spec)
    large = videos.source.read(0, lambda _: [0.5], dataclasses.replace(spec, preprocessing=larger))
    assert large.shape == (1, 4, 72, 120, 2)
    for axis, factor in ((0, 3.0), (1, 2.0)):
        expected = factor * small[..., axis].mean()
        np.testing.assert_allclose(large[..., axis].mean(), expected, rtol=0.05, atol=0.01)


def test_training_clips_are_scaled_cropped_and_mirrored(config):
    """By one seed with and without a mirror, flow is mirrored and u negated."""
    videos = load_dataset(dataclasses.replace(config), "train")
    spec, straight_spec = (
        dataclasses.replace(
            clip_spec(videos, config), augmentation=Augmentation(jitter_scale=1.5, random_flip=flip)
        )
        for flip in (True, False)
    )
    turned = 0
    for seed in range(12):
        clip = videos.clip_at(0, np.random.default_rng(seed), spec)
        straight = videos.clip_at(0, np.random.default_rng(seed), straight_spec)
        assert clip.shape == (4, 32, 32, 2) and clip.flags.c_contiguous
        if not np.array_equal(clip, straight):
            np.testing.assert_array_equal(clip, mirrored(straight))
            turned += 1
    assert 0 < turned < 12


def test_a_run_on_records_is_trained_and_tested(config):
    config = dataclasses.replace(config, variant="f_r2d_10", epochs=1, eval_clips=2)
    assert np.isfinite(train(config)["val_loss"])
    result = evaluate(config.model_dir)
    assert result["videos"] == 8 and result["source"] == "records"
    dense = Protocol(name="dense", frames="whole", stride=2)
    assert evaluate(config.model_dir, dense)["videos"] == 8


def test_batches_are_the_same_whatever_the_readers(config):
    videos = load_dataset(config, "train")
    few, many = (
        list(train_batches(videos, dataclasses.replace(config, num_readers=readers), 1))
        for readers in (1, 3)
    )
    for (clips, labels), (others, same) in zip(few, many, strict=True):
        np.testing.assert_array_equal(clips, others)
        np.testing.assert_array_equal(labels, same)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"stream": "rgb", "mean": [0.4] * 3, "std": [0.2] * 3},
            "are of optical flow; stream='rgb'",
        ),
        (
            {"flow_method": "farneback"},
            "are flow of flow_method='dis'; flow_method='farneback' was",
        ),
        ({"frame_rate": 7.5}, "are flow of frame_rate=15.0; frame_rate=7.5 was asked for"),
        ({"resize_height": 48, "resize_width": 48}, "has frames of 36x40; frames of 48x48"),
    ],
)
def test_flow_of_another_kind_is_refused(make_config, records, options, message):
    config = make_config(**{"records": str(records), **options})
    with pytest.raises(ConfigError, match=message):
        load_dataset(config, "train")


def test_a_run_takes_the_method_of_its_records(records, make_config):
    config = make_config(records=str(records), flow_method="dis")
    options = {name: value for name, value in OPTIONS.items() if name != "flow_method"}
    places = {"dataset": "folder", "records": str(records), **options}
    assert resolve("demo", overrides=places).flow_method == config.flow_method == "dis"
    assert resolve("demo", overrides=options).flow_method == "farneback"
    assert resolve("demo", overrides={**places, "flow_method": "tvl1"}).flow_method == "tvl1"


def test_a_damaged_record_is_named(config, records):
    videos = load_dataset(config, "test")
    spec = clip_spec(videos, config)
    bad = dataclasses.replace(videos.source.records[0], offset=1)
    videos.source.records = (bad, *videos.source.records[1:])
    with pytest.raises(VideoError, match="damaged record: no record begins where one should"):
        videos.source.read(0, lambda _: [0.0], spec)


def test_the_command_says_what_it_made_and_ends_with_the_same_bytes(
    records, motion_videos, tmp_path, capsys
):
    command = ["flow", "--dataset=folder", f"--videos={motion_videos}", f"--out={tmp_path / 'two'}"]
    assert main([*command, *SIZE[:-1], "--processes=2"]) == 0
    assert "16 videos, 480 frames" in capsys.readouterr().out
    for path in records.glob("*.tfrecord"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()
    manifest = json.loads((records / "manifest.json").read_text("utf-8"))
    assert manifest["kind"] == "flow" and manifest["plan"]["method"] == "dis"
    assert main(["prepare", "--verify", f"--out={records}"]) == 0


def test_other_readers_see_the_keys_of_mediasequence(records):
    import cv2
    import tensorflow as tf

    (path,) = records.glob("*.tfrecord")
    record = next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
    example = tf.train.SequenceExample.FromString(record)
    context, lists = example.context.feature, example.feature_lists.feature_list
    assert context["FORWARD_FLOW/image/format"].bytes_list.value[:] == [b"PNG"]
    assert context["FORWARD_FLOW/image/height"].int64_list.value[:] == [72]
    pictures = lists["FORWARD_FLOW/image/encoded"].feature
    stamps = lists["FORWARD_FLOW/image/timestamp"].feature
    scales = lists["FLOW_SCALE/feature/floats"].feature
    assert len(pictures) == len(stamps) == len(scales) == 30
    octets = np.frombuffer(pictures[0].bytes_list.value[0], np.uint8)
    assert cv2.imdecode(octets, cv2.IMREAD_UNCHANGED).shape == (72, 40)
    assert stamps[1].int64_list.value[0] == 100_000  # 1.5 frames at 15 Hz, microseconds


@pytest.mark.parametrize("name", ["right", "clockwise"])
def test_known_motion_comes_back_from_records(tmp_path, encode_video, name):
    """From a scene whose motion is a formula, through a video file and records."""
    frames, truth = scenes.scene(scenes.MOTIONS[name], 12, (96, 128))
    for subset in ("train", "test"):
        (tmp_path / "videos" / subset / "a").mkdir(parents=True)
        video = tmp_path / "videos" / subset / "a" / f"{subset}.mp4"
        encode_video(video, frames, qmin=2, qmax=2)
    assert probe(video).duration_s == pytest.approx(0.8)
    command = ["flow", "--dataset=folder", f"--videos={tmp_path / 'videos'}", "--processes=1"]
    size = ["--resize_height=96", "--resize_width=128", f"--out={tmp_path / 'out'}"]
    assert main([*command, *size]) == 0
    from r21d_keras.training.flow.source import FlowSource
    from r21d_keras.training.records.manifest import read_manifest
    from r21d_keras.zoo.preprocessing import Preprocessing

    manifest = read_manifest(tmp_path / "out")
    source = FlowSource(tmp_path / "out", [s["name"] for s in manifest.shards], manifest.records)
    spec = ClipSpec(num_frames=8, preprocessing=Preprocessing(resize=(96, 128), crop_size=96))
    flow = source.read(0, lambda _: [0.0], spec)[0]
    assert scenes.end_point_error(flow, truth) < 0.3


def test_bad_options_are_found_before_any_work(tmp_path, motion_videos, capsys):
    command = ["flow", "--dataset=folder", f"--videos={motion_videos}", f"--out={tmp_path / 'x'}"]
    for flag, message in (
        ("--resize_height=12", "'dis' takes frames of 16 pixels or more; got 12"),
        ("--method=raft", "raft"),
        ("--frame_rate=0", "frame_rate"),
    ):
        assert main([*command, "--method=dis", flag]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
