"""`check` on data sets that are right, and on one with everything wrong that can be."""

import json
import pathlib
import shutil

import pytest

from r21d_keras.training.data.check import check, run_check
from r21d_keras.training.data.findings import KINDS
from r21d_keras.training.data.listings import Places
from tests.trees import link, real_clips, write_lists

CLASSES = ("Bright", "Dark")


def _wrong(findings):
    return {kind: items for kind, items in findings.found.items() if items}


def test_the_real_subset_of_ucf101_is_right(test_data, tmp_path, capsys):
    report = tmp_path / "report.json"
    places = Places(str(test_data / "ucf101" / "videos"))
    assert run_check("ucf101", places, str(report))
    out = capsys.readouterr().out
    assert "UCF101: 375 of 375 listed videos are there; 5 classes (official: 101)" in out
    assert "split 3: 270 train (official: 9,624), 105 test (official: 3,696)" in out
    assert "Nothing is wrong." in out and f"report: {report}" in out
    found = json.loads(report.read_text())
    assert found["right"] and found["splits"]["2"] == {"train": 270, "test": 105}
    assert set(found["wrong"]) | set(found["notes"]) == set(KINDS)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


@pytest.fixture
def ucf101(tiny_videos, tmp_path):
    """The small videos as UCF101 with three groups of lists: (root, lists)."""
    names = [f"{c}/v_{c}_g{i:02d}_c01.mp4" for c in CLASSES for i in range(5)]
    root = tmp_path / "UCF-101"
    for name, clip in zip(names, sorted(tiny_videos.rglob("*.mp4")), strict=True):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(clip, root / name)
    lists = {"classInd.txt": "1 Bright\n2 Dark\n"}
    for split in (1, 2, 3):
        test = {f"g{split:02d}", "g04"}
        train = [n for n in names if not any(group in n for group in test)]
        numbered = (f"{name} {1 + CLASSES.index(name.split('/')[0])}\n" for name in train)
        lists[f"trainlist{split:02d}.txt"] = "".join(numbered)
        lists[f"testlist{split:02d}.txt"] = "".join(f"{n}\n" for n in names if n not in train)
    return root, write_lists(tmp_path / "ucfTrainTestlist", lists, "\r\n")


def _append(path, text):
    path.write_bytes(path.read_bytes() + text.encode())


def test_all_that_can_be_wrong(ucf101, test_data, tmp_path, capsys):
    root, lists = ucf101
    assert _wrong(check("ucf101", Places(str(root)))) == {}
    real = (test_data / "clips" / "v_SoccerJuggling_g23_c01.avi").read_bytes()
    (root / "Dark/v_Dark_g00_c01.mp4").unlink()
    (root / "Dark/v_Dark_g02_c01.mp4").rename(root / "Bright/v_Dark_g02_c01.mp4")
    (root / "Dark/v_Dark_g03_c01.mp4").write_text("no video")
    (root / "Bright/v_Bright_g00_c01.mp4").write_bytes(real[: len(real) // 2])
    shutil.copy(root / "Bright/v_Bright_g03_c01.mp4", root / "Bright/v_Bright_g04_c01.mp4")
    shutil.copy(root / "Bright/v_Bright_g03_c01.mp4", root / "Bright/v_Bright_g09_c01.mp4")
    _append(lists / "trainlist02.txt", "Bright/v_Bright_g02_c01.mp4 1\r\n")
    _append(lists / "testlist03.txt", "Dark/v_Dark_g03_c01.mp4\r\n")
    report = tmp_path / "report.json"
    assert not run_check("ucf101", Places(str(root)), str(report), num_readers=2)
    found = json.loads(report.read_text())
    wrong = {k: [tuple(i.values()) for i in v] for k, v in found["wrong"].items() if v}
    assert wrong.pop("unreadable")[0][0] == "Dark/v_Dark_g03_c01.mp4"
    ((name, what),) = wrong.pop("truncated")
    assert name == "Bright/v_Bright_g00_c01.mp4" and what.startswith("is truncated")
    assert wrong == {
        "missing": [("Dark/v_Dark_g00_c01.mp4", "")],
        "empty": [("Dark", "split 1")],
        "mislabelled": [
            ("Dark/v_Dark_g02_c01.mp4", "lies in a folder of Bright; the lists say Dark")
        ],
        "repeated": [("Dark/v_Dark_g03_c01.mp4", "ucfTrainTestlist/testlist03.txt")],
        "leaked": [
            ("Bright/v_Bright_g02_c01.mp4", "in both lists of split 2"),
            (
                "Bright/v_Bright_g04_c01.mp4",
                "the bytes of Bright/v_Bright_g03_c01.mp4; split 1, 2",
            ),
        ],
    }
    assert [i["video"] for i in found["notes"]["extra"]] == ["Bright/v_Bright_g09_c01.mp4"]
    assert not found["right"]
    out = capsys.readouterr().out
    assert "UCF101: 8 of 10 listed videos are there" in out
    assert "WRONG: 1 listed video that is not there\n    Dark/v_Dark_g00_c01.mp4\n" in out
    assert "note: 1 video file that no list names" in out and "Something is wrong" in out


def test_names_that_tell_another_class(ucf101):
    root, lists = ucf101
    (root / "Dark/v_Dark_g00_c01.mp4").rename(root / "Dark/v_BRIGHT_g00_c01.mp4")
    for path in lists.glob("t*list*.txt"):
        path.write_text(path.read_text().replace("v_Dark_g00", "v_BRIGHT_g00"))
    assert _wrong(check("ucf101", Places(str(root)))) == {
        "mislabelled": [("Dark/v_BRIGHT_g00_c01.mp4", "its name says Bright")]
    }


def test_a_class_without_a_video_to_train_on(ucf101):
    root, _ = ucf101
    for name in ("g00", "g02", "g03"):
        (root / f"Dark/v_Dark_{name}_c01.mp4").write_text(f"no video {name}")
    found = _wrong(check("ucf101", Places(str(root))))
    assert found["empty"] == [("Dark", "split 1")] and len(found["unreadable"]) == 3


def test_a_split_without_a_video_to_test_on(ucf101):
    root, lists = ucf101
    for name in ("g01", "g04"):
        for label in CLASSES:
            (root / f"{label}/v_{label}_{name}_c01.mp4").write_text(f"no video {label} {name}")
    found = _wrong(check("ucf101", Places(str(root))))
    assert found["bare"] == [("split 1", "none for test")] and len(found["unreadable"]) == 4
    (lists / "trainlist02.txt").write_text("")
    findings = check("ucf101", Places(str(root)))
    assert _wrong(findings)["bare"] == [("split 1", "none for test"), ("split 2", "none for train")]
    assert "WRONG: 2 subsets of a split without a video\n    split 1: none" in findings.text()


@pytest.mark.parametrize("subset", ["train", "test"])
def test_a_manifest_of_one_subset_alone(tiny_videos, tmp_path, subset):
    videos = sorted(tiny_videos.rglob("*.mp4"))
    rows = "".join(f"{video},{video.parent.name},{subset}\n" for video in videos)
    (tmp_path / "all.csv").write_text(f"path,label,subset\n{rows}")
    findings = check("csv", Places(manifest=str(tmp_path / "all.csv")))
    other = {"train": "test", "test": "train"}[subset]
    assert _wrong(findings) == {"bare": [("split 1", f"none for {other}")]} and not findings.right


def test_lists_that_are_wrong_or_absent(ucf101):
    root, lists = ucf101
    (lists / "trainlist01.txt").unlink()
    (lists / "trainlist02.txt").unlink()
    (lists / "testlist02.txt").unlink()
    (lists / "testlist03.txt").write_text("nothing of the kind\n")
    findings = check("ucf101", Places(str(root)))
    (line, half) = sorted(what for what, _ in findings.found["lists"])
    assert "testlist03.txt, line 1: 'nothing of the kind' is not" in line
    assert "trainlist01.txt: no such file" in half
    assert set(findings.counts) == {(1, "test"), (3, "train")} and not findings.right
    assert "split 1: no list for train, 4 test" in findings.text()
    findings = check("ucf101", Places(str(root), "nowhere"))
    assert [what for what, _ in findings.found["lists"]] == [
        "--splits='nowhere': no such folder; expected UCF101's official lists (ucfTrainTestlist)."
    ]


def test_kinetics_may_miss_videos(test_data, tmp_path):
    clips = real_clips(test_data)
    head = "label,youtube_id,time_start,time_end,split\n"
    train = "".join(f"abseiling,{i:011d},0,10,train\n" for i in range(4))
    lists = {"train.csv": head + train, "val.csv": f"{head}abseiling,{9:011d},0,10,val\n"}
    write_lists(tmp_path / "annotations", lists)
    names = [f"{i:011d}_000000_000010.mp4" for i in (0, 1, 9)]
    folders = ("train/abseiling", "train/air_drumming", "val/abseiling")
    root = link(
        tmp_path / "videos", [f"{f}/{n}" for f, n in zip(folders, names, strict=True)], clips
    )
    findings = check("kinetics400", Places(str(root)))
    assert findings.right and findings.is_note("missing")  # 1 lies in a folder of no listed class
    assert [name for name, _ in findings.found["missing"]] == [
        f"abseiling/{i:011d}_000000_000010" for i in (2, 3)
    ]
    text = lists["train.csv"] + f"air drumming,{5:011d},0,10,train\n"
    write_lists(tmp_path / "annotations", {"train.csv": text})
    found = _wrong(check("kinetics400", Places(str(root))))
    assert found["mislabelled"] == [
        (
            f"abseiling/{1:011d}_000000_000010",
            "lies in a folder of air drumming; the lists say abseiling",
        )
    ]
    assert found["empty"] == [("air drumming", "split 1")]


def test_clips_that_hmdb51_does_not_use_are_no_extra_ones(test_data, tmp_path):
    clips = sorted((test_data / "clips").glob("*_wave_*.avi"))
    root = link(tmp_path / "hmdb51", [], clips)
    for clip in clips:
        link(root, [f"wave/{clip.name}"], [clip])
    for split in (1, 2):
        text = "".join(f"{clip.name} {code}\n" for code, clip in enumerate(clips))
        write_lists(tmp_path / "splits", {f"wave_test_split{split}.txt": text})
    assert _wrong(check("hmdb51", Places(str(root)))) == {}
    write_lists(tmp_path / "splits", {"wave_test_split1.txt": f"{clips[0].name} 7\n"})
    found = _wrong(check("hmdb51", Places(str(root))))
    assert list(found) == ["lists"] and "wave_test_split1.txt, line 1" in found["lists"][0][0]


@pytest.mark.parametrize("name", ["folder", "csv"])
def test_folders_and_manifests(tiny_videos, tmp_path, name):
    root = pathlib.Path(shutil.copytree(tiny_videos, tmp_path / "videos"))
    shutil.copy(root / "dark/dark_0.mp4", root / "bright/bright_9.mp4")
    (root / "dark/bad.avi").write_text("no video")
    files = sorted(p for p in root.rglob("*") if p.is_file())
    (tmp_path / "all.csv").write_text(
        "path,label\n" + "".join(f"{p.relative_to(tmp_path)},{p.parent.name}\n" for p in files)
    )
    found = _wrong(check(name, Places(str(root), "", str(tmp_path / "all.csv"))))
    prefix = "" if name == "folder" else "videos/"
    assert [video for video, _ in found.pop("unreadable")] == [f"{prefix}dark/bad.avi"]
    (pair,) = found.pop("doubled", None) or found.pop("leaked")
    assert {pair[0], pair[1].split(";")[0].removeprefix("the bytes of ")} == {
        f"{prefix}dark/dark_0.mp4",
        f"{prefix}bright/bright_9.mp4",
    }
    assert not found


def test_what_cannot_be_checked(tiny_videos, tmp_path):
    with pytest.raises(ValueError, match="motion: its videos are rendered; there are no files"):
        check("motion", Places())
    with pytest.raises(ValueError, match="dataset='hmdb': expected one of"):
        check("hmdb", Places())
    for report in (tmp_path, tmp_path / "absent" / "report.json"):
        with pytest.raises(ValueError, match="expected a file to write, in a folder that exists"):
            run_check("folder", Places(str(tiny_videos)), str(report))
    assert not check("folder", Places("gone")).right
