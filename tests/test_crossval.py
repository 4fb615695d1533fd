"""r21d crossval: every official split, its mean, and going on after being killed."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.crossval import crossval, split_configs, summary
from r21d_keras.training.model_dir import ModelDir
from tests.conftest import SMALL_RUN

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLASSES = ("Bright", "Dark")

# Runs the configurations of argv and dies when the run of split 2 ends its first epoch.
SCRIPT = """
import os, signal, sys
from r21d_keras.training import cli
from r21d_keras.training.callbacks.keep import KeepState

end = KeepState.on_epoch_end

def on_epoch_end(self, epoch, logs=None):
    end(self, epoch, logs)
    if self.folder.root.name == "split_2":
        os.kill(os.getpid(), signal.SIGKILL)

KeepState.on_epoch_end = on_epoch_end
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def ucf101(tmp_path_factory, tiny_videos):
    """UCF101 with two classes of three groups; split N tests on group N."""
    root = tmp_path_factory.mktemp("ucf101")
    lists = root / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Bright\r\n2 Dark\r\n", "utf-8")
    for label, name in enumerate(CLASSES, start=1):
        (root / name).mkdir()
        for group in (1, 2, 3):
            video = root / name / f"v_{name}_g0{group}_c01.avi"
            shutil.copy(tiny_videos / name.lower() / f"{name.lower()}_{group}.mp4", video)
            for split in (1, 2, 3):
                subset, end = ("test", "") if split == group else ("train", f" {label}")
                with open(lists / f"{subset}list0{split}.txt", "a", encoding="utf-8") as file:
                    file.write(f"{name}/{video.name}{end}\r\n")
    return root


@pytest.fixture
def options(ucf101):
    own = {"dataset": "ucf101", "variant": "f_r2d_10", "clips_per_epoch": 2, "eval_clips": 1}
    return {**SMALL_RUN, **own, "videos": str(ucf101)}


def command(root, options):
    flags = [f"--{name}={value}" for name, value in options.items()]
    return ["crossval", "--recipe=demo", f"--model_dir={root}", *flags]


def test_three_splits_killed_and_gone_on_with(options, tmp_path, capsys, log):
    root = tmp_path / "runs"
    killed = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command(root, options)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    half = json.loads((root / "crossval.json").read_text("utf-8"))
    assert list(half["splits"]) == ["1"] and half["mean"] is None
    first = (root / "split_1" / "final.weights.h5").stat().st_mtime_ns
    assert main(command(root, options)) == 0
    lines, said = capsys.readouterr()
    result = json.loads((root / "crossval.json").read_text("utf-8"))
    assert list(result["splits"]) == ["1", "2", "3"]
    assert result["splits"]["1"] == half["splits"]["1"]
    assert (root / "split_1" / "final.weights.h5").stat().st_mtime_ns == first
    assert "Split 1: finished before" in said
    assert "Continuing after epoch 1." in said  # split 2
    for split, entry in result["splits"].items():
        evaluation = json.loads((root / f"split_{split}" / "evaluation.json").read_text("utf-8"))
        assert entry["accuracy"] == evaluation["accuracy"] and entry["videos"] == 2
        assert entry["protocol"] == evaluation["protocol"]
        assert (entry["skipped"], entry["missing"]) == (0, 0)
    for name, mean in result["mean"].items():
        values = [entry["accuracy"][name] for entry in result["splits"].values()]
        assert mean == pytest.approx(sum(values) / 3)
    shown = summary(result)
    assert shown in lines
    names = [line.split(":")[0] for line in shown.splitlines()]
    assert names == ["split 1", "split 2", "split 3", "mean"]
    assert shown.splitlines()[0].endswith("(2 videos, clips a video: 1)")
    assert f"video@1 {result['mean']['video@1']:.1%}" in shown.splitlines()[-1]
    configs = split_configs(str(root), "demo", "", options)
    assert crossval(str(root), configs) == result  # nothing is trained
    assert log.text.count("finished before") == 3 and "Strategy" not in log.text
    # Another number of clips is another result of the same training, which is not done again.
    log.clear()
    other = split_configs(str(root), "demo", "", {**options, "eval_clips": 2})
    assert crossval(str(root), other)["splits"].keys() == result["splits"].keys()
    assert "finished before" not in log.text
    assert log.text.count("Continuing after epoch 2.") == 3
    # Another training is refused before anything is done.
    wrong = split_configs(str(root), "demo", "", {**options, "seed": 3})
    with pytest.raises(ConfigError, match="split_1 holds a run of another.*seed was 0"):
        crossval(str(root), wrong)
    # Each split goes on from its own run.
    longer = {**options, "init_from": str(root), "clip_frames": 8, "clips_per_epoch": 2}
    found = split_configs(str(tmp_path / "longer"), "demo", "", longer)
    assert [pathlib.Path(c.init_from).name for c in found.values()] == [
        "split_1",
        "split_2",
        "split_3",
    ]
    assert {c.clip_frames for c in found.values()} == {8}


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"dataset": "motion", "videos": "", "splits": ""},
            "dataset='motion' has one split; expected one of several: ucf101",
        ),
        ({"dataset": "motion"}, "dataset='motion' does not read videos="),
        ({"strategy": "multi_worker_mirrored"}, "trains in one process"),
        ({"split": 2}, "split=2: a cross validation has all of them"),
        ({"epochs": 0}, "epochs=0: expected at least 1"),
        ({"model_dir": ""}, "--model_dir is missing"),
    ],
)
def test_what_cannot_be_cross_validated_is_a_wrong_command_line(
    options, tmp_path, capsys, change, message
):
    assert main(command(tmp_path / "runs", {**options, **change})) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_start_that_has_seen_a_splits_test_videos_is_refused_before_any_training(
    options, tmp_path, tiny_run
):
    run = tiny_run(CLASSES, dataset="ucf101", split=1, variant="f_r2d_10")
    given = {**options, "init_from": str(run)}
    with pytest.raises(ConfigError, match="trained on split 1 of ucf101.*split 2 tests on"):
        crossval(str(tmp_path / "runs"), split_configs(str(tmp_path / "runs"), "demo", "", given))
    assert not (tmp_path / "runs").exists()


def test_a_damaged_result_is_named(options, tmp_path):
    (tmp_path / "crossval.json").write_text("{", "utf-8")
    with pytest.raises(ConfigError, match="crossval.json cannot be read.*evaluated again"):
        crossval(str(tmp_path), split_configs(str(tmp_path), "demo", "", options))


@pytest.mark.parametrize("subset", ["train", "test"])
def test_what_a_later_split_lacks_is_said_before_the_first_is_trained(
    ucf101, options, tmp_path, subset
):
    folder = tmp_path / "lists"
    shutil.copytree(ucf101 / "ucfTrainTestlist", folder)
    (folder / f"{subset}list03.txt").unlink()
    root = tmp_path / "runs"
    configs = split_configs(str(root), "demo", "", {**options, "splits": str(folder)})
    with pytest.raises(ConfigError, match=f"split 3: .*{subset}list03.txt"):
        crossval(str(root), configs)
    assert not root.exists()


def test_a_start_named_in_a_file_is_each_splits_own_even_after_it_has_moved(
    options, tmp_path, tiny_run
):
    run = tiny_run(CLASSES, dataset="ucf101", variant="f_r2d_10")
    first, second, file = tmp_path / "first", tmp_path / "second", tmp_path / "options.json"
    for split in (1, 2, 3):
        shutil.copytree(run, first / f"split_{split}")
    file.write_text(json.dumps({**options, "init_from": str(first)}), "utf-8")
    configs = split_configs(str(second), "demo", str(file))
    starts = [str(first / f"split_{split}") for split in (1, 2, 3)]
    assert [config.init_from for config in configs.values()] == starts
    for config in configs.values():  # as after an epoch
        folder = ModelDir(pathlib.Path(config.model_dir))
        folder.write_run(config, CLASSES)
        folder.checkpoints.mkdir()
        (folder.checkpoints / "checkpoint").write_text("", "utf-8")
    first.rename(tmp_path / "moved")
    assert split_configs(str(second), "demo", str(file)) == configs
