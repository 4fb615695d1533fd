import os
import re
import subprocess
import sys

import pytest

from r21d_keras import __version__
from r21d_keras.training.cli import main
from r21d_keras.training.commands import COMMANDS

COMMAND = [sys.executable, "-m", "r21d_keras.training.cli"]
VERSION = f"r21d_keras {__version__}\n"


def r21d(*arguments, stdout=subprocess.PIPE):
    """The command in a process of its own, as a user starts it."""
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
    )


def one_line(text):
    assert text.endswith("\n") and text.count("\n") == 1, text
    return text.strip()


def test_commands_answer_in_a_process_of_their_own():
    version = r21d("--version")
    assert (version.returncode, version.stdout) == (0, VERSION)
    assert version.stderr == ""


def test_help_lists_every_command_and_needs_no_tensorflow():
    code = (
        "import sys, r21d_keras.training.cli as cli; code = cli.main(['--help']);"
        "sys.exit(code or 'tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    listed = re.findall(r"^  (\S+(?: \S+)?) +\w", done.stdout, re.M)
    assert all(line.startswith(name) for line, name in zip(listed, COMMANDS, strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_all_its_flags(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"usage: r21d {name} ") and err == ""
    assert "--verbosity" in out
    assert all(re.search(r"\w", line) for line in out.splitlines()[4:])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown command 'trian'. Did you mean train? Known: demo, train,"),
        (["--verbosity=1"], "unknown command '--verbosity=1'."),
        (["train", "--epoch=3"], "unknown flag --epoch. Did you mean --epochs?"),
        (
            ["train", "--norandom_flips"],
            "unknown flag --norandom_flips. Did you mean --random_flip?",
        ),
        (["train", "--norandom_flip=1"], "--norandom_flip=1 does not take an argument. "),
        (["train", "--epochz=3", "--undefok=epochz"], "--undefok is refused: it would hide"),
        (["train", "-undefok", "epochz", "--epochz=3"], "--undefok is refused: it would hide"),
        (["train", "--zzz"], "unknown flag --zzz. `r21d train --help` lists all."),
        (["train", "--epochs=many"], "flag --epochs=many: "),
        (["train", "--recipe=none_such"], "--recipe=none_such: value should be one of <"),
        (["train", "--epochs"], "Missing value for flag --epochs"),
        (["train", "video.mp4", "--model_dir=x"], "unexpected argument 'video.mp4'"),
        (["train"], "--model_dir is missing"),
        (["train", "--model_dir=x", "--clip_frames=0", "--epochs=0"], "expected at least 1"),
        (["train", "--model_dir=x", "--config_file=no.json"], "no.json: cannot be read"),
        (["evaluate"], "--model_dir is missing"),
        (["evaluate", "--model_dir=x", "--num_clips=0"], "flag --num_clips=0: "),
        (["export", "--model_dir=x"], "--out is missing"),
        (["predict", "video.mp4"], "--model is missing"),
        (["predict", "--model=x"], "no video given"),
        (["demo"], "--out is missing"),
        (["demo", "--out=x", "--seed=5000000000"], "flag --seed=5000000000: "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in one_line(err)
    assert err.startswith(f"r21d {arguments[0]}: " if arguments[0] in COMMANDS else "r21d: ")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_a_reader_that_stops_early_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as nowhere:
        done = r21d(*arguments, stdout=nowhere)
    assert (done.returncode, done.stderr) == (1, "")


def test_undefok_is_refused_in_a_file_of_flags_too(tmp_path, capsys):
    (tmp_path / "flags.txt").write_text("--epochz=3\n--undefok=epochz\n")
    assert main(["train", f"--flagfile={tmp_path / 'flags.txt'}", "--model_dir=x"]) == 2
    assert "--undefok is refused" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("arguments", "code"), [(["--version"], 0), (["evaluate", "--model_dir=/none"], 1)]
)
def test_closed_streams_change_nothing_but_what_is_seen(closed, arguments, code):
    """`r21d ... 2>&-`: Python has no sys.stderr then, and descriptor 2 is free to be taken."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert done.stdout == ("" if ">&-" in closed.split() or code else VERSION)
    assert ("Traceback" not in done.stderr) and bool(done.stderr) == (closed == ">&-" and code > 0)


def test_no_command_shows_the_overview_as_an_error(capsys):
    assert main([]) == 2
    assert "usage: r21d COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--model_dir=no_such_run"], "no_such_run holds no training run"),
        (["export", "--model_dir=no_such_run", "--out=out"], "no_such_run holds no training run"),
        (["predict", "--model=no_such_run", "a.mp4"], "holds neither a run (config.json) nor"),
        (["predict", "a.mp4", "--model=no_such_run", "--json"], "holds neither a run"),
    ],
)
def test_an_error_is_one_line_and_code_1(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert message in one_line(err)
    assert err.startswith(f"r21d {arguments[0]}: error: ")
    assert list(tmp_path.iterdir()) == []


def test_verbosity_adds_the_traceback(capsys):
    assert main(["evaluate", "--model_dir=no_such_run", "--verbosity=1"]) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1].startswith("r21d evaluate: error: no_such_run holds no")


def test_tensorflow_starts_quietly(monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    done = r21d("evaluate", "--model_dir=/none")
    assert done.returncode == 1
    assert one_line(done.stderr).startswith("r21d evaluate: error: /none holds no training run")
