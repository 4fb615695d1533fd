"""A disk that fills while a run trains or is exported: what is kept is whole, and work goes on."""

import shutil
import subprocess

import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.commands.command import DONE, FAILED
from r21d_keras.training.config import ConfigError
from r21d_keras.training.formats.table import check_format
from r21d_keras.training.history import read_history
from tests import processes
from tests.test_mid_epoch import arguments

SIZE_KB = 16_384  # of the disk


@pytest.fixture
def disk(tmp_path):
    """A small file system, of memory, and a function that leaves so many kB of it free."""
    root = tmp_path / "disk"
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(root)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")

    def leave(free_kb):
        (root / "other").write_bytes(bytes(1024 * (SIZE_KB - free_kb)))

    yield root, leave
    subprocess.run(["umount", str(root)], check=True)


@pytest.mark.parametrize(
    "free_kb, interval, message, goes_on",
    [
        (
            1800,
            1,
            "state of the run after step 2 of epoch 1 cannot be kept",
            "step 1 of epoch 1",
        ),
        (0, 0, "run/data.json cannot be written: No space left on device. Make space", ""),
        (300, 0, "best.weights.h5 cannot be written: it takes 0.", ""),
    ],
)
def test_a_full_disk_ends_a_run_which_goes_on_when_there_is_space(
    disk, tiny_videos, tmp_path, free_kb, interval, message, goes_on
):
    (root, leave), said = disk, tmp_path / "said"
    command = arguments(tiny_videos, root / "run", checkpoint_interval=interval)
    leave(free_kb)
    assert processes.run(command, said) == FAILED
    error = said.read_text("utf-8").splitlines()[-1]
    assert error.startswith("r21d train: error: ") and message in error
    assert "start again with the same --model_dir to go on." in error
    if goes_on:
        kept = root / "run" / "checkpoints" / "ckpt-0-1"
        assert "; No space left on device. " in error and "{{" not in error
        assert f"What was kept before is whole: {kept}.*. " in error
    left = [path.name for path in (root / "run").rglob("*") if path.is_file()]
    assert not [name for name in left if "partial" in name or "temp" in name]
    leave(SIZE_KB)
    assert processes.run(command, said) == DONE, said.read_text("utf-8")
    assert (f"Continuing after {goes_on}." in said.read_text("utf-8")) == bool(goes_on)
    assert len(read_history(root / "run" / "history.csv")) == 2


@pytest.mark.parametrize("name", ["tf", "openvino", "litert", "onnx"])
def test_a_full_disk_gets_no_half_a_version(disk, tiny_run, name, capsys):
    try:
        check_format(name, "float32")
    except ConfigError as error:
        pytest.skip(str(error))
    (root, leave), run = disk, tiny_run()
    leave(100)
    export = ["export", f"--model_dir={run}", f"--out={root}/models", f"--format={name}"]
    assert main(export) == FAILED
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"{root}/models" in said and ("No space left" in said or "Is the disk full?" in said)
    assert [path.name for path in root.iterdir()] == ["other"]
    leave(SIZE_KB)
    assert main(export) == DONE
