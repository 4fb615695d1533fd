"""What README and docs show is so: their Python runs, their tables and commands are the code's.

Blocks marked ```python download would fetch a checkpoint, or want files that are not here: they are
not run, but what they name has to exist.
"""

import ast
import pathlib
import re
import shlex

import numpy as np
import pytest

from r21d_keras import VideoResNet, count_macs, zoo
from r21d_keras.variants import FAMILIES
from r21d_keras.zoo import table

ROOT = pathlib.Path(__file__).parent.parent
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README = PAGES["README.md"]
ROWS = dict(re.findall(r"^\| `(\w+)` \| \S+ \| (.* \| [\d.]+ \| \d+) \|$", README, re.MULTILINE))
CHOICES = re.findall(
    r"^\| .* \| `(\w+\.\w+)` \| ([\d.]+ \| [\d.]+ \| [\d.]+) \|$",
    PAGES["docs/which_checkpoint.md"],
    re.MULTILINE,
)


def blocks(page, language):
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, PAGES[page], re.MULTILINE | re.DOTALL)


def test_readmes_python_runs(capsys):
    (code,) = blocks("README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "72 variants; r2plus1d_18: 41.5 GMACs a clip\n" in capsys.readouterr().out


@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md"])
def test_python_of_the_docs_runs(page):
    for code in blocks(page, "python"):
        exec(compile(code, page, "exec"), {})


@pytest.mark.parametrize("page", PAGES)
def test_python_that_downloads_names_what_exists(page):
    for code in blocks(page, "python download"):
        for node in ast.walk(ast.parse(code, page)):
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "zoo":
                assert node.attr in zoo.__all__
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "get_weights":
                zoo.get_weights(*map(ast.literal_eval, node.args))


@pytest.mark.parametrize("page", PAGES)
def test_checkpoints_and_tags_exist(page):
    variants = "|".join(FAMILIES)
    for variant, tag in re.findall(rf"\b((?:{variants})_\d+)\.([a-z]\w+)\b(?!\()", PAGES[page]):
        zoo.get_weights(variant, tag)
    tags = {row.tag for row in zoo.list_weights()} | {"kinetics400"}
    for value in re.findall(r"""weights="(\w+)["]""", PAGES[page]):
        assert value in tags, value


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_there(page):
    for target in re.findall(r"\]\((?!\w+:)([^)#]+)\)", PAGES[page]):
        assert ((ROOT / page).parent / target).exists(), target


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


def test_table_of_checkpoints_is_not_stale():
    """To renew it, put the output of `r21d zoo list --markdown` between the two comments."""
    command = "r21d zoo list --markdown"
    _, _, rest = README.partition(f"<!-- {command} -->\n")
    shown, end, _ = rest.partition(f"\n<!-- end of {command} -->")
    assert end and shown.strip() == table.as_markdown(zoo.list_weights())


@pytest.mark.parametrize(("name", "numbers"), CHOICES, ids=[name for name, _ in CHOICES])
def test_numbers_of_recommended_checkpoints(name, numbers):
    row = zoo.get_weights(*name.split("."))
    rows = [table.percent(row.video_top1), f"{row.macs / 1e9:.2f}", f"{row.num_params / 1e6:.2f}"]
    assert numbers.split(" | ") == rows


def test_a_checkpoint_is_recommended_for_each_purpose():
    chapter = PAGES["docs/which_checkpoint.md"].split("\n## ")[0]
    assert len(CHOICES) == len(re.findall(r"^\| (?!you want|---)", chapter, re.MULTILINE)) > 5


def commands(page):
    """(name, parsed flags) of each `r21d` command that a page shows."""
    flags = pytest.importorskip("absl.flags")
    from r21d_keras.training.commands import COMMANDS

    inline = re.findall(r"`(r21d \w+ [^`]*--[^`]*)`", PAGES[page])
    for line in "\n".join([*blocks(page, "sh"), *inline]).replace("\\\n", " ").splitlines():
        if not line.startswith("r21d "):
            continue
        words = shlex.split(line, comments=True)[1:]
        name = next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)
        arguments = words[len(name.split()) :]
        values = flags.FlagValues()
        values.set_gnu_getopt(True)
        COMMANDS[name].define(values)
        values([name, *[word for word in arguments if word != "--help"]])
        yield name, values


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_flags_exist(page):
    list(commands(page))


@pytest.mark.parametrize("page", PAGES)
def test_records_are_made_at_the_rate_that_is_asked_of_them(page):
    pytest.importorskip("absl.flags")
    from r21d_keras.training.recipes import given_flags, resolve

    rates = {}
    for name, values in commands(page):
        if name in ("prepare", "flow"):
            rates[values["out"].value] = values["frame_rate"].value or 15.0
        elif name in ("train", "crossval") and values["records"].value in rates:
            config = resolve(values["recipe"].value, overrides=given_flags(values))
            assert config.frame_rate == rates[config.records]


def test_targets_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"\bmake (\w+)", "\n".join(blocks(page, "sh"))):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
