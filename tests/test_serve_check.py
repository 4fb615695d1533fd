"""`r21d serve-check` against servers that answer as they should, and against others."""

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.cli import main
from r21d_keras.training.serving.comparison import WrongError, compared
from r21d_keras.training.serving.deployment import batching_parameters
from r21d_keras.training.serving.names import BATCHING, WARMUP
from r21d_keras.training.serving.saved_model import export

pytest.importorskip("tensorflow_serving.apis")  # of the extra servers
from tests import serving_double as double_of  # noqa: E402


def exported(run, out):
    """The folder of versions of a run, warmed up for one batch size."""
    (out / BATCHING).write_text(batching_parameters((1, 3)))
    export(run, out)
    return out


def checked(capsys, *arguments):
    """Exit code, and (result, name, detail) of each check."""
    code = main(["serve-check", *map(str, arguments)])
    out = capsys.readouterr().out
    rows = re.findall(r"^  (passed|FAILED|left out) +([^:\n]+)(?:: (.*))?$", out, re.MULTILINE)
    return code, rows, out


@pytest.mark.parametrize("options", [{}, {"stream": "flow"}, {"variant": "r2d_10"}], ids=str)
def test_a_server_passes(tiny_run, tmp_path, capsys, options):
    out = exported(tiny_run(**options), tmp_path)
    with double_of.Double({options.get("variant", "r2plus1d_10"): out}) as double:
        places = [f"--grpc={double.grpc}", f"--rest={double.rest}"]
        code, rows, printed = checked(capsys, out, *places)
    assert code == 0, printed
    results = [result for result, _, _ in rows]
    assert "FAILED" not in results and len(rows) > (60 if not options else 30)
    left_out = [name for result, name, why in rows if (result, why[:6]) == ("left out", "cannot")]
    by_rest = ("long clips", "too many clips", "no frames", "no clips")
    by_rest += ("another type",) if "stream" in options else ("4K",)
    assert left_out == [f"refuses {name}" for name in by_rest]
    assert printed.splitlines()[0] == str(out / "1")
    passed = results.count("passed")
    assert f"{len(rows)} checks: {passed} passed, 0 FAILED, {len(rows) - passed} left" in printed


@pytest.fixture(scope="module")
def models(tiny_run, tmp_path_factory):
    return exported(tiny_run(), tmp_path_factory.mktemp("models"))


def failed(rows):
    return {name: detail for result, name, detail in rows if result == "FAILED"}


def test_answers_that_are_no_numbers_are_wrong():
    own = {"embedding": np.zeros((1, 2), np.float32), "probabilities": np.ones((1, 2), np.float32)}
    assert compared(own, own) == 0.0
    for name in own:
        with pytest.raises(WrongError, match="differs by nan"):
            compared({**own, name: np.array([[1.0, np.nan]], np.float32)}, own)


def test_other_weights_and_other_versions_are_told(models, tiny_run, tmp_path, capsys):
    other = exported(tiny_run(classes=("no", "yes")), tmp_path)
    with double_of.Double({"mine": other}) as double:
        server = f"--grpc={double.grpc.removeprefix('grpc://')}/mine"
        code, rows, _ = checked(capsys, models, server)
    assert code == 1
    assert "another model than" in failed(rows)["describe"]
    assert "expected (2, 8)" in failed(rows)["answers serving_default"]
    export(tiny_run(), other)  # version 2, which is not served yet
    with double_of.Double({"mine": models}) as double:
        code, rows, _ = checked(capsys, other, f"--grpc={double.grpc}/mine")
    assert code == 1 and "expected version 2 AVAILABLE, got {1:" in failed(rows)["version"]


def test_a_server_that_is_away_keeps_none_from_being_checked(models, tiny_run, tmp_path, capsys):
    other = exported(tiny_run(variant="mc3_10"), tmp_path)
    with double_of.Double({"mc3_10": other, "r2plus1d_10": models}) as double:  # no /NAME needed
        servers = ["--grpc=127.0.0.1:1/m", f"--grpc={double.grpc}", "--timeout_s=5"]
        code, rows, printed = checked(capsys, models, *servers)
    there = [row for row in rows if row[1] == "has the model"]
    assert code == 1 and list(failed(rows)) == ["has the model"], printed
    assert [result for result, _, _ in there] == ["FAILED", "passed"]
    assert "UNAVAILABLE for 5 s" in there[0][2] and there[1][2] == "r2plus1d_10"


class Lenient(tf.Module):
    """Answers anything with the same numbers."""

    @tf.function(input_signature=[tf.TensorSpec(None, tf.uint8, "clips")])
    def __call__(self, clips):
        return {"probabilities": tf.fill((tf.shape(clips)[0], 8), 0.125)}


def test_a_server_that_refuses_nothing_fails(models, tmp_path, capsys):
    tf.saved_model.save(Lenient(), str(tmp_path / "1"))
    with double_of.Double({"r2plus1d_10": tmp_path}) as double:
        code, rows, printed = checked(capsys, models, f"--grpc={double.grpc}")
    wrong = failed(rows)
    assert code == 1 and ", got probabilities float32 (any, 8)" in wrong["signatures"]
    assert wrong["refuses 4 channels"] == "answered; expected INVALID_ARGUMENT"
    assert "outputs probabilities; expected" in wrong["answers serving_default"]
    assert re.search(r"\d+ passed, \d+ FAILED, 0 left out", printed)


def test_files_alone_are_checked_and_a_broken_warm_up_is_found(tiny_run, tmp_path, capsys):
    out = exported(tiny_run(), tmp_path)
    code, rows, printed = checked(capsys, out / "1")
    assert code == 0 and ("passed", "warm-up requests", "8 replayed") in rows
    assert "No server was asked" in printed
    warmup = out / "1" / WARMUP
    warmup.write_bytes(warmup.read_bytes()[:-9])
    code, rows, _ = checked(capsys, out)
    assert code == 1 and "the file ends within a record" in failed(rows)["warm-up requests"]
    warmup.write_bytes(b"")
    code, rows, _ = checked(capsys, out)
    assert code == 1 and failed(rows)["warm-up requests"] == "0 replayed; expected 8"


def test_the_version_that_is_named_is_checked_whichever_is_the_newest(
    models, tiny_run, tmp_path, capsys
):
    shutil.copytree(models, tmp_path, dirs_exist_ok=True)
    export(tiny_run(classes=("no", "yes")), tmp_path)
    with double_of.Double({"r2plus1d_10": tmp_path}, num_versions=2) as double:
        code, rows, printed = checked(capsys, tmp_path / "1", f"--grpc={double.grpc}")
    assert code == 0 and ("passed", "version", "1 AVAILABLE") in rows, printed


def test_the_folder_that_one_is_in_is_its_version(models, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(models / "1")
    code, rows, printed = checked(capsys, ".")
    assert code == 0 and ("passed", "version", "1 AVAILABLE") in rows, printed


def test_a_model_without_a_version_that_answers_fails(models, tmp_path, capsys):
    """Though the folder has no number that would say which."""
    copy = shutil.copytree(models / "1", tmp_path / "copy")
    damaged = shutil.copytree(models, tmp_path / "models")
    (damaged / "1" / "saved_model.pb").unlink()
    with double_of.Double({"r2plus1d_10": damaged}) as double:
        code, rows, _ = checked(capsys, copy, f"--grpc={double.grpc}")
    assert code == 1 and "expected version any AVAILABLE, got {1: 'END'}" in failed(rows)["version"]


def test_passwords_are_not_printed(models, capsys):
    server = "--rest=http://user:secret@127.0.0.1:1/mine"
    assert main(["serve-check", str(models), server, "--timeout_s=0.3"]) == 1
    out, err = capsys.readouterr()
    assert "\nhttp://127.0.0.1:1/mine\n" in out and "secret" not in out + err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "expected one folder"),
        (["nowhere"], 1, "nowhere holds no version; expected the --out of `r21d export`"),
        (["gs://bucket/models"], 1, "gs://bucket/models: an export is read on this machine"),
        (["MODELS", "--timeout_s=1e6"], 2, "timeout_s"),
        (["MODELS", "--rest=ftp://host"], 1, "expected grpc://HOST:PORT or http://HOST:PORT"),
        (["MODELS", "--grpc=127.0.0.1:1/m", "--rest=http://"], 1, "expected grpc://HOST:PORT or"),
    ],
)
def test_what_cannot_be_checked_is_an_error(models, capsys, arguments, code, said):
    arguments = [str(models) if text == "MODELS" else text for text in arguments]
    assert main(["serve-check", *arguments]) == code
    assert said in capsys.readouterr().err
