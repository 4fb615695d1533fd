"""What the README shows is so: its Python runs, its table and commands are the code's."""

import pathlib
import re

import numpy as np
import pytest

from r21d_keras import VideoResNet, count_macs
from r21d_keras.variants import FAMILIES

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| \S+ \| (.* \| [\d.]+ \| \d+) \|$", README, re.MULTILINE))


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_python_runs(capsys):
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    assert "72 variants; r2plus1d_18: 41.5 GMACs a clip\n" in capsys.readouterr().out


def test_table_lists_every_family():
    assert list(ROWS) == list(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_table_row(family):
    *kinds, parameters, macs, frames = ROWS[family].split(" | ")
    assert tuple(kinds) == FAMILIES[family]
    model = VideoResNet(f"{family}_18")
    trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert f"{trainable / 1e6:.2f}" == parameters
    assert f"{count_macs(model) / 1e9:.2f}" == macs
    assert str(model.get_layer("avgpool").input.shape[1]) == frames


def test_commands_and_flags_exist():
    flags = pytest.importorskip("absl.flags")
    from r21d_keras.training.commands import COMMANDS

    for line in "\n".join(blocks("sh")).replace("\\\n", " ").splitlines():
        if not line.startswith("r21d "):
            continue
        words = line.split("#")[0].split()[1:]
        name = next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)
        arguments = words[len(name.split()) :]
        values = flags.FlagValues()
        COMMANDS[name].define(values)
        values([name, *arguments])


def test_targets_exist():
    makefile = (pathlib.Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake (\w+)", "\n".join(blocks("sh"))):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
