"""HMDB51 by its real lists, on trees of real clips under official names."""

import collections
import re

import pytest

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.hmdb51 import class_in_name, list_hmdb51, unused
from r21d_keras.training.data.listings import Places, present
from r21d_keras.zoo.labels import load_labels
from tests.trees import link, real_clips, write_lists

FOLDER = "hmdb51_testTrainMulti_7030_splits"
WAVE = ("RATRACE_wave_f_nm_np1_fr_goo_37.avi", "TrumanShow_wave_f_nm_np1_fr_med_26.avi")


@pytest.fixture(scope="module")
def codes(test_data):
    """{(class, file): code of each split} of the real lists, read in the simplest way."""
    found = collections.defaultdict(dict)
    for path in (test_data / "lists" / FOLDER).glob("*_test_split?.txt"):
        name, split = re.fullmatch(r"(.+)_test_split(.)", path.stem).groups()
        for line in path.read_text().splitlines():
            file, code = line.split()
            found[name, file][int(split)] = int(code)
    return found


@pytest.fixture(scope="module")
def tree(test_data, codes, tmp_path_factory):
    """All 6,766 official names, links to real clips."""
    root = tmp_path_factory.mktemp("hmdb51")
    avi = [clip for clip in real_clips(test_data) if clip.suffix == ".avi"]
    return link(root, [f"{name}/{file}" for name, file in codes], avi)


def test_all_official_lists(tree, codes, test_data):
    places = Places(str(tree), str(test_data / "lists" / FOLDER))
    for split in (1, 2, 3):
        for subset, code, each in (("train", 1, 70), ("test", 2, 30)):
            entries = list_hmdb51(places, split, subset)
            assert entries.classes == load_labels("hmdb51") and not entries.repeated
            found = present(entries)
            assert collections.Counter(found.labels) == dict.fromkeys(range(51), each)
            said = {f"{c}/{f}" for (c, f), by_split in codes.items() if by_split[split] == code}
            assert set(found.names) == said and len(said) == 51 * each
            assert found.paths == tuple(f"{tree}/{name}" for name in found.names)
    assert len(codes) == 6766 and len(unused(places)) == 395


def test_every_video_once_with_its_splits(tree, codes, test_data):
    every = listed("hmdb51", Places(str(tree), str(test_data / "lists" / FOLDER)))
    assert len(set(every.names)) == len(every.names) == 6766 - 395
    subset = {1: "train", 2: "test"}
    for name, labels, member in zip(every.names, every.label_sets, every.membership, strict=True):
        class_name, file = name.split("/")
        assert every.classes[labels[0]] == class_name and len(labels) == 1
        by_split = codes[class_name, file]
        assert member == {split: subset[code] for split, code in by_split.items() if code}
    assert not every.missing


def test_every_name_tells_its_class(codes):
    classes = load_labels("hmdb51")
    assert all(class_in_name(file, classes) == name for name, file in codes)
    assert class_in_name("v_Archery_g01_c01.avi", classes) is None


def test_real_clips_lie_in_class_folders_or_together(test_data, tmp_path):
    lists = {
        "wave_test_split2.txt": f"{WAVE[0]} 1 \n{WAVE[1]} 2 \n",
        "climb_test_split2.txt": "".join(
            f"{clip.name} 1 \n" for clip in real_clips(test_data) if "_climb_" in clip.name
        ),
    }
    nested = [f"{n[: n.index('_test_')]}/{line[:-3]}" for n in lists for line in _lines(lists[n])]
    clips = [test_data / "clips" / name.split("/")[1] for name in nested]
    for end, names in (("\n", nested), ("\r\n", [name.split("/")[1] for name in nested])):
        root = tmp_path / f"{len(end)}"
        for name, clip in zip(names, clips, strict=True):
            link(root / "videos", [name], [clip])
        write_lists(root / "testTrainMulti_7030_splits", lists, end)
        config = TrainConfig(dataset="hmdb51", videos=str(root / "videos"), split=2)
        train, test = (load_dataset(config, subset) for subset in ("train", "test"))
        assert train.classes == ("climb", "wave") and train.labels == (0, 1)
        assert test.names == (f"wave/{WAVE[1]}",) and test.labels == (1,)
        assert test.paths == (str(root / "videos" / names[nested.index(test.names[0])]),)


def _lines(text):
    return [line for line in text.splitlines() if line]


@pytest.fixture
def small(tiny_videos, tmp_path):
    """A function that lists the tiny videos by lists given as {name: text}."""

    def read(lists, subset="train", split=1):
        (tmp_path / "videos").exists() or (tmp_path / "videos").symlink_to(tiny_videos)
        write_lists(tmp_path / "splits", lists)
        places = Places(str(tmp_path / "videos"))
        return present(list_hmdb51(places, split, subset))

    return read


def test_lists_that_are_wrong(small):
    good = "dark_0.mp4 1 \ndark_1.mp4 2 \ndark_2.mp4 0 \n"
    assert small({"dark_test_split1.txt": good}).names == ("dark/dark_0.mp4",)
    for text, reason in (
        ("dark_0.mp4 3\n", "line 1: 'dark_0.mp4 3' is not 'video.avi code' with code 0, 1 or 2"),
        ("\ndark_0.mp4\n", "line 2: 'dark_0.mp4' is not"),
        ("dark/dark_0.mp4 1\n", "is not 'video.avi code'"),
        (good + "dark_0.mp4 2\n", "line 4: dark_0.mp4 has code 2, and 1 too"),
    ):
        with pytest.raises(ValueError, match=reason):
            small({"dark_test_split1.txt": text})
    with pytest.raises(ValueError, match="splits: no list of split 3; expected HMDB51's official"):
        small({"dark_test_split1.txt": good}, split=3)
    with pytest.raises(ValueError, match="1 list is not there: bright_test_split1.txt. Other"):
        small({"dark_test_split1.txt": good, "bright_test_split2.txt": "bright_0.mp4 1\n"})


def test_absent_videos_are_counted(small):
    text = "dark_0.mp4 1\n" + "".join(f"gone_{i}.avi 1\n" for i in range(7))
    with pytest.raises(ValueError, match="names 8 videos, of which 7 are not there: dark/gone_0"):
        small({"dark_test_split1.txt": text})


def test_no_folder_of_lists(tiny_videos):
    with pytest.raises(ValueError, match="--splits='': no such folder; expected HMDB51's official"):
        list_hmdb51(Places(str(tiny_videos)), 1, "train")
    with pytest.raises(ValueError, match="--videos='gone': no such folder"):
        list_hmdb51(Places("gone"), 1, "train")
