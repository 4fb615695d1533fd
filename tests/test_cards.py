import json
import re

import numpy as np
import pytest

from r21d_keras import zoo
from r21d_keras.zoo import cards, citations, front_matter
from r21d_keras.zoo.cache import weights_file
from r21d_keras.zoo.errors import DownloadError
from r21d_keras.zoo.table import percent
from r21d_keras.zoo.weights_h5 import read_card
from tests.published_files import (
    SMALL_CLIP,
    clips_of,
    list_rows,
    publish,
    seeded_network,
    small_rows,
)

ROWS = zoo.list_weights()
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


@pytest.fixture
def small_row(tmp_path, monkeypatch):
    """A row of a small network, its file in a mirror, and a cache of its own."""
    (tmp_path / "mirror").mkdir()
    row = publish(small_rows()[0], tmp_path / "mirror")
    list_rows(monkeypatch, row)
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("R21D_MIRROR", str(tmp_path / "mirror"))
    return row


@every_row
def test_description_says_all_that_is_known(row, tmp_path):
    text = cards.describe(row, tmp_path)
    unwrapped = re.sub(r"\n {15}(?! )", " ", text)
    said = dict(re.findall(r"^(\S.*?)  +(.*)$", unwrapped, re.MULTILINE))
    assert text.startswith(f"{row.name}\n")
    assert said["from"] == row.url and said["described at"] == row.page
    assert said["licence"].startswith(row.license or "unknown")
    assert said["protocol"] == (row.protocol or "unknown")
    known = [row.clip_top1, row.video_top1, row.video_top5]
    scores = [f"{percent(value)} %" for value in known if value is not None]
    assert re.findall(r"[\d.]+ %", said["accuracy"]) == scores
    assert said["accuracy"].count("unknown") == known.count(None)
    assert said["note"] == row.note if row.note else "note" not in said
    assert str(tmp_path / "downloads" / row.file_name) in said["downloaded"]
    assert f"zoo.{row.variant}" in said["use"] and row.tag in said["use"]


def test_description_finds_what_the_cache_holds(small_row, tmp_path):
    home = tmp_path / "home"
    assert cards.describe(small_row, home).count("not yet") == 2
    path = weights_file(small_row)
    text = cards.describe(small_row, home)
    assert "not yet" not in text and str(path) in text


@every_row
def test_paper_and_data_sets_are_cited(row):
    keys = [re.match(r"@\w+{(\w+),", entry)[1] for entry in citations.citations(row)]
    assert keys[0] == "tran2018closer" and len(set(keys)) == len(keys)
    assert ("ghadiyaram2019large" in keys) == ("IG-65M" in (row.dataset, row.pretraining))
    assert ("kay2017kinetics" in keys) == ("Kinetics-400" in (row.dataset, row.pretraining))
    assert ("karpathy2014large" in keys) == ("Sports-1M" in (row.dataset, row.pretraining))
    assert ("kuehne2011hmdb" in keys) == (row.dataset == "HMDB51")
    assert len(keys) >= 2


@every_row
def test_bibtex_is_balanced(row):
    for entry in citations.citations(row):
        assert entry.count("{") == entry.count("}") and entry.endswith("\n}")
        fields = re.findall(r"^  (\w+) +=", entry, re.MULTILINE)
        assert {"title", "author", "year"} <= set(fields)


@every_row
def test_front_matter_is_what_hubs_read(row):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    lines = front_matter.front_matter(row).splitlines()
    assert lines[0] == lines[-1] == "---"
    read = yaml.safe_load("\n".join(lines[1:-1]))
    assert read["license"] == (row.license or "unknown").lower()
    assert (read["library_name"], read["pipeline_tag"]) == ("keras", "video-classification")
    assert row.dataset.lower().replace(" ", "-") == read["datasets"][-1]
    assert ("optical-flow" in read["tags"]) == (row.input_shape[3] == 2)
    known = [row.clip_top1, row.video_top1, row.video_top5]
    values = [value for value in known if value is not None]
    assert ("model-index" in read) == bool(values)
    if values:
        (result,) = read["model-index"][0]["results"]
        assert [metric["value"] for metric in result["metrics"]] == values
        assert result["dataset"]["name"] == row.dataset
        assert result["source"] == {"name": row.protocol, "url": row.page}


def test_card_is_a_folder_whose_weights_load(small_row, tmp_path):
    out = cards.write_card(small_row, tmp_path / "deep" / "card")
    name = small_row.name
    names = {"README.md", "LICENSE", f"{name}.json", f"{name}.weights.h5"}
    assert {path.name for path in out.iterdir()} == names
    assert [path.name for path in out.parent.iterdir()] == ["card"]
    read_me = (out / "README.md").read_text("utf-8")
    assert f"# {name}\n" in read_me and small_row.url in read_me and "tran2018closer" in read_me
    (code,) = re.findall(r"```python\n(.*?)```", read_me, re.DOTALL)
    compile(code, "README.md", "exec")
    card = json.loads((out / f"{name}.json").read_text("utf-8"))
    assert card["name"] == name and card["input_shape"] == list(small_row.input_shape)
    converted = read_card(weights_file(small_row))
    differing = {key for key in converted if card.get(key) != converted[key]}
    assert differing == {"input_shape", "num_params"}  # the row is that of a larger network
    assert "unknown" in (out / "LICENSE").read_text("utf-8")
    model = zoo.r2plus1d_10(
        weights=str(out / f"{name}.weights.h5"),
        input_shape=SMALL_CLIP,
        classifier_activation=None,
    )
    clips = clips_of(SMALL_CLIP)
    expected = seeded_network(small_row).predict(clips, verbose=0)
    np.testing.assert_allclose(model.predict(clips, verbose=0), expected, rtol=1e-5, atol=1e-5)


def test_an_empty_folder_is_filled(small_row, tmp_path):
    (tmp_path / "card").mkdir()
    assert (cards.write_card(small_row, tmp_path / "card") / "README.md").is_file()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_there_stays_and_is_an_error_before_any_work(small_row, tmp_path, kind):
    out = tmp_path / "card"
    if kind == "folder":
        out.mkdir()
    place = out / "mine.txt" if kind == "folder" else out
    place.write_text("mine")
    with pytest.raises(FileExistsError, match="exists already. Name a folder that does not"):
        cards.write_card(small_row, out)
    assert place.read_text() == "mine" and not (tmp_path / "home").exists()


def test_weights_that_cannot_be_got_leave_no_folder(small_row, tmp_path, monkeypatch):
    monkeypatch.setenv("R21D_OFFLINE", "1")
    (tmp_path / "mirror" / small_row.file_name).unlink()
    with pytest.raises(DownloadError, match=small_row.file_name):
        cards.write_card(small_row, tmp_path / "cards" / "card")
    assert not (tmp_path / "cards").exists()
