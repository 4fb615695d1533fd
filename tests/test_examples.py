"""The scripts in examples/, run as they are, on a few real videos and with small networks."""

import csv
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import keras
import pytest

from r21d_keras.training.recipes import resolve

ROOT = pathlib.Path(__file__).parent.parent
SMALL = {
    "width_multiplier": 0.125,
    "clip_frames": 4,
    "crop_size": 16,
    "resize_height": 16,
    "resize_width": 21,
    "epochs": 1,
    "warmup_epochs": 0.0,
    "clips_per_epoch": 16,
    "eval_clips": 2,
}
CLASSES = ("Archery", "PushUps")
PER_CLASS = {"train": 3, "test": 2}  # videos in each list


@pytest.fixture
def few_videos(test_data, tmp_path):
    """Two classes of UCF101 with a few videos each, and official lists of them alone."""
    videos, splits = tmp_path / "UCF-101", tmp_path / "ucfTrainTestlist"
    splits.mkdir()
    (splits / "classInd.txt").write_text("1 Archery\r\n2 PushUps\r\n")
    for name in (f"{subset}list0{split}.txt" for subset in PER_CLASS for split in (1, 2, 3)):
        lines = (test_data / "ucf101" / "ucfTrainTestlist" / name).read_text().split("\n")
        for label, kind in enumerate(CLASSES, start=1):
            of_class = [line.split()[0] for line in lines if line.startswith(f"{kind}/")]
            for video in of_class[: PER_CLASS[name.split("list")[0]]]:
                (videos / kind).mkdir(parents=True, exist_ok=True)
                if not (videos / video).is_symlink():
                    (videos / video).symlink_to(test_data / "ucf101" / "videos" / video)
                with open(splits / name, "a") as file:
                    file.write(f"{video} {label}\r\n" if "train" in name else f"{video}\r\n")
    return videos, splits


def test_ucf101_in_two_streams(few_videos, tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "R21D": f"{sys.executable} -m r21d_keras.training.cli",
        "MORE": " ".join(f"--{name}={value}" for name, value in SMALL.items()),
    }
    out = tmp_path / "out"
    command = ["sh", ROOT / "examples" / "ucf101_two_streams.sh", *few_videos, out]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    results = {
        place: json.loads((out / place / "evaluation.json").read_text("utf-8"))
        for place in (
            *(
                f"runs/{stream}/split_1{way}"
                for stream in ("rgb", "flow")
                for way in ("", "/crops", "/dense")
            ),
            "fused",
        )
    }
    assert {result["videos"] for result in results.values()} == {len(CLASSES) * PER_CLASS["test"]}
    with open(out / "fused" / "sweep.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) > 2
    assert (out / "fused" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    splits = json.loads((out / "runs" / "rgb" / "crossval.json").read_text("utf-8"))["splits"]
    assert len(splits) == 3


def test_the_rates_it_names_are_those_of_the_recipes():
    text = (ROOT / "examples" / "ucf101_two_streams.sh").read_text("utf-8")
    (recipe, rate) = re.search(r"RECIPE=(\w+) RATE=([\d.]+)", text).groups()
    assert resolve(recipe).frame_rate == float(rate)
    (default, usual) = re.search(r"RECIPE:-(\w+)\} rate=\$\{RATE:-([\d.]+)\}", text).groups()
    assert resolve(default).frame_rate == float(usual)


def test_without_arguments_it_says_how_to_call_it():
    command = ["sh", ROOT / "examples" / "ucf101_two_streams.sh"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert re.search(r"ucf101_two_streams.sh VIDEOS SPLITS OUT", done.stderr)


@pytest.mark.skipif(keras.__version__ < "3", reason="Keras 2 has no keras.distribution")
def test_jax_on_two_devices():
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "KERAS_BACKEND": "jax",
    }
    command = [sys.executable, ROOT / "examples" / "jax_data_parallel.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    losses = [float(text) for text in re.findall(r"loss: ([\d.]+)", done.stdout)]
    assert len(losses) == 3 and losses[-1] < losses[0]
    assert "2 devices; the first kernel is on 2 of them." in done.stdout
