"""Weights and SavedModels that one stack writes answer the same on another, live.

The other stack is the Python named in R21D_OTHER_PYTHON, or that of the virtual environment which
`make test` has made for it beside this one's.
"""

import os
import pathlib
import subprocess

import keras
import pytest

from tests import stack_files

ROOT = pathlib.Path(__file__).resolve().parent.parent
VENVS = {True: ".venv-card", False: ".venv"}  # of the other stack, by whether this one has Keras 3


@pytest.fixture(scope="module")
def other_python():
    """The Python of another stack."""
    named = os.environ.get("R21D_OTHER_PYTHON")
    if named:
        return named
    folder = VENVS[int(keras.__version__.split(".")[0]) >= 3]
    python = ROOT / folder / "bin" / "python"
    if not python.is_file():
        pytest.skip(f"no other stack in {folder}; name its Python in R21D_OTHER_PYTHON")
    return str(python)


def elsewhere(python, what, folder):
    environ = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    command = [python, "-m", "tests.stack_files", what, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_written_here_is_read_there(other_python, tmp_path):
    stack_files.write(tmp_path)
    elsewhere(other_python, "read", tmp_path)


def test_what_is_written_there_is_read_here(other_python, tmp_path):
    elsewhere(other_python, "write", tmp_path)
    stack_files.read(tmp_path)
    answers = tmp_path / "torchvision" / "answers.npy"
    (tmp_path / "paper" / "answers.npy").write_bytes(answers.read_bytes())
    with pytest.raises(AssertionError, match="paper weights"):  # other answers are noticed
        stack_files.read(tmp_path)
