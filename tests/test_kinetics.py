"""Kinetics by lists of the official form, on trees of real clips under official names."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r21d_keras.training.cli import main
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.kinetics import key, list_kinetics
from r21d_keras.training.data.listings import Places, present
from r21d_keras.zoo.labels import load_labels
from tests.trees import link, real_clips, write_lists

# Lines of the form of CVDF's 400/annotations/train.csv, of real videos of Kinetics.
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"
TRAIN = HEADER + (
    '"flipping pancake",WUzgd7C1pWA,36,46,train,0\n'
    "abseiling,R6llTwEh07w,417,427,train,0\n"
    "abseiling,-3B32lodo2M,59,69,train,1\n"
)
VAL = HEADER + ("abseiling,0wR5jVB-WPk,417,427,val,0\nflipping pancake,_dbcJuKJQNs,40,50,val,0\n")
STEMS = {
    "flipping pancake": ("WUzgd7C1pWA_000036_000046", "_dbcJuKJQNs_000040_000050"),
    "abseiling": (
        "R6llTwEh07w_000417_000427",
        "-3B32lodo2M_000059_000069",
        "0wR5jVB-WPk_000417_000427",
    ),
}
VALIDATION = ("_dbcJuKJQNs_000040_000050", "0wR5jVB-WPk_000417_000427")
LAYOUTS = {
    "classes": "{label}/{stem}.mp4",
    "underscores": "{under}/{stem}.mp4",
    "subsets and classes": "{subset}/{label}/{stem}.mp4",
    "subsets": "{subset}/{stem}.mkv",
    "flat": "{stem}.webm",
    "deep": "compressed/{subset}_256/{under}/{stem}.avi",
}


def _names(layout):
    for label, stems in STEMS.items():
        for stem in stems:
            subset = "val" if stem in VALIDATION else "train"
            under = label.replace(" ", "_")
            yield LAYOUTS[layout].format(label=label, under=under, subset=subset, stem=stem)


@pytest.fixture
def tree(test_data, tmp_path):
    """A function that makes a tree of real clips in one of LAYOUTS, with lists beside it."""

    def make(layout="subsets and classes", train=TRAIN, val=VAL, end="\n"):
        root = link(tmp_path / "videos", _names(layout), real_clips(test_data))
        write_lists(tmp_path / "annotations", {"train.csv": train, "val.csv": val}, end)
        return root

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(tree, layout):
    root = tree(layout, end="\r\n")
    config = TrainConfig(dataset="kinetics400", videos=str(root))
    train, test = (load_dataset(config, subset) for subset in ("train", "test"))
    assert train.classes == test.classes == ("abseiling", "flipping pancake")
    assert train.names == (
        "flipping pancake/WUzgd7C1pWA_000036_000046",
        "abseiling/R6llTwEh07w_000417_000427",
        "abseiling/-3B32lodo2M_000059_000069",
    )
    assert train.labels == (1, 0, 0) and test.labels == (0, 1)
    assert not train.missing and not train.label_sets
    for video_set in (train, test):
        for name, path in zip(video_set.names, video_set.paths, strict=True):
            assert name.split("/")[1] in path and path.startswith(f"{root}/")


def test_videos_that_have_vanished_are_counted(tree, log):
    root = tree()
    (root / "train/abseiling/-3B32lodo2M_000059_000069.mp4").unlink()
    videos = load_dataset(TrainConfig(dataset="kinetics400", videos=str(root)), "train")
    assert videos.missing == ("abseiling/-3B32lodo2M_000059_000069",) and len(videos) == 2
    assert "train.csv: 1 of 3 listed videos is not there: abseiling/-3B32lodo2M" in log.text
    assert "kinetics400: its lists have 2 of 400 classes" in log.text
    every = listed("kinetics400", Places(str(root)))
    assert every.missing == videos.missing and len(every.names) == 4
    assert [m[1] for m in every.membership] == ["train", "train", "test", "test"]
    for path in root.rglob("*.mp4"):
        if "abseiling" in str(path):
            path.unlink()
    with pytest.raises(ValueError, match="1 class has no video that is there .*: abseiling"):
        load_dataset(TrainConfig(dataset="kinetics400", videos=str(root)), "train")
    for path in root.rglob("*.mp4"):
        path.unlink()
    with pytest.raises(ValueError, match="names 3 videos, of which 3 are not there"):
        load_dataset(TrainConfig(dataset="kinetics400", videos=str(root)), "train")


def test_of_several_files_that_of_the_class_and_subset(tree, tiny_videos):
    root = tree()
    clips = [tiny_videos / "dark" / "dark_0.mp4"]
    name = "R6llTwEh07w_000417_000427.mp4"
    link(root, [f"a/{name}", f"test/abseiling/{name}", f"train/abseiling/._{name}"], clips)
    found = present(list_kinetics("kinetics400", Places(str(root)), 1, "train"))
    assert found.paths[1] == f"{root}/train/abseiling/{name}"


def test_folders_that_link_to_a_folder_above_have_an_end(tree):
    root = tree()
    (root / "train" / "all").symlink_to(root)
    (root / "val" / "abseiling" / "again").symlink_to(root / "val")
    found = present(list_kinetics("kinetics400", Places(str(root)), 1, "train"))
    assert found.paths[1] == f"{root}/train/abseiling/R6llTwEh07w_000417_000427.mp4"


@pytest.mark.parametrize("name", ["kinetics400", "kinetics600", "kinetics700"])
def test_all_classes_and_all_spellings(name, test_data, tmp_path):
    labels = load_labels(name)
    assert len({key(label) for label in labels}) == len(labels)
    stems = [f"{place:011d}_{place:06d}_{place + 10:06d}" for place in range(len(labels))]
    spelt = [label.replace(" ", "_").replace("'", "").replace("(", "") for label in labels]
    names = [f"{label}/{stem}.mp4" for label, stem in zip(spelt, stems, strict=True)]
    root = link(tmp_path / name, names, real_clips(test_data))
    rows = [f'"{label}",{place:011d},{place},{place + 10}' for place, label in enumerate(labels)]
    ending = ".txt" if name == "kinetics600" else ".csv"  # where CVDF's whole lists are .txt
    for stem, split in (("train", "train"), ("val", "val")):
        text = HEADER.replace(",is_cc", "") + "".join(f"{row},{split}\n" for row in reversed(rows))
        write_lists(tmp_path / "annotations", {stem + ending: text})
    found = present(list_kinetics(name, Places(str(root)), 1, "train"))
    assert found.classes == labels and found.labels == tuple(reversed(range(len(labels))))
    assert not found.missing


def test_names_of_lists(tree, tmp_path):
    root = tree()
    for train, val in (
        ("train.csv", "validate.csv"),  # DeepMind's archive
        ("kinetics_train.csv", "kinetics_val.csv"),  # MMAction2
        ("kinetics400_train.csv", "kinetics400_val.csv"),
    ):
        lists = write_lists(tmp_path / train / "lists", {train: TRAIN, val: VAL})
        places = Places(str(root), str(lists))
        assert len(list_kinetics("kinetics400", places, 1, "train").names) == 3
        assert len(list_kinetics("kinetics400", places, 1, "test").names) == 2
    (lists / val).unlink()
    with pytest.raises(ValueError, match="kinetics400 for test; expected one of val.csv"):
        list_kinetics("kinetics400", places, 1, "test")
    with pytest.raises(ValueError, match="--splits='nowhere': no such folder; expected kinetics4"):
        list_kinetics("kinetics400", Places(str(root), "nowhere"), 1, "train")


def test_lists_that_are_wrong(tree):
    row = "abseiling,R6llTwEh07w,417,427,train,0\n"
    root = tree()
    for text, reason in (
        ("youtube_id,time_start\n", "its header has youtube_id, time_start; expected the columns"),
        ("", "its header has nothing"),
        (HEADER + row + row.replace("abseiling", "snoring"), "line 3: label 'snoring' is none of"),
        (HEADER + row.replace("R6llTwEh07w", "R6ll"), "line 2: youtube_id 'R6ll' has not 11"),
        (HEADER + row.replace("417", "4.5"), "line 2: time_start '4.5' and time_end '427' are not"),
        (HEADER + row.replace("train", "val"), "line 2: split is 'val' in the list for train"),
        (HEADER + row[:20], "line 2: youtube_id"),
        (HEADER + row.replace("R6ll", "?") * 9, "9 wrong lines: .*; and 4 more"),
    ):
        (root.parent / "annotations" / "train.csv").write_text(text)
        with pytest.raises(ValueError, match=reason):
            list_kinetics("kinetics400", Places(str(root)), 1, "train")
    (root.parent / "annotations" / "train.csv").write_bytes(b"label\xff\n")
    with pytest.raises(ValueError, match="train.csv: expected a CSV file in UTF-8"):
        list_kinetics("kinetics400", Places(str(root)), 1, "train")
    (root.parent / "annotations" / "train.csv").write_text(HEADER + row)
    with pytest.raises(ValueError, match="val.csv: 1 label that the training list .*: flipping"):
        list_kinetics("kinetics400", Places(str(root)), 1, "test")


def test_a_clip_on_two_lines_counts_once(tree, log):
    root = tree(train=TRAIN + "abseiling,R6llTwEh07w,417,427,train,0\n")
    videos = load_dataset(TrainConfig(dataset="kinetics400", videos=str(root)), "train")
    assert len(videos) == 3
    assert "1 video is listed more than once, and taken once: abseiling/R6llTwEh07w" in log.text


def test_a_clip_for_training_and_testing_is_not_prepared(tree):
    root = tree(val=VAL + "abseiling,R6llTwEh07w,417,427,val,0\n")
    with pytest.raises(ValueError, match="1 video is for train and for test.*: abseiling/R6ll"):
        listed("kinetics400", Places(str(root)))


def test_what_cannot_be_trained_on_is_not_prepared(tree, tmp_path, capsys):
    root = tree()
    for path in (root / "train" / "flipping pancake").iterdir():
        path.unlink()
    out = f"--out={tmp_path / 'records'}"
    prepare = ["prepare", "--dataset=kinetics400", f"--videos={root}", out, "--processes=1"]
    assert main(prepare) == 1
    said = "1 class has no video to train on in split 1: flipping pancake."
    assert said in capsys.readouterr().err and not (tmp_path / "records").exists()


def test_a_subset_is_prepared_without_the_other(tree, tmp_path, capsys):
    root = tree()
    (tmp_path / "annotations" / "val.csv").unlink()
    out = f"--out={tmp_path / 'records'}"
    prepare = ["prepare", "--dataset=kinetics400", f"--videos={root}", out, "--processes=1"]
    assert main(prepare) == 1 and "no list of kinetics400 for test" in capsys.readouterr().err
    assert main([*prepare, "--split=1", "--subset=train"]) == 0
    assert "records: 3 videos" in capsys.readouterr().out


@pytest.mark.parametrize("column", ["label", "split"])
def test_a_column_twice_is_refused(tree, column):
    root = tree(train=TRAIN.replace("is_cc", column, 1))
    with pytest.raises(ValueError, match=f"its header has '{column}' 2 times; expected it once"):
        list_kinetics("kinetics400", Places(str(root)), 1, "train")


ids = st.text("abcXYZ019_-", min_size=11, max_size=11)
rows = st.tuples(
    st.sampled_from(load_labels("kinetics700")), ids, st.integers(0, 99_999), st.integers(1, 10)
)


@given(st.lists(rows, min_size=1, max_size=20), st.booleans(), st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_written_is_read(tmp_path_factory, rows, under, end):
    folder = tmp_path_factory.mktemp("lists")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator=end)
    writer.writerow(HEADER.strip().split(","))
    for label, video, start, length in rows:
        label = label.replace(" ", "_") if under else label
        writer.writerow((label, video, start, start + length, "train", 1))
    (folder / "train.csv").write_bytes(file.getvalue().encode())
    found = list_kinetics("kinetics700", Places(str(folder), str(folder)), 1, "train")
    names = [f"{label}/{video}_{s:06d}_{s + n:06d}" for label, video, s, n in rows]
    assert found.names == tuple(dict.fromkeys(names)) and not any(found.paths)
    assert all(
        name.startswith(f"{found.classes[labels[0]]}/")
        for name, labels in zip(found.names, found.label_sets, strict=True)
    )
