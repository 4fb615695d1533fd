"""The rows of the data sets, `r21d datasets`, and a short run on each official layout."""

import json

import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import FIELDS
from r21d_keras.training.data.catalog import DATASETS, get_dataset
from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.listings import Places
from r21d_keras.training.model_dir import ModelDir
from r21d_keras.training.train import train
from r21d_keras.zoo.labels import LABEL_MAPS, load_labels
from tests.trees import link, real_clips, write_lists


@pytest.mark.parametrize("name", DATASETS)
def test_rows(name, capsys):
    row = get_dataset(name)
    assert name == row.name and set(row.places) <= {"videos", "splits", "manifest"}
    assert all(len(counts) == len(row.splits) for counts in row.counts.values())
    if name in LABEL_MAPS:
        assert row.num_classes == len(load_labels(name))
    if row.num_classes and row.lister:
        assert row.licence and row.url.startswith("https://") and row.cite
    assert main(["datasets", name]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{name}: {row.title}\n") and row.url in out
    assert f"r21d train --dataset={name}" in out and max(map(len, out.splitlines())) <= 100
    assert main(["datasets", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["layout"] == row.layout


def test_the_command_lists_all(capsys):
    assert main(["datasets"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[1:10]] == list(DATASETS)
    assert main(["datasets", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == list(DATASETS)
    assert main(["datasets", "hmdb"]) == 2
    assert "expected one of motion, ucf101, hmdb51" in capsys.readouterr().err
    assert main(["datasets", "a", "b"]) == 2


def test_choices_are_the_rows():
    assert FIELDS["dataset"].metadata["choices"] == tuple(DATASETS)
    with pytest.raises(ValueError, match="motion: its videos are rendered"):
        listed("motion", Places())


def test_official_counts(test_data):
    lists = test_data / "lists" / "ucfTrainTestlist"
    for subset, counts in DATASETS["ucf101"].counts.items():
        for split, count in zip((1, 2, 3), counts, strict=True):
            text = (lists / f"{subset}list{split:02d}.txt").read_text()
            assert len(text.split("\n")) - 1 == count


def test_every_video_of_the_real_subset_once(test_data):
    root = test_data / "ucf101"
    every = listed("ucf101", Places(str(root / "videos")))
    assert len(every.names) == len(set(every.names)) == 375
    assert every.classes[every.label_sets[0][0]] == every.names[0].split("/")[0]
    for split in (1, 2, 3):
        for subset in ("train", "test"):
            file = root / "ucfTrainTestlist" / f"{subset}list{split:02d}.txt"
            said = {line.split()[0] for line in file.read_text().splitlines()}
            pairs = zip(every.names, every.membership, strict=True)
            assert {name for name, member in pairs if member[split] == subset} == said


def test_splits_without_lists_are_left_out(tiny_videos, tmp_path):
    lists = {"classInd.txt": "1 dark\n2 bright\n"}
    lists["trainlist02.txt"] = "dark/dark_0.mp4 1\nbright/bright_0.mp4 2\n"
    lists["testlist02.txt"] = "dark/dark_1.mp4\n"
    write_lists(tmp_path, lists)
    every = listed("ucf101", Places(str(tiny_videos), str(tmp_path)))
    assert every.membership == ({2: "train"}, {2: "train"}, {2: "test"})
    write_lists(tmp_path, {"trainlist03.txt": lists["trainlist02.txt"]})
    with pytest.raises(ValueError, match="testlist03.txt: no such file"):
        listed("ucf101", Places(str(tiny_videos), str(tmp_path)))
    for path in tmp_path.glob("t*"):
        path.unlink()
    with pytest.raises(ValueError, match="trainlist01.txt: no such file"):
        listed("ucf101", Places(str(tiny_videos), str(tmp_path)))


def _hmdb51(folder, clips):
    files = [f"a_{c}_f_cm_np1_fr_goo_{i}.avi" for c in ("climb", "wave") for i in range(3)]
    names = [f"{file.split('_')[1]}/{file}" for file in files]
    for split in (1, 2, 3):
        lists = {
            f"{c}_test_split{split}.txt": "".join(
                f"{file} {2 if place % 3 == split - 1 else 1} \n"
                for place, file in enumerate(files)
                if f"_{c}_" in file
            )
            for c in ("climb", "wave")
        }
        write_lists(folder / "splits", lists)
    return link(folder / "videos", names, clips)


def _kinetics400(folder, clips):
    head = "label,youtube_id,time_start,time_end,split\n"
    rows = {"train": "", "val": ""}
    names = []
    for place, label in enumerate(["abseiling", "playing harmonica"] * 3):
        subset = "val" if place > 3 else "train"
        rows[subset] += f"{label},{place:011d},0,10,{subset}\n"
        names.append(f"{subset}/{label.replace(' ', '_')}/{place:011d}_000000_000010.mp4")
    rows["train"] += "abseiling,vanished_00,0,10,train\n"
    write_lists(folder / "annotations", {f"{s}.csv": head + text for s, text in rows.items()})
    return link(folder / "videos", names, clips)


def _sports1m(folder, clips):
    lines = [f"https://www.youtube.com/watch?v={place:011d} {place % 2},3" for place in range(6)]
    lists = {"train_partition.txt": lines[:4], "test_partition.txt": lines[4:]}
    texts = {name: "\n".join(part) + "\n" for name, part in lists.items()}
    write_lists(folder / "videos" / "original", texts)
    return link(folder / "videos", [f"{place:011d}.mp4" for place in range(6)], clips)


@pytest.mark.parametrize(
    ("make", "options"), [(_hmdb51, {"split": 2}), (_kinetics400, {}), (_sports1m, {})]
)
def test_a_short_run(make, options, make_config, test_data, tmp_path, log):
    small = [clip for clip in real_clips(test_data) if clip.suffix == ".avi"]
    root = make(tmp_path, small[:6])
    options |= {"dataset": make.__name__[1:], "videos": str(root)}
    config = make_config(**options, variant="r3d_10", clip_frames=4, epochs=1, eval_clips=1)
    train(config)
    run = ModelDir(tmp_path / "run")
    assert run.weights("final").is_file()
    classes = {"hmdb51": 2, "kinetics400": 2, "sports1m": 3}[config.dataset]
    assert len((run.root / "classes.txt").read_text().splitlines()) == classes
    assert ("1 of 5 listed videos is not there" in log.text) == (config.dataset == "kinetics400")
