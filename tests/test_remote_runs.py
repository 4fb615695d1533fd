"""Records on a web server, and runs in a bucket: ram://, which TensorFlow has on every stack."""

import dataclasses
import json
import pathlib
import re

import h5py
import numpy as np
import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.commands.command import USAGE
from r21d_keras.training.config import ConfigError
from r21d_keras.training.conflicts import conflicts
from r21d_keras.training.data import pipeline
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.decoder import LostSourceError
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.model_dir import build_model
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.recipes import place_of_data, resolve
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions
from r21d_keras.training.records.verify import verify
from r21d_keras.training.remote import bounded, files, run_copy
from r21d_keras.training.remote.urls import RemoteError
from r21d_keras.training.serving.saved_model import export
from r21d_keras.training.start import find_start
from r21d_keras.training.train import train
from tests import buckets
from tests.moody_server import STALLED, WELL
from tests.preparing import plan_of

OPTIONS = {"clips_per_epoch": 8, "validate_every": 1, "eval_clips": 2}


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_videos):
    folder = tmp_path_factory.mktemp("records")
    prepare(plan_of(tiny_videos, options=FrameOptions(resize_height=36, resize_width=40)), folder)
    return folder


@pytest.fixture(scope="module")
def web(made):
    with buckets.web(made) as server:
        yield server


@pytest.fixture(autouse=True)
def good_mood(web, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    web.mood, web.moods = WELL, []


def test_clips_from_a_web_server_are_those_of_the_folder(web, made, make_config):
    here, there = make_config(records=str(made)), make_config(records=web.url)
    for subset in ("train", "test"):
        ours, theirs = load_dataset(here, subset), load_dataset(there, subset)
        assert ours.names == theirs.names and ours.labels == theirs.labels
        assert theirs.paths[0].startswith(f"{web.url}/all-0")
    for (clips, labels), (same, targets) in zip(
        pipeline.train_batches(load_dataset(here, "train"), here, 1),
        pipeline.train_batches(load_dataset(there, "train"), there, 1),
        strict=True,
    ):
        np.testing.assert_array_equal(clips, same)
        np.testing.assert_array_equal(labels, targets)


def test_records_on_a_web_server_are_verified(web, made, tmp_path):
    assert verify(web.url)[1] == []
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    shard = sorted(tmp_path.glob("*.tfrecord"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    with buckets.web(tmp_path) as server:
        (wrong,) = verify(server.url)[1]
        assert f"{shard.name} has " in wrong and re.search(r"1 of \d videos is hurt: ", wrong)


def test_shards_that_are_absent_or_cut_are_told_before_training(made, make_config, tmp_path):
    for path in made.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    paths = load_dataset(make_config(records=str(tmp_path)), "train").paths
    first, second = sorted({pathlib.Path(path.split("#")[0]) for path in paths})[:2]
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1])
    with buckets.web(tmp_path) as server:
        with pytest.raises(ConfigError, match=f"{first.name} is not there") as caught:
            load_dataset(make_config(records=server.url), "train")
        assert f"{second.name} has" in str(caught.value) and server.url in str(caught.value)
        (tmp_path / "manifest.json").unlink()
        with pytest.raises(ConfigError, match=r"there is no manifest\.json.*--scan"):
            load_dataset(make_config(records=server.url), "train")


@pytest.mark.parametrize("mood", [503, 403, STALLED])
def test_a_server_that_fails_in_mid_run_ends_it(web, make_config, monkeypatch, mood):
    """Whatever is done about bad videos: all would be left out."""
    monkeypatch.setenv(bounded.TIMEOUT, "2")
    config = make_config(records=web.url, on_bad_video="skip")
    videos, bad = load_dataset(config, "train"), pipeline.BadVideos()
    web.mood = mood
    with pytest.raises(Exception, match="LostSourceError"):
        next(iter(pipeline.train_batches(videos, config, 0, bad)))
    assert isinstance(bad.fatal, LostSourceError)
    told = {503: "503 Service", 403: "403 Forbidden", STALLED: "no answer|timed out"}[mood]
    with pytest.raises(LostSourceError, match=rf"{web.url}/all-.*tfrecord#.*({told})"):
        raise bad.fatal


def test_data_is_records_or_videos(made, tiny_videos, web):
    assert place_of_data(str(made), {}) == {"records": str(made)}
    assert place_of_data(str(tiny_videos), {}) == {"videos": str(tiny_videos)}
    assert place_of_data(web.url, {}) == {"records": web.url}
    assert place_of_data(None, {"records": "x"}) == {}
    with pytest.raises(ConfigError, match="--data=s3://b/x and --records=y: expected one"):
        place_of_data("s3://b/x", {"records": "y"})


@pytest.mark.parametrize("name", ["videos", "splits", "manifest"])
def test_videos_and_lists_are_read_from_this_machine(name):
    config = dataclasses.replace(resolve("demo"), **{name: "s3://bucket/x"})
    assert conflicts(config)[0].startswith(f"{name}='s3://bucket/x': expected a path of this")


def test_a_run_in_a_bucket_is_that_of_a_folder(web, made, make_config, tmp_path):
    """Trained, gone on with, evaluated, exported, shown a video, and started from."""
    here = make_config("here", records=str(made))
    there = dataclasses.replace(here, records=web.url, model_dir="ram://bucket/run")
    train(here)
    train(dataclasses.replace(there, epochs=1))
    train(there)  # goes on
    files.download("ram://bucket/run/final.weights.h5", tmp_path / "final.weights.h5")
    assert same_weights(tmp_path / "final.weights.h5", tmp_path / "here" / "final.weights.h5")
    index = json.loads(files.read(f"ram://bucket/run/{run_copy.INDEX}"))
    assert sorted(index["files"]) == [
        name for name in files.names("ram://bucket/run", "config.json") if name != run_copy.INDEX
    ]
    found = evaluate(there.model_dir)
    assert json.loads(files.read("ram://bucket/run/evaluation.json")) == found
    assert found["videos"] == len(load_dataset(here, "test"))
    export(there.model_dir, "ram://bucket/export", 1)
    with pytest.raises(FileExistsError, match="ram://bucket/export/1 exists already"):
        export(there.model_dir, "ram://bucket/export", 1)
    for model in ("ram://bucket/export/1", "ram://bucket/run"):
        assert load_predictor(model).classes == ("bright", "dark")
    start = find_start(dataclasses.replace(here, init_from=there.model_dir))
    assert start.classes == ("bright", "dark") and start.source.name.startswith("ram://bucket/run/")
    start.source.load(build_model(here, 2))


def same_weights(one, other):
    def numbers(path):
        found = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item: (
                    found.update({name: item[()]}) if hasattr(item, "shape") else None
                )
            )
        return found

    ours, theirs = numbers(one), numbers(other)
    return ours.keys() == theirs.keys() and all((ours[k] == theirs[k]).all() for k in ours)


def test_an_absent_run_is_told_by_its_url():
    for ask in (evaluate, lambda run: export(run, "ram://bucket/export")):
        with pytest.raises(ConfigError, match=r"^ram://bucket/none holds no training run: config"):
            ask("ram://bucket/none")
    with pytest.raises(ConfigError, match=r"init_from='ram://bucket/none' holds no training run"):
        resolve("demo", overrides={"init_from": "ram://bucket/none"})


class Cut(Exception):
    """The process was killed."""


def written(copy, numbers):
    """What a run has here after some checkpoints, of which the last two are kept."""
    folder = copy.root / "checkpoints"
    folder.mkdir(exist_ok=True)
    for number in numbers:
        for ending in ("data-00000-of-00001", "index"):
            (folder / f"ckpt-{number}.{ending}").write_text(f"{number} {ending}")
    for path in folder.glob(f"ckpt-{number - 2}.*"):
        path.unlink()
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "ckpt-{number}"\n')
    (copy.root / "history.csv").write_text(f"epochs {number}")


def test_a_run_is_whole_wherever_its_sending_was_cut_off(monkeypatch):
    """Each checkpoint that has an index has its data, and there is always one."""
    monkeypatch.setattr(run_copy, "_remove_left", lambda: None)
    steps, cut_at = 0, 1
    while cut_at <= steps + 1:
        url = f"ram://bucket/cut/{cut_at}"
        with run_copy.run_copy(url) as copy:
            written(copy, (1, 2))
        steps = 0

        def counted(ask, limit=cut_at):
            def step(*arguments):
                nonlocal steps
                steps += 1
                if steps >= limit:
                    raise Cut
                return ask(*arguments)

            return step

        with monkeypatch.context() as patched:
            with pytest.raises(Cut) if cut_at > 0 else None, run_copy.run_copy(url) as copy:
                for name in ("upload", "remove"):
                    patched.setattr(run_copy, name, counted(getattr(files, name)))
                written(copy, (3,))
                copy.push()
                raise Cut
        with run_copy.run_copy(url) as copy:
            kept = {p.name: p.read_text() for p in (copy.root / "checkpoints").iterdir()}
            whole = [n for n in (1, 2, 3) if f"ckpt-{n}.index" in kept]
            assert whole and all(f"ckpt-{n}.data-00000-of-00001" in kept for n in whole)
            assert kept["checkpoint"].split('"')[1].removeprefix("ckpt-") in map(str, whole)
            assert all(
                text == " ".join(name[5:].split(".")) for name, text in kept.items() if "-" in name
            )
        cut_at += 1
    assert cut_at > 6


def test_a_second_process_takes_a_run_over():
    url = "ram://bucket/taken"
    with pytest.raises(ConfigError, match=r"ram://bucket/taken was taken over by process \d+ on"):
        with run_copy.run_copy(url) as first:
            written(first, (1,))
            first.push()
            with run_copy.run_copy(url) as second:
                written(second, (2,))
                second.push()
                written(first, (9,))
                first.push()
    assert b"ckpt-2" in files.read(f"{url}/checkpoints/checkpoint")


def test_a_damaged_index_is_told():
    files.upload(__file__, f"ram://bucket/odd/{run_copy.INDEX}")
    with pytest.raises(ConfigError, match=r"odd/\.files\.json is damaged .* Remove it"):
        with run_copy.run_copy("ram://bucket/odd"):
            pass


def test_a_run_is_not_kept_on_a_web_server(web, make_config, made):
    config = make_config(records=str(made))
    with pytest.raises(RemoteError, match="http:// is read alone"):
        train(dataclasses.replace(config, model_dir=f"{web.url}/run"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "--dataset=folder", "--videos=x", "--out=s3://bucket/x"],
        ["prepare", "--scan", "--dataset=folder", "--out=s3://bucket/x"],
        ["crossval", "--dataset=hmdb51", "--model_dir=s3://bucket/x"],
    ],
)
def test_commands_that_write_to_this_machine_alone_say_so(arguments, capsys):
    assert main(arguments) == USAGE
    assert re.search(r"--\w+=s3://bucket/x: expected a folder of this", capsys.readouterr().err)
