"""The same shards by Apache Beam, on its DirectRunner."""

import functools
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.listings import Places
from r21d_keras.training.options import ConfigError
from r21d_keras.training.records.beam import prepare_by_beam
from r21d_keras.training.records.plan import make_plan
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions

ROOT = pathlib.Path(__file__).parent.parent
INSTALLED = importlib.util.find_spec("apache_beam") is not None
needs_beam = pytest.mark.skipif(not INSTALLED, reason="Apache Beam is not installed (extra beam)")
SIZES = ("--resize_height=24", "--resize_width=32", "--videos_per_shard=4")


def plan_of(videos):
    options = FrameOptions(resize_height=24, resize_width=32)
    videos = listed("folder", Places(str(videos)))
    make = functools.partial(make_plan, videos, "rgb", options.encoder, options.as_json)
    return make(videos_per_shard=4)


def by_beam(videos, out, *arguments):
    """In a process of its own: importing Beam warns of a lot."""
    command = [sys.executable, "-m", "r21d_keras.training.cli", "prepare", "--dataset=folder"]
    command += [f"--videos={videos}", f"--out={out}", "--runner=beam", *SIZES, *arguments]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=env, capture_output=True, text=True)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}


@pytest.fixture(scope="module")
def local(tmp_path_factory, tiny_videos):
    folder = tmp_path_factory.mktemp("local")
    prepare(plan_of(tiny_videos), folder, processes=1)
    return contents(folder)


@needs_beam
def test_beam_writes_what_the_processes_of_one_machine_write(tiny_videos, tmp_path, local):
    workers = "--direct_num_workers=2 --direct_running_mode=multi_threading"
    done = by_beam(tiny_videos, tmp_path / "out", f"--beam_options={workers}")
    assert done.returncode == 0, done.stderr
    assert "10 videos, 120 frames" in done.stdout
    assert contents(tmp_path / "out") == local
    (tmp_path / "out" / "all-00001-of-00003.tfrecord").unlink()
    cut = tmp_path / "out" / "all-00002-of-00003.tfrecord"
    cut.write_bytes(cut.read_bytes()[:-1])
    again = by_beam(tiny_videos, tmp_path / "out")
    assert again.returncode == 0 and contents(tmp_path / "out") == local
    assert again.stderr.count("it is made anew") == 2
    other = by_beam(tiny_videos, tmp_path / "out", "--jpeg_quality=80")
    assert other.returncode == 1
    assert "was begun with jpeg_quality=95 (now 80)" in other.stderr


@needs_beam
def test_beam_goes_on_after_a_video_that_cannot_be_read(tiny_videos, tmp_path, local):
    videos, out = tmp_path / "videos", tmp_path / "out"
    shutil.copytree(tiny_videos, videos)
    (videos / "dark" / "dark_3.mp4").write_bytes(b"")
    (out / "class").mkdir(parents=True)
    (out / "class" / "mine.txt").write_text("mine")
    failed = by_beam(videos, out)
    assert failed.returncode == 1 and "did not begin, class/mine.txt among them" in failed.stderr
    shutil.rmtree(out)
    failed = by_beam(videos, out)
    assert failed.returncode == 1
    assert "1 of 10 videos cannot be read:" in failed.stderr
    assert sorted(path.name for path in out.iterdir()) == [".plan.json"]
    failed = by_beam(videos, out, "--on_bad_video=stop")
    assert failed.returncode == 1 and len(list(out.glob("*.tfrecord"))) == 2
    error = failed.stderr.splitlines()[-1]
    assert "dark_3.mp4: is empty (0 bytes). Shards without such videos are done" in error
    assert "Traceback" not in failed.stderr and not (out / "manifest.json").exists()
    skipped = by_beam(videos, out, "--on_bad_video=skip")
    assert skipped.returncode == 0, skipped.stderr
    assert "9 videos, 108 frames" in skipped.stdout
    assert "skipped dark/dark_3.mp4: is empty (0 bytes)." in skipped.stdout


@pytest.mark.skipif(INSTALLED, reason="Apache Beam is installed")
def test_without_beam_it_says_what_to_install(tiny_videos, tmp_path):
    with pytest.raises(ConfigError, match=r"pip install 'r21d_keras\[beam\]'"):
        prepare_by_beam(plan_of(tiny_videos), str(tmp_path))
