import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from matplotlib.image import imread

from r21d_keras import __version__
from r21d_keras.training.config import ConfigError
from r21d_keras.training.demo import DemoError, _command, demo

TINY = {
    "width_multiplier": 0.125,
    "clip_frames": 4,
    "epochs": 1,
    "warmup_epochs": 0.0,
    "clips_per_epoch": 12,
    "global_batch_size": 8,
    "eval_clips": 2,
}


def test_whole_chain_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    out = tmp_path / "demo"
    result = demo(out, TINY, required_accuracy=0.0)
    text = capsys.readouterr().out
    assert result["videos"] == 160 and result["skipped"] == []
    assert result == json.loads((out / "evaluation.json").read_text("utf-8"))
    for name in ("curves.png", "confusion.png", "prediction.png"):
        assert imread(out / name).ndim == 3
        assert str(out / name) in text
    assert (out / "export" / "1" / "saved_model.pb").is_file()
    _check_next_steps(text, monkeypatch)
    assert text.count("right\n") + text.count("wrong\n") == 8  # one unseen video of each class

    # Again: nothing is left to train, the old export stays, and what is too bad is said.
    with pytest.raises(DemoError, match="expected at least 101% of the held-out videos"):
        demo(out, TINY, required_accuracy=1.01)
    assert sorted(name for name in os.listdir(out / "export") if name.isdecimal()) == ["1", "2"]
    assert (out / "history.csv").read_text("utf-8").count("\n") == 2


def _check_next_steps(text, monkeypatch):
    """They can be typed as they are printed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    command = re.search(r"^Next     (.*) predict --model=", text, re.M)[1]
    done = subprocess.run([*shlex.split(command), "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"r21d_keras {__version__}\n")
    monkeypatch.setenv("PATH", os.devnull)
    assert "/" in _command()  # r21d alone would not be found


def test_errors_name_the_flag_of_the_demo(tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="another --out") as error:
        demo(tmp_path / "file", TINY)
    assert "--model_dir" not in str(error.value)
    with pytest.raises(ConfigError, match="seed=2147483648: expected at most 2147483647"):
        demo(tmp_path / "demo", {"seed": 2**31})
