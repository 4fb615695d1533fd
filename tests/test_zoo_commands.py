import hashlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from r21d_keras import zoo
from r21d_keras.training.cli import main
from r21d_keras.zoo import table
from tests.published_files import (
    SMALL_CLIP,
    clips_of,
    list_rows,
    publish,
    seeded_network,
    small_rows,
)


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Rows of small networks, in the table; their files in a mirror; a cache of its own."""
    (tmp_path / "mirror").mkdir()
    rows = [publish(row, tmp_path / "mirror") for row in small_rows()]
    list_rows(monkeypatch, *rows)
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R21D_MIRROR", str(tmp_path / "mirror"))
    return rows


def listed(capsys, *arguments):
    """Names that `r21d zoo list` prints."""
    assert main(["zoo", "list", *arguments]) == 0
    out = capsys.readouterr().out.split("\n\n")[0]
    return [line.split()[0] for line in out.splitlines()[1:]]


def test_list_prints_every_row_and_keeps_to_filters(capsys):
    assert listed(capsys) == [row.name for row in zoo.list_weights()]
    assert listed(capsys, "--channels=2") == [row.name for row in zoo.list_weights(channels=2)]
    some = listed(capsys, "--variant=mc3_18", "--dataset=kinetics400", "--frames=16")
    assert some == ["mc3_18.kinetics400_16f", "mc3_18.kinetics400_16f_torchvision"]


def test_list_in_other_forms(capsys):
    assert main(["zoo", "list", "--variant=r3d_18", "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in read] == [row.name for row in zoo.list_weights("r3d_18")]
    assert main(["zoo", "list", "--markdown"]) == 0
    assert capsys.readouterr().out == table.as_markdown(zoo.list_weights()) + "\n"


def test_a_network_without_weights_is_no_error(capsys):
    assert main(["zoo", "list", "--variant=r3d_50"]) == 0
    assert capsys.readouterr().out == "No checkpoint with all of this was published.\n"
    assert main(["zoo", "list", "--variant=r3d_50", "--json"]) == 0
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.parametrize(
    "words", [["mc3_18.kinetics400_8f"], ["mc3_18", "kinetics400_8f"]], ids=["one", "two"]
)
def test_show_takes_a_name_as_one_word_or_two(words, capsys):
    assert main(["zoo", "show", *words]) == 0
    out = capsys.readouterr().out
    row = zoo.get_weights("mc3_18", "kinetics400_8f")
    assert out.startswith(f"{row.name}\n") and row.url in out and "@inproceedings" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "--variant=mc3_81"], "--variant=mc3_81 is unknown. Did you mean mc3_18"),
        (
            ["list", "--dataset=kinetics"],
            "Unknown dataset 'kinetics'. Expected one of Kinetics-400",
        ),
        (["list", "--frames=17"], "--frames=17 is unknown. "),
        (["list", "--channels=4"], "--channels=4 is unknown. Known: 2, 3."),
        (["list", "--json", "--markdown"], "--json and --markdown exclude each other"),
        (["list", "mc3_18"], "unexpected argument 'mc3_18'"),
        (["show"], "expected a checkpoint as VARIANT.TAG; got nothing. `r21d zoo list` has all."),
        (["show", "mc3_18"], "got mc3_18. Tags of mc3_18: kinetics400_8f, kinetics400_16f"),
        (["show", "a", "b", "c"], "got a b c."),
        (["show", "mc3_81.kinetics400_8f"], "unknown variant 'mc3_81'. Did you mean mc3_18"),
        (["show", "mc3_18.kinetics400_9f"], "for mc3_18. Did you mean 'kinetics400_8f'?"),
        (["show", "r3d_50.kinetics400"], "there are none of r3d_50 here"),
        (["card", "mc3_18.kinetics400_8f"], "--out is missing: the folder to make."),
        (["card", "--out=x", "mc3_18.kinetics400_9f"], "Did you mean 'kinetics400_8f'?"),
        (["convert", "--out=x"], "expected one checkpoint to convert; got 0."),
        (["convert", "a.pth", "b.pth", "--out=x"], "expected one checkpoint to convert; got 2."),
        (["convert", "a.pth"], "--out is missing"),
        (["convert", "a.pth", "--out=x", "--variant=r3d18"], "Did you mean r3d_18"),
        (["convert", "a.pth", "--out=x", "--convention=vmz"], "--convention=vmz: value should be"),
        (["mirror", "--all"], "--out is missing"),
        (["mirror", "--out=x"], "expected either --all or names"),
        (["mirror", "--all", "mc3_18.kinetics400_8f", "--out=x"], "expected either --all or names"),
        (["mirror", "mc3_18.kinetics400_9f", "--out=x"], "Did you mean 'kinetics400_8f'?"),
        (["plot"], "--out is missing"),
        (["plot", "zoo.png"], "unexpected argument 'zoo.png'"),
        (["plotting"], "unknown command 'plotting'. Did you mean plot?"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(
    arguments, message, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(["zoo", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert message in err and err.startswith("r21d zoo")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list"], 0),
        (["list", "--markdown"], 0),
        (["show", "r2plus1d_34.ig65m_kinetics400_32f"], 0),
        (["plot", "--out=zoo.png"], 0),
        (
            ["mirror", "mc3_18.kinetics400_8f", "--out=mirror"],
            1,
        ),  # there is no network: R21D_OFFLINE
        (["card", "mc3_18.kinetics400_8f"], 2),
        (["convert", "--out=x"], 2),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_needs_no_tensorflow(arguments, code, tmp_path):
    program = (
        "import sys; from r21d_keras.training.cli import main; code = main(sys.argv[1:]);"
        "sys.exit(99 if {'keras', 'tensorflow'} & set(sys.modules) else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "zoo", *arguments],
        env={
            **{name: value for name, value in os.environ.items() if name != "R21D_MIRROR"},
            "PYTHONPATH": os.pathsep.join(sys.path),
            "R21D_HOME": str(tmp_path / "home"),
            "R21D_OFFLINE": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    assert ("r21d zoo" in done.stderr) == bool(code)


def test_card_makes_a_folder(published, tmp_path, capsys):
    name = published[0].name
    assert main(["zoo", "card", name, f"--out={tmp_path / 'card'}"]) == 0
    assert capsys.readouterr().out == f"{name} is in {tmp_path / 'card'}\n"
    assert (tmp_path / "card" / f"{name}.weights.h5").is_file()
    assert main(["zoo", "card", name, f"--out={tmp_path / 'card'}"]) == 1
    assert "exists already" in capsys.readouterr().err


def test_convert_says_what_it_found(published, tmp_path, capsys):
    row, out = published[0], tmp_path / "mine.weights.h5"
    source = tmp_path / "mirror" / row.file_name
    for given in (str(out), str(tmp_path / "mine")):
        assert main(["zoo", "convert", str(source), f"--out={given}"]) == 0
        printed = capsys.readouterr().out
        assert f"{row.file_name}: r2plus1d_10, tensors named as in caffe2\n" in printed
        assert "convention: paper (the file tells)\n" in printed
        assert "clips: any number of frames, 3 channels; classes: 400; parameters: " in printed
        assert f"weights: {out}\ncard:    {tmp_path / 'mine.json'}\n" in printed
    use = re.search(r"^use: +zoo\.(\w+)\(weights=\"(.*)\"\)$", printed, re.MULTILINE)
    model = getattr(zoo, use[1])(weights=use[2], input_shape=SMALL_CLIP, classifier_activation=None)
    clips = clips_of(SMALL_CLIP)
    expected = seeded_network(row).predict(clips, verbose=0)
    np.testing.assert_allclose(model.predict(clips, verbose=0), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("flags", "convention", "how"),
    [
        ([], "torchvision", "assumed: the file does not tell. If it is VMZ's network, give --conv"),
        (["--convention=paper"], "paper", "as you say"),
        (["--convention=torchvision", "--variant=mc3_10"], "torchvision", "as you say"),
    ],
)
def test_convert_says_who_told_the_convention(flags, convention, how, tmp_path, capsys):
    path = tmp_path / "mc3.pth"
    write_small_pytorch(path, "mc3_10")
    assert main(["zoo", "convert", str(path), f"--out={tmp_path / 'mc3'}", *flags]) == 0
    assert f"convention: {convention} ({how}" in capsys.readouterr().out


def write_small_pytorch(path, variant):
    """A state dict of a network that does not tell its convention."""
    from tests import checkpoint_files
    from tests.named_checkpoints import seeded, torch_shapes

    arrays = seeded(torch_shapes(variant, "torchvision", 5, 3, None))
    checkpoint_files.write_torch_zip(path, arrays)


@pytest.mark.parametrize(
    ("content", "flags", "message"),
    [
        (None, [], "No such file"),
        (b"nonsense", [], "expected a checkpoint of PyTorch"),
        ("mc3_10", ["--variant=r3d_10"], "holds mc3_10; expected r3d_10"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_code_1(content, flags, message, tmp_path, capsys):
    path = tmp_path / "file.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        write_small_pytorch(path, content)
    assert main(["zoo", "convert", str(path), f"--out={tmp_path / 'out'}", *flags]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert err.startswith("r21d zoo convert: error: ") and message in err
    assert {file.name for file in tmp_path.iterdir()} <= {"file.pth"}


def test_mirror_holds_the_authors_files(published, tmp_path, capsys):
    names = [row.name for row in published[:2]]
    out = tmp_path / "copy"
    assert main(["zoo", "mirror", *names, f"--out={out}"]) == 0
    assert capsys.readouterr().out == f"2 files are in {out}\nUse it:  R21D_MIRROR={out}\n"
    for row in published[:2]:
        assert (out / row.file_name).read_bytes() == (
            tmp_path / "mirror" / row.file_name
        ).read_bytes()
    sums = dict(line.split()[::-1] for line in (out / "SHA256SUMS").read_text().splitlines())
    path = out / published[0].file_name
    assert sums[path.name] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_plot_draws_a_picture(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    assert main(["zoo", "plot", f"--out={tmp_path / 'zoo.png'}"]) == 0
    assert capsys.readouterr().out == f"picture: {tmp_path / 'zoo.png'}\n"
    assert imread(tmp_path / "zoo.png").shape[1] == 2025
    assert [path.name for path in tmp_path.iterdir()] == ["zoo.png"]
