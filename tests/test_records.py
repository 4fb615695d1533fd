"""Clips from records are those of the videos, JPEG's loss aside."""

import csv
import dataclasses
import os

import cv2
import numpy as np
import pytest

from r21d_keras.clips import uniform_starts
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data import pipeline
from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.decoder import VideoError
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.listings import Places
from r21d_keras.training.data.video_set import Files
from r21d_keras.training.options import ConfigError
from r21d_keras.training.records.manifest import read_manifest
from r21d_keras.training.records.plan import make_plan
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.reader import RecordSource
from r21d_keras.training.records.rgb import FrameOptions
from r21d_keras.zoo.preprocessing import Preprocessing
from tests.preparing import plan_of

SIZE = (48, 64)
# Clips of each class, of 25 and of 29.97 Hz, and others by codec: MPEG-4 in AVI, H.264 in MP4 and
# Matroska, VP8, MPEG-1 whose time stamps cannot be trusted.
UCF101 = (
    "Archery/v_Archery_g01_c01.avi",
    "BabyCrawling/v_BabyCrawling_g05_c02.avi",
    "BasketballDunk/v_BasketballDunk_g10_c03.avi",
    "PlayingPiano/v_PlayingPiano_g20_c01.avi",
    "PushUps/v_PushUps_g25_c02.avi",
)
RATES = (15.0, 7.5, 25.0, 30000 / 1001, 4.0)  # Hz


def prepared(paths, folder, rate, size=SIZE):
    """Records of real clips, by way of a CSV manifest."""
    folder.mkdir(parents=True)
    with open(folder / "videos.csv", "w", newline="") as file:
        rows = [(path, f"class{place % 2}", "train") for place, path in enumerate(paths)]
        csv.writer(file).writerows([("path", "label", "subset"), *rows])
    options = FrameOptions(resize_height=size[0], resize_width=size[1], frame_rate=rate)
    videos = listed("csv", Places(manifest=str(folder / "videos.csv")))
    plan = make_plan(videos, "rgb", options.encoder, options.as_json)
    manifest = prepare(plan, folder / "records", processes=1)
    source = RecordSource(
        folder / "records", [s["name"] for s in manifest.shards], manifest.records
    )
    by_name = {os.path.basename(record.name): i for i, record in enumerate(manifest.records)}
    return source, [by_name[os.path.basename(path)] for path in paths]


def as_jpeg(clips, quality=95):
    """Clips (..., H, W, 3) with the loss of JPEG."""
    flat = clips.reshape(-1, *clips.shape[-3:])
    coded = [cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for frame in flat]
    return np.stack([cv2.imdecode(c, cv2.IMREAD_COLOR) for c in coded]).reshape(clips.shape)


def check_equal(paths, source, places, spec):
    """Every clip of the records is that of its video, once that went through JPEG."""
    files, rate, frames = Files(tuple(paths)), spec.preprocessing.frame_rate, spec.num_frames
    for index, place in enumerate(places):
        video = files.read(index, lambda s: uniform_starts(s, frames, rate, 4), spec)
        record = source.read(place, lambda s: uniform_starts(s, frames, rate, 4), spec)
        np.testing.assert_array_equal(as_jpeg(video[..., ::-1])[..., ::-1], record)
        for seed in range(3):
            video = files.training_clip(index, 0, np.random.default_rng(seed), spec)
            record = source.training_clip(place, 0, np.random.default_rng(seed), spec)
            np.testing.assert_array_equal(as_jpeg(video[..., ::-1])[..., ::-1], record)


@pytest.mark.parametrize("rate", RATES)
def test_clips_of_ucf101_are_those_of_the_videos(test_data, tmp_path, rate):
    paths = [str(test_data / "ucf101" / "videos" / name) for name in UCF101]
    source, places = prepared(paths, tmp_path / "made", rate)
    spec = ClipSpec(num_frames=8, preprocessing=Preprocessing(resize=SIZE, frame_rate=rate))
    check_equal(paths, source, places, spec)


@pytest.mark.parametrize("short", ["loop", "repeat_last"])
def test_clips_longer_than_their_video_are_filled_alike(test_data, tmp_path, short):
    paths = [str(test_data / "ucf101" / "videos" / name) for name in UCF101[:2]]
    source, places = prepared(paths, tmp_path / "made", 4.0)
    frames = max(record.frames for record in source.records)
    for num_frames in (frames - 1, frames, frames + 1, 2 * frames + 3):
        spec = ClipSpec(
            num_frames=num_frames,
            preprocessing=Preprocessing(resize=SIZE, frame_rate=4.0),
            short_video=short,
        )
        check_equal(paths, source, places, spec)


def test_clips_in_every_container_are_those_of_the_videos(test_data, tmp_path):
    found = {path.suffix: path for path in sorted((test_data / "clips").rglob("*.*"))}
    paths = [str(found[s]) for s in (".mp4", ".mkv", ".webm", ".mpg", ".avi") if s in found]
    assert len(paths) > 3
    source, places = prepared(paths, tmp_path / "made", 15.0)
    spec = ClipSpec(num_frames=8, preprocessing=Preprocessing(resize=SIZE))
    check_equal(paths, source, places, spec)


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_videos):
    """Records of the tiny videos at their own 15 Hz, 36x40 pixels as SMALL_RUN wants."""
    options = FrameOptions(resize_height=36, resize_width=40)
    folder = tmp_path_factory.mktemp("made")
    prepare(plan_of(tiny_videos, options=options), folder, processes=1)
    return folder


@pytest.mark.parametrize("short", ["loop", "repeat_last"])
@pytest.mark.parametrize("rate", [15.0, 10.0, 7.5, 6.0, 4.0, 1.0])
def test_clips_at_lower_rates_are_filled_alike(tiny_videos, made, rate, short):
    manifest = read_manifest(made)
    source = RecordSource(made, [s["name"] for s in manifest.shards], manifest.records[:1])
    files = Files((str(tiny_videos / manifest.records[0].name),))
    numbers = Preprocessing(resize=(36, 40), frame_rate=rate)
    for num_frames in (1, 2, 5, 11, 13, 30):
        spec = ClipSpec(num_frames=num_frames, preprocessing=numbers, short_video=short)
        for starts_s in ([0.0], [0.6], [0.2, 0.4, 0.7]):
            video = files.read(0, starts_s, spec)
            record = source.read(0, starts_s, spec)
            np.testing.assert_array_equal(as_jpeg(video[..., ::-1])[..., ::-1], record)


def test_a_data_set_of_records_is_that_of_the_videos(make_config, made):
    for subset in ("train", "test"):
        of_videos = load_dataset(make_config(), subset)
        of_records = load_dataset(make_config(records=str(made)), subset)
        assert of_records.classes == of_videos.classes and of_records.name == "folder"
        assert of_records.names == of_videos.names and of_records.labels == of_videos.labels
        assert of_records.mirror_safe and not of_records.left_out and not of_records.missing
        assert all(path.startswith(str(made)) and "#" in path for path in of_records.paths)


def labels(videos):
    return dict(zip(videos.names, videos.labels, strict=True))


def test_a_run_on_records_is_that_on_the_videos(make_config, made):
    """The same clips of the same videos in the same order, but for what JPEG loses."""
    config = make_config(clips_per_epoch=12, random_flip=True, jitter_scale=1.2)
    of_videos = load_dataset(config, "train")
    of_records = load_dataset(dataclasses.replace(config, records=str(made)), "train")
    for epoch in (0, 1):
        ours = pipeline.train_batches(of_records, config, epoch)
        theirs = pipeline.train_batches(of_videos, config, epoch)
        for (seen, labels_seen), (clips, targets) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(labels_seen, targets)
            levels = np.abs(seen - clips) * np.array(config.std) * 255  # grey levels
            assert levels.mean() < 5


def test_batches_from_records(make_config, made):
    config = make_config(records=str(made), num_readers=3)
    videos = load_dataset(config, "train")
    ((clips, targets),) = pipeline.train_batches(videos, config, 0)
    assert clips.shape == (4, *config.clip_shape) and len(targets) == 4
    again = next(iter(pipeline.train_batches(videos, config, 0)))[0]
    np.testing.assert_array_equal(clips, again)
    test = load_dataset(config, "test")
    assert [int(index) for _, index in pipeline.test_clips(test, config, 3)] == list(
        range(len(test))
    )


def test_three_splits_from_one_folder(test_data, tmp_path):
    places = {"videos": str(test_data / "ucf101" / "videos")}
    options = FrameOptions(resize_height=16, resize_width=16, frame_rate=1.0)
    plan = make_plan(listed("ucf101", Places(**places)), "rgb", options.encoder, options.as_json)
    some = tuple(dataclasses.replace(s, items=s.items[:20]) for s in plan.shards)
    prepare(dataclasses.replace(plan, shards=some), tmp_path, processes=1)
    numbers = {"resize_height": 16, "resize_width": 16, "crop_size": 16, "frame_rate": 1.0}
    for split in (1, 2, 3):
        config = TrainConfig(dataset="ucf101", split=split, **places, **numbers)
        of_videos = labels(load_dataset(config, "test"))
        found = load_dataset(dataclasses.replace(config, records=str(tmp_path)), "test")
        assert labels(found).items() <= of_videos.items() and 5 < len(found) < 20
        assert list(found.names) == [name for name in of_videos if name in found.names]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_rate": 20.0}, "has 15 frames a second; frame_rate=20 was asked for"),
        ({"resize_height": 40}, "has frames of 36x40; frames of 40x40 were asked for"),
        ({"resize_width": 48}, "has frames of 36x40; frames of 36x48 were asked for"),
        ({"dataset": "csv", "videos": ""}, "are of folder; dataset='csv' was asked for"),
    ],
)
def test_records_that_lack_what_is_asked_for(make_config, made, options, message):
    with pytest.raises(ConfigError, match=message):
        load_dataset(make_config(records=str(made), **options), "train")


def test_records_of_one_split_are_for_no_other(make_config, tiny_videos, tmp_path):
    options = FrameOptions(resize_height=36, resize_width=40)
    prepare(plan_of(tiny_videos, options=options, split=1), tmp_path, processes=1)
    assert len(load_dataset(make_config(records=str(tmp_path)), "test")) == 2
    config = dataclasses.replace(make_config(records=str(tmp_path)), split=2)
    with pytest.raises(ConfigError, match="are of split 1; split=2 was asked for"):
        load_dataset(config, "test")


def test_lower_rates_and_smaller_frames_are_taken_from_records(make_config, made):
    config = make_config(records=str(made), frame_rate=5.0, resize_height=32, resize_width=32)
    videos = load_dataset(config, "train")
    spec = ClipSpec(num_frames=2, preprocessing=config.preprocessing)
    whole = ClipSpec(num_frames=12, preprocessing=dataclasses.replace(config.preprocessing))
    clip = videos.source.read(0, [0.2], spec)[0]
    every = dataclasses.replace(whole.preprocessing, frame_rate=15.0)
    frames = videos.source.read(0, [0.0], dataclasses.replace(whole, preprocessing=every))[0]
    np.testing.assert_array_equal(clip, frames[[4, 7]])  # 1.5 and 2.5 fifths of a second


def copy(folder, out):
    for path in folder.iterdir():
        (out / path.name).write_bytes(path.read_bytes())
    return out


def test_a_damaged_record_is_a_bad_video(make_config, made, tmp_path):
    copy(made, tmp_path)
    manifest = read_manifest(tmp_path)
    record = next(r for r in manifest.records if r.splits[1] == "train")
    path = tmp_path / manifest.shards[record.shard]["name"]
    octets = bytearray(path.read_bytes())
    octets[record.offset + record.length // 2] ^= 8
    path.write_bytes(octets)
    config = make_config(records=str(tmp_path), clips_per_epoch=8)
    videos, bad = load_dataset(config, "train"), pipeline.BadVideos()
    count = sum(len(targets) for _, targets in pipeline.train_batches(videos, config, 0, bad))
    assert count == 8  # another takes its place
    ((where, reason),) = bad.files
    assert where == f"{path}#{record.name}"
    assert reason.startswith("damaged record: the record's checksum does not fit its bytes. `r21d")
    with pytest.raises(VideoError, match="ends at 0.80 s, before the wanted clip starts"):
        videos.source.read(0, [0.9], ClipSpec(num_frames=2, preprocessing=config.preprocessing))


def test_absent_and_cut_shards_are_found_at_once(make_config, made, tmp_path):
    copy(made, tmp_path)
    (tmp_path / "all-00001-of-00004.tfrecord").unlink()
    cut = tmp_path / "all-00003-of-00004.tfrecord"
    cut.write_bytes(cut.read_bytes()[:-1])
    message = "2 shards are not what was written: all-00001-of-00004.tfrecord is not there; "
    with pytest.raises(ConfigError, match=message + ".* has .* bytes, not "):
        load_dataset(make_config(records=str(tmp_path)), "train")
    with pytest.raises(ConfigError, match="no such folder; expected one that `r21d prepare` made"):
        load_dataset(make_config(records=str(tmp_path / "none")), "train")
