import os
import pathlib

import numpy as np
import pytest

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data import motion
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.data.video_set import read_test_clips
from r21d_keras.zoo.preprocessing import Preprocessing

SPEC = ClipSpec(num_frames=4, preprocessing=Preprocessing(resize=(20, 28), crop_size=16))


def _folder(videos, subset, **fields):
    return load_dataset(TrainConfig(dataset="folder", videos=str(videos), **fields), subset)


def test_folder_of_class_folders(tiny_videos):
    train, test = _folder(tiny_videos, "train"), _folder(tiny_videos, "test")
    assert train.classes == test.classes == ("bright", "dark")
    assert train.labels == (0,) * 4 + (1,) * 4 and test.labels == (0, 1)
    assert not set(train.paths) & set(test.paths) and len(set(train.paths + test.paths)) == 10
    assert _folder(tiny_videos, "test", seed=5).paths == test.paths
    for path, label in zip(train.paths, train.labels, strict=True):
        assert pathlib.Path(path).parent.name == train.classes[label]


def test_a_new_video_moves_few_others(tiny_videos, tmp_path):
    (tmp_path / "bright").symlink_to(tiny_videos / "bright")
    (tmp_path / "dark").mkdir()
    for video in (tiny_videos / "dark").iterdir():
        (tmp_path / "dark" / video.name).symlink_to(video)
    before = {pathlib.Path(p).name for p in _folder(tmp_path, "test").paths}
    (tmp_path / "dark" / "new.mp4").symlink_to(tiny_videos / "dark" / "dark_0.mp4")
    after = {pathlib.Path(p).name for p in _folder(tmp_path, "test").paths}
    assert len(before & after) >= len(before) - 1


@pytest.mark.parametrize("name", ["test", "val", "valid", "validation"])
def test_folders_that_say_what_is_for_testing(tiny_videos, tmp_path, name):
    for subset in ("train", name):
        (tmp_path / subset).mkdir()
    (tmp_path / "train" / "a").symlink_to(tiny_videos / "bright")
    (tmp_path / "train" / "b").symlink_to(tiny_videos / "dark")
    (tmp_path / name / "b").symlink_to(tiny_videos / "dark")
    assert _folder(tmp_path, "train").labels == (0,) * 5 + (1,) * 5
    test = _folder(tmp_path, "test")
    assert test.classes == ("a", "b") and test.labels == (1,) * 5
    (tmp_path / name / "c").symlink_to(tiny_videos / "dark")
    with pytest.raises(ValueError, match="1 class that train/ lacks: c"):
        _folder(tmp_path, "test")


@pytest.mark.parametrize(("there", "absent"), [("train", "test, val, valid or"), ("val", "train")])
def test_one_subset_is_not_taken_for_a_class(tiny_videos, tmp_path, there, absent):
    for name in (there, "tests"):
        (tmp_path / name).symlink_to(tiny_videos)
    for subset in ("train", "test"):
        with pytest.raises(ValueError, match=f"there is {there}/, but not {absent}"):
            _folder(tmp_path, subset)


def test_one_class_is_refused(tiny_videos, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "dark").symlink_to(tiny_videos / "dark")
    for subset in ("train", "test"):
        with pytest.raises(ValueError, match="folder: 1 class, 'dark'; expected at least 2"):
            _folder(tmp_path / "videos", subset)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"da\nrk", "'da.nrk' has a control character"),
        (b"da\x1crk", "has a control character"),
        ("da\u2028rk".encode(), "has a control character or line separator"),
        ("da\x85rk".encode(), "has a control character"),
        (b"d\xe4rk", "is not UTF-8"),
        (b" dark", "begins or ends with a space"),
    ],
)
def test_folder_names_that_cannot_be_class_names(tiny_videos, tmp_path, name, reason):
    (tmp_path / "bright").symlink_to(tiny_videos / "bright")
    os.symlink(tiny_videos / "dark", os.fsencode(tmp_path) + b"/" + name)
    with pytest.raises(ValueError, match=rf"Class names: 1 is not .*{reason}.*Rename"):
        _folder(tmp_path, "train")


def test_folders_that_are_not_as_expected(tiny_videos, tmp_path):
    with pytest.raises(ValueError, match="--videos='': no such folder"):
        _folder("", "train")
    with pytest.raises(ValueError, match="no folder in it"):
        _folder(tmp_path, "train")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("none yet")
    with pytest.raises(ValueError, match="1 folder without a video: empty"):
        _folder(tmp_path, "train")
    (tmp_path / "empty" / "folder.mp4").mkdir()
    (tmp_path / "empty" / ".trash").mkdir()
    (tmp_path / "empty" / ".trash" / "gone.mp4").symlink_to(tiny_videos / "dark" / "dark_1.mp4")
    with pytest.raises(ValueError, match="1 folder without a video: empty"):
        _folder(tmp_path, "train")
    (tmp_path / "empty" / "one.MP4").symlink_to(tiny_videos / "dark" / "dark_0.mp4")
    with pytest.raises(ValueError, match="empty: 1 video; expected at least 2"):
        _folder(tmp_path, "train")


@pytest.fixture
def official(tiny_videos, tmp_path):
    """UCF101's layout with the tiny videos: (folder of videos, folder of lists)."""
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (tmp_path / "UCF-101").symlink_to(tiny_videos)
    train = [f"{c}/{c}_{i}.mp4 {n}" for n, c in enumerate(("dark", "bright"), 1) for i in range(3)]
    test = [f"{c}/{c}_{i}.mp4" for c in ("dark", "bright") for i in (3, 4)]
    (lists / "classInd.txt").write_bytes(b"1 dark\r\n2 bright\r\n\r\n")
    (lists / "trainlist02.txt").write_bytes("\r\n".join(train).encode())
    (lists / "testlist02.txt").write_bytes("\r\n".join(test).encode())
    return tmp_path / "UCF-101", lists


def _ucf101(videos, lists="", subset="train", **fields):
    config = TrainConfig(dataset="ucf101", videos=str(videos), splits=str(lists), split=2, **fields)
    return load_dataset(config, subset)


def test_official_lists(official):
    videos, lists = official
    for given in (lists, ""):  # the lists lie where the archives put them: beside the videos
        train, test = _ucf101(videos, given), _ucf101(videos, given, "test")
        assert train.classes == ("dark", "bright") and train.mirror_safe
        assert train.labels == (0, 0, 0, 1, 1, 1) and test.labels == (0, 0, 1, 1)
        assert test.paths[2] == str(videos / "bright" / "bright_3.mp4")


def test_official_lists_with_all_videos_in_one_folder(official, tiny_videos, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in tiny_videos.rglob("*.mp4"):
        (flat / path.name).symlink_to(path)
    assert _ucf101(flat, official[1], "test").paths[0] == str(flat / "dark_3.mp4")


def test_official_lists_that_do_not_fit(official, tmp_path):
    videos, lists = official
    with pytest.raises(ValueError, match="trainlist01.txt: no such file"):
        load_dataset(TrainConfig(dataset="ucf101", videos=str(videos), split=1), "train")
    with pytest.raises(ValueError, match="--splits='nowhere': no such folder"):
        _ucf101(videos, "nowhere")
    (lists / "trainlist02.txt").write_text(
        "".join(f"dark/gone_{i}.avi 1\n" for i in range(7)) + "dark/dark_0.mp4 1\n"
    )
    with pytest.raises(ValueError, match="names 8 videos, of which 7 are not there.*and 2 more"):
        _ucf101(videos, lists)
    (lists / "trainlist02.txt").write_text("dark/dark_0.mp4 1\ndark/dark_1.mp4 2\n")
    with pytest.raises(ValueError, match="trainlist02.txt, line 2: 'dark/dark_1.mp4 2'"):
        _ucf101(videos, lists)
    (lists / "classInd.txt").write_text("1 dark\n3 bright\n")
    with pytest.raises(ValueError, match="classInd.txt, line 2: '3 bright'; expected '2 Class'"):
        _ucf101(videos, lists)


def test_the_real_lists(test_data):
    root = test_data / "ucf101"
    for split in (1, 2, 3):
        config = TrainConfig(dataset="ucf101", videos=str(root / "videos"), split=split)
        train, test = (load_dataset(config, subset) for subset in ("train", "test"))
        assert (len(train), len(test), len(train.classes)) == (270, 105, 5)
        assert not set(train.paths) & set(test.paths)


def test_unreadable_files_are_found_before_training(tiny_videos, tmp_path):
    for name in ("bright", "dark"):
        (tmp_path / name).mkdir()
        for video in (tiny_videos / name).iterdir():
            (tmp_path / name / video.name).symlink_to(video)
    for i in range(8):
        (tmp_path / "dark" / f"bad_{i}.avi").write_text("no video")
    for policy in ("check", "stop"):
        with pytest.raises(ValueError, match=r"of \d+ videos cannot be read:\n.*bad_.*is not a"):
            _folder(tmp_path, "train", on_bad_video=policy)
    left = [_folder(tmp_path, subset, on_bad_video="skip") for subset in ("train", "test")]
    assert sum(len(videos.left_out) for videos in left) == 8
    assert sum(len(videos) for videos in left) == 10
    assert all("not a video" in reason for videos in left for _, reason in videos.left_out)


def test_motion_renders_to_train_and_reads_to_test():
    config = TrainConfig(dataset="motion")
    train, test = load_dataset(config, "train"), load_dataset(config, "test")
    assert train.classes == test.classes == motion.CLASSES
    assert not train.mirror_safe and not test.mirror_safe
    assert len(train) == motion.CLIPS_PER_EPOCH and np.ptp(np.bincount(train.labels)) == 0
    assert test.labels == tuple(np.arange(8).repeat(20))
    names = [pathlib.Path(path).parent.name for path in test.paths]
    assert names == [motion.CLASSES[label] for label in test.labels]
    assert len(load_dataset(TrainConfig(clips_per_epoch=24), "train")) == 24
    with pytest.raises(ValueError, match="rendered anew"):
        train.test_clips_at(0, 1, SPEC)


@pytest.mark.parametrize("name", ["motion", "folder"])
def test_training_clips(tiny_videos, name):
    config = TrainConfig(dataset=name, videos=str(tiny_videos))
    videos = load_dataset(config, "train")
    clip = videos.clip_at(3, np.random.default_rng(0), SPEC)
    assert clip.shape == (4, 16, 16, 3) and clip.dtype == np.uint8
    np.testing.assert_array_equal(clip, videos.clip_at(3, np.random.default_rng(0), SPEC))
    assert not np.array_equal(clip, videos.clip_at(3, np.random.default_rng(1), SPEC))


def test_test_clips_are_centre_crops(tiny_videos):
    videos = _folder(tiny_videos, "test")
    clips = videos.test_clips_at(0, 3, SPEC)
    assert clips.shape == (3, 4, 16, 16, 3) and clips.dtype == np.uint8
    np.testing.assert_array_equal(clips, read_test_clips(videos.paths[0], 3, SPEC))
    np.testing.assert_array_equal(clips[1:2], read_test_clips(videos.paths[0], 1, SPEC))


def test_names_that_are_unknown():
    with pytest.raises(ValueError, match="subset='dev': expected one of train, test"):
        load_dataset(TrainConfig(), "dev")
    with pytest.raises(ValueError, match="dataset='hmdb': expected one of motion, ucf101"):
        load_dataset(TrainConfig(dataset="hmdb"), "train")
