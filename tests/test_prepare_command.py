"""`r21d prepare` from the command line, and training and evaluation on what it made."""

import json
import re
import shutil

import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.evaluation.evaluate import evaluate
from r21d_keras.training.train import train

SIZES = ("--resize_height=36", "--resize_width=40")


@pytest.fixture
def command(tiny_videos, tmp_path, capsys):
    """A function that runs `r21d prepare` on the tiny videos into tmp_path/records."""

    def run(*arguments, videos=tiny_videos, out=tmp_path / "records"):
        given = [f"--videos={videos}", f"--out={out}", "--processes=1", *SIZES, *arguments]
        code = main(["prepare", "--dataset=folder", *given])
        return code, *capsys.readouterr()

    return run


def test_prepare_then_verify(command, tmp_path, capsys):
    code, out, _ = command()
    assert code == 0
    assert re.search(r"records: 10 videos, 120 frames, 0 MB in 1 shard\n", out)
    assert main(["prepare", "--verify", f"--out={tmp_path / 'records'}"]) == 0
    assert capsys.readouterr().out.endswith("All right.\n")
    (shard,) = (tmp_path / "records").glob("*.tfrecord")
    octets = bytearray(shard.read_bytes())
    octets[1000] ^= 1
    shard.write_bytes(octets)
    assert main(["prepare", "--verify", f"--out={tmp_path / 'records'}"]) == 1
    assert "1 of 10 videos is hurt: " in capsys.readouterr().out
    shard.unlink()
    assert command()[0] == 0  # makes it anew
    assert main(["prepare", "--verify", f"--out={tmp_path / 'records'}"]) == 0


def test_progress_without_a_terminal_is_in_the_log(command, monkeypatch):
    monkeypatch.setattr("r21d_keras.training.records.progress.PROGRESS_S", 0.0)
    _, _, err = command()
    assert re.search(r"Prepared 3 of 10 videos, [\d.]+ a second, 0:00:\d\d left\.", err)


def test_a_data_set_is_checked(tmp_path, tiny_videos, capsys):
    report = tmp_path / "report.json"

    def command(*arguments, videos=tiny_videos):
        code = main(["prepare", "--check", "--dataset=folder", f"--videos={videos}", *arguments])
        return code, *capsys.readouterr()

    code, out, _ = command(f"--report={report}", "--processes=1")
    assert code == 0 and json.loads(report.read_text())
    videos = tmp_path / "videos"
    shutil.copytree(tiny_videos, videos)
    (videos / "dark" / "dark_3.mp4").write_bytes(b"")
    code, out, _ = command(videos=videos)
    assert code == 1 and "dark_3.mp4" in out


def test_skipped_videos_are_told(command, tmp_path, tiny_videos):
    videos = tmp_path / "videos"
    shutil.copytree(tiny_videos, videos)
    (videos / "dark" / "dark_3.mp4").write_bytes(b"")
    code, _, err = command(videos=videos)
    assert code == 1 and err.count("\n") == 1
    assert "1 of 10 videos cannot be read" in err and "--on_bad_video=skip" in err
    code, out, _ = command("--on_bad_video=skip", videos=videos)
    assert code == 0
    assert out.endswith("skipped dark/dark_3.mp4: is empty (0 bytes).\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--check", "--verify"), "--check and --verify: give one of them."),
        (("--report=a.json",), "--report: expected with --check"),
        (("--check",), "--out is not read with --check, which reads --dataset, --videos"),
        (("--verify",), "--dataset is not read with --verify, which reads --out. Leave it out."),
        (
            ("--manifest=a.csv",),
            "dataset='folder' does not read manifest='a.csv'; it reads videos.",
        ),
        (("--short_side=36",), "--short_side and --resize_height: give one of them."),
        (("--beam_options=--a",), "--beam_options is not read with --runner=local."),
        (("--runner=beam",), "--processes is not read with --runner=beam."),
        (("--jpeg_quality=101",), "jpeg_quality=101: expected from 1 to 100."),
        (("--frame_rate=0",), "frame_rate=0.0: expected from 0.001 to 1000."),
        (("--out=",), "--out is missing: the folder of records to make."),
        (("more",), "unexpected argument 'more'"),
    ],
)
def test_command_lines_that_cannot_be(command, arguments, message, tmp_path):
    code, _, err = command(*arguments)
    assert code == 2 and message in err
    assert not (tmp_path / "records").exists()


def test_a_split_that_is_not_there(command):
    code, _, err = command("--split=2")
    assert code == 1 and "split=2, subset='all': expected a split of folder (1)" in err


def test_motion_has_no_files_to_prepare(tmp_path, capsys):
    assert main(["prepare", "--dataset=motion", f"--out={tmp_path / 'records'}"]) == 1
    assert "motion: its videos are rendered" in capsys.readouterr().err


def test_a_run_on_records_is_evaluated_on_them_wherever_they_lie(command, make_config, tmp_path):
    command()
    config = make_config(
        records=str(tmp_path / "records"), epochs=1, clip_frames=2, eval_clips=1, validate_every=0
    )
    train(config)
    shutil.move(config.records, tmp_path / "moved")
    result = evaluate(config.model_dir, places={"records": str(tmp_path / "moved")})
    assert result["videos"] == 2


def test_records_of_others_get_a_manifest(command, tmp_path, capsys):
    command("--split=1")
    records = tmp_path / "records"
    (records / "manifest.json").unlink()
    arguments = ["prepare", "--scan", "--dataset=folder", f"--out={records}"]
    assert main(arguments) == 0
    assert "10 videos, 120 frames" in capsys.readouterr().out
    assert main(["prepare", "--verify", f"--out={records}"]) == 0
    capsys.readouterr()
    assert main(arguments) == 2
    assert "has a manifest.json, and can be read as it is" in capsys.readouterr().err
    assert main(["prepare", "--scan", "--dataset=folder", f"--out={tmp_path / 'none'}"]) == 2
    assert "none': no such folder; expected one of records of others" in capsys.readouterr().err
    code, _, err = command()
    assert code == 1 and "its records are of another program, and are ready as they are" in err
