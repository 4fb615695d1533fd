"""Preparation that is interrupted in every way ends with the same bytes."""

import dataclasses
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from r21d_keras.training.data.decoder import VideoError
from r21d_keras.training.options import ConfigError
from r21d_keras.training.records.manifest import read_manifest
from r21d_keras.training.records.plan import Item, Shard
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions
from r21d_keras.training.records.shards import ShardWriter
from tests import preparing
from tests.preparing import OPTIONS, contents, plan_of, stop_at

ROOT = pathlib.Path(__file__).parent.parent


def journal_lines(folder):
    """Lines of all journals, but for those that are being put in place."""
    paths = [path for path in folder.glob(".*.jsonl") if not path.name.startswith(".partial")]
    return sum(path.read_bytes().count(b"\n") for path in paths)


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_videos):
    """The files of a preparation that nothing has interrupted, by one process."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(plan_of(tiny_videos), folder, processes=1)
    return contents(folder)


@pytest.fixture
def begin(tiny_videos):
    """A function that begins a preparation in a process of its own."""
    started = []

    def start(out, **options):
        command = [sys.executable, str(preparing.__file__), str(tiny_videos), str(out)]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        options = {"stderr": subprocess.PIPE, "text": True, **options}
        started.append(subprocess.Popen(command, env=env, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        if process.stderr:
            process.stderr.close()


def test_all_is_written(whole, tiny_videos):
    shards = [f"all-{place:05d}-of-00004.tfrecord" for place in range(4)]
    assert sorted(whole) == [*shards, "manifest.json"]
    manifest = json.loads(whole["manifest.json"])
    counts = {"videos": 10, "frames": 120, "shards": 4, "skipped": 0, "missing": 0}
    assert manifest["counts"] == counts | {"bytes": sum(len(whole[name]) for name in shards)}
    rows = manifest["records"]
    assert {row["name"] for row in rows} == {
        path.relative_to(tiny_videos).as_posix() for path in tiny_videos.rglob("*.mp4")
    }
    assert len({row["labels"][0] for row in rows[:4]}) == 2  # classes are mixed
    assert {row["splits"]["1"] for row in rows} == {"train", "test"}


def test_processes_write_what_one_does(whole, tiny_videos, tmp_path):
    prepare(plan_of(tiny_videos), tmp_path, processes=3)
    assert contents(tmp_path) == whole


def test_killed_again_and_again_it_ends_with_the_same_bytes(whole, begin, tiny_videos, tmp_path):
    out = tmp_path / "out"
    for lines in (0, 5):
        process = begin(out)
        while process.poll() is None and journal_lines(out) <= lines:
            time.sleep(0.002)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        psutil.wait_procs(children, timeout=20)
        assert not [child for child in children if child.is_running()]
        assert not (out / "manifest.json").exists()
    prepare(plan_of(tiny_videos), out, processes=1)
    assert contents(out) == whole


def test_a_process_that_goes_on_does_not_begin_anew(whole, tiny_videos, tmp_path, log):
    stop_at(tiny_videos, tmp_path, 5)
    prepare(plan_of(tiny_videos), tmp_path, processes=1)
    assert "5 of 10 videos are done; going on." in log.text
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("hurt", ["part_cut", "part_longer", "part_gone", "journal_cut", "no_end"])
def test_what_a_stopped_machine_may_leave(whole, tiny_videos, tmp_path, hurt):
    stop_at(tiny_videos, tmp_path, 6)
    (part,), (*_, journal) = tmp_path.glob(".*.part"), sorted(tmp_path.glob(".*.jsonl"))
    octets = part.read_bytes()
    if hurt == "part_cut":
        part.write_bytes(octets[: len(octets) * 3 // 4])
    elif hurt == "part_longer":
        part.write_bytes(octets + octets[:100])
    elif hurt == "part_gone":
        part.unlink()
    elif hurt == "journal_cut":
        journal.write_bytes(journal.read_bytes()[:-9])
    else:  # a shard under its name, its journal without the last line
        finished = sorted(tmp_path.glob(".*.jsonl"))[0]
        finished.write_bytes(finished.read_bytes().rsplit(b"\n", 2)[0] + b"\n")
    prepare(plan_of(tiny_videos), tmp_path, processes=1)
    assert contents(tmp_path) == whole


def test_a_full_disk_loses_nothing(whole, begin, tmp_path, tiny_videos):
    out, most = tmp_path / "out", len(whole["all-00001-of-00004.tfrecord"]) * 2 // 3
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most, most))
    process = begin(out, preexec_fn=limit)
    assert process.wait() == 1
    error = process.stderr.read().splitlines()[-1]
    done = r"[123] of 10 videos (is|are) done and kept"
    assert re.search(rf"no more \(File too large\). {done}", error)
    prepare(plan_of(tiny_videos), out, processes=1)
    assert contents(out) == whole


def test_a_full_file_system_loses_nothing(whole, begin, tmp_path, tiny_videos):
    out = tmp_path / "small"
    out.mkdir()
    size = sum(map(len, whole.values())) // 2
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(out)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        process = begin(out)
        assert process.wait() == 1
        assert "takes no more (No space left on device)." in process.stderr.read()
        remount = ["mount", "-o", "remount,size=64m", str(out)]
        subprocess.run(remount, check=True)
        prepare(plan_of(tiny_videos), out, processes=1)
        assert contents(out) == whole
    finally:
        subprocess.run(["umount", str(out)], check=True)


def test_one_process_at_a_time(begin, tmp_path, tiny_videos):
    out = tmp_path / "out"
    process = begin(out)
    while process.poll() is None and not journal_lines(out):
        time.sleep(0.002)
    process.send_signal(signal.SIGSTOP)  # or it might be done before this one has begun
    with pytest.raises(ConfigError, match="Another process is preparing"):
        prepare(plan_of(tiny_videos), out, processes=1)
    assert process.poll() is None


def test_a_video_that_crashes_its_decoder_is_found(tiny_videos, tmp_path):
    plan = plan_of(tiny_videos, preparing.crashing)
    manifest = prepare(plan, tmp_path / "out", processes=2, on_bad_video="skip")
    names = {row["name"] for row in manifest.skipped}
    assert manifest.skipped[0]["reason"].startswith("crashes the process that decodes it")
    assert names == {"bright/bright_2.mp4"} and len(manifest.records) == 9


@pytest.fixture
def with_bad(tiny_videos, tmp_path):
    """The tiny videos, one of them no video, one cut short."""
    videos = tmp_path / "videos"
    shutil.copytree(tiny_videos, videos)
    (videos / "bright" / "bright_1.mp4").write_text("no video")
    (videos / "dark" / "dark_3.mp4").write_bytes(b"")
    return videos


def test_bad_videos_are_found_before_any_work(with_bad, tmp_path):
    with pytest.raises(ValueError, match="2 of 10 videos cannot be read:(.|\n)*dark_3.mp4: is em"):
        prepare(plan_of(with_bad), tmp_path / "out", processes=1)
    assert not list((tmp_path / "out").glob(".*.part"))


def test_videos_that_were_skipped_are_tried_again_without_the_file_that_is_named(tmp_path):
    shard = Shard("all-00000-of-00001.tfrecord", tuple(Item(n, n, (0,), ("a",)) for n in "ab"))
    writer = ShardWriter(tmp_path, shard)
    writer.skip("no video")
    writer.close()
    again = ShardWriter(tmp_path, shard)
    assert len(again.entries) == 1 and again.file_name == shard.journal_name
    (tmp_path / again.file_name).unlink()
    assert ShardWriter(tmp_path, shard).rest == shard.items


def test_bad_videos_end_the_work_or_are_left_out(with_bad, tiny_videos, tmp_path, whole, log):
    out = tmp_path / "out"
    with pytest.raises(VideoError, match="again to go on, with --on_bad_video=skip"):
        prepare(plan_of(with_bad), out, processes=1, on_bad_video="stop")
    manifest = prepare(plan_of(with_bad), out, processes=1, on_bad_video="skip")
    reasons = {row["name"]: row["reason"] for row in manifest.skipped}
    assert set(reasons) == {"bright/bright_1.mp4", "dark/dark_3.mp4"}
    assert reasons["dark/dark_3.mp4"] == "is empty (0 bytes)."
    assert len(manifest.records) == 8 and read_manifest(out) == manifest
    for row in manifest.skipped:  # they are good again
        shutil.copy(tiny_videos / row["name"], with_bad / row["name"])
    prepare(plan_of(with_bad), out, processes=1)
    assert "stay left out. To try them again, end this and remove all-0" in log.text
    for path in out.glob("*.tfrecord"):
        path.unlink()
    prepare(plan_of(with_bad), out, processes=1)
    assert contents(out) == whole


def test_another_plan_is_refused(tiny_videos, tmp_path):
    stop_at(tiny_videos, tmp_path, 2)
    other = dataclasses.replace(OPTIONS, jpeg_quality=80)
    with pytest.raises(ConfigError, match=r"begun with jpeg_quality=95 \(now 80\)"):
        prepare(plan_of(tiny_videos, options=other), tmp_path, processes=1)
    prepare(plan_of(tiny_videos), tmp_path, processes=1)
    with pytest.raises(ConfigError, match=r"num_shards=4 \(now 2\)"):
        prepare(plan_of(tiny_videos, videos_per_shard=5), tmp_path, processes=1)


def test_a_damaged_plan_says_what_to_do(tiny_videos, tmp_path):
    stop_at(tiny_videos, tmp_path, 2)
    for text in ('{"kind": "rg', "[]"):
        (tmp_path / ".plan.json").write_text(text)
        with pytest.raises(ConfigError, match=r"\.plan\.json is damaged .* Remove the folder and"):
            prepare(plan_of(tiny_videos), tmp_path, processes=1)


def test_other_files_are_not_touched(tiny_videos, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="did not begin, thesis.txt among them"):
        prepare(plan_of(tiny_videos), tmp_path, processes=1)
    (tmp_path / "out").write_text("a file")
    with pytest.raises(ConfigError, match="cannot be made or written to"):
        prepare(plan_of(tiny_videos), tmp_path / "out", processes=1)


def test_split_gives_shards_of_subsets(tiny_videos, tmp_path):
    manifest = prepare(plan_of(tiny_videos, split=1), tmp_path / "both", processes=1)
    names = [shard["name"] for shard in manifest.shards]
    assert names == [
        *(f"train-{place:05d}-of-00003.tfrecord" for place in range(3)),
        "test-00000-of-00001.tfrecord",
    ]
    for record in manifest.records:
        assert names[record.shard].startswith(record.splits[1])
    one = prepare(plan_of(tiny_videos, split=1, subset="test"), tmp_path / "test", processes=1)
    assert [shard["name"] for shard in one.shards] == names[-1:]
    for wrong in ({"subset": "test"}, {"split": 2}, {"split": 1, "subset": "val"}):
        with pytest.raises(ConfigError, match="expected a split of folder"):
            plan_of(tiny_videos, **wrong)


def test_frames_options():
    assert FrameOptions(short_side=128).size(240, 320) == (128, 170)
    assert FrameOptions(short_side=128).size(320, 240) == (170, 128)
    assert FrameOptions().size(320, 240) == (128, 171)
    for wrong in ({"jpeg_quality": 0}, {"frame_rate": 0.0}, {"frame_rate": np.nan}):
        with pytest.raises(ConfigError, match="expected from"):
            FrameOptions(**wrong)


def test_encoders_need_no_tensorflow():
    code = "import sys, r21d_keras.training.records.prepare, r21d_keras.training.records.rgb\n"
    code += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
