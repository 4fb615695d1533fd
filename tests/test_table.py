import dataclasses
import json

import pytest

from r21d_keras.zoo.preprocessing import KINETICS
from r21d_keras.zoo.published import Weights
from r21d_keras.zoo.table import (
    as_json,
    as_markdown,
    as_text,
    clip_size,
    facts,
    hash_state,
    percent,
)
from r21d_keras.zoo.weights import list_weights

ROWS = list_weights()
BARE = Weights(
    variant="r3d_50",
    tag="none_8f",
    naming="torchvision",
    url="https://example.org/r3d.pth",
    file_name="r3d.pth",
    page="https://example.org",
    license_note="Nothing is known.",
    input_shape=(8, 112, 112, 2),
    num_params=1_234_567,
    macs=2_345_000_000,
)
"""Of which as little is known as can be."""


def test_text_has_a_line_for_each_row_in_columns():
    head, *lines = as_text(ROWS).split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in lines] == [row.name for row in ROWS]
    for heading in ("trained on", "pretrained on", "input", "protocol", "licence", "hash"):
        place = head.index(heading)
        assert all(line[place - 2 : place].isspace() and line[place] != " " for line in lines)
    for heading in ("params (M)", "GMACs", "clip@1", "video@1"):
        end = head.index(heading) + len(heading)
        assert all(line[end - 1] != " " and line[end] == " " for line in lines)


def test_letters_stand_for_the_protocols_below():
    table, legend = as_text(ROWS).split("\n\n")
    meaning = dict(line.split(maxsplit=1) for line in legend.splitlines())
    head, *lines = table.splitlines()
    place = head.index("protocol")
    for row, line in zip(ROWS, lines, strict=True):
        shown = line[place:].split()[0]
        assert meaning.get(shown, shown) == (row.protocol or "unknown")
    assert set(meaning.values()) == {row.protocol for row in ROWS} - {None}


def test_unknown_facts_are_shown_as_unknown():
    table, *legend = as_text([BARE]).split("\n\n")
    assert not legend
    shown = table.splitlines()[1].split("  ")
    assert [cell.strip() for cell in shown if cell.strip()] == [
        *("r3d_50.none_8f", "Kinetics-400", "-", "8x112x112 flow", "1.23", "2.35"),
        *["unknown"] * 4,
        "none published",
    ]
    assert json.loads(as_json([BARE]))[0]["video_top1"] is None


def test_markdown_has_the_same_cells():
    lines = as_markdown(ROWS).split("\n\n")[0].splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines]
    assert {len(line) for line in cells} == {11}
    assert [line[0] for line in cells[2:]] == [f"`{row.name}`" for row in ROWS]
    texts = [" ".join(line.split()) for line in as_text(ROWS).split("\n\n")[0].splitlines()]
    assert [" ".join(line).replace("`", "") for line in (cells[0], *cells[2:])] == texts


def test_json_holds_every_fact():
    for row, read in zip(ROWS, json.loads(as_json(ROWS)), strict=True):
        assert read.pop("name") == row.name
        numbers = {**read.pop("preprocessing")}
        for name, value in read.items():
            known = getattr(row, name)
            assert value == (list(known) if isinstance(known, tuple) else known)
        assert set(numbers) == {field.name for field in dataclasses.fields(KINETICS)}
        assert tuple(numbers["mean"]) == row.preprocessing.mean
    assert set(facts(BARE)) == {"name", *(field.name for field in dataclasses.fields(Weights))}


@pytest.mark.parametrize("show", [as_text, as_markdown])
def test_no_rows_leave_the_headings(show):
    assert show([]).startswith(("name", "| name")) and "unknown" not in show([])
    assert as_json([]) == "[]"


@pytest.mark.parametrize(
    ("file_hash", "shown"),
    [
        (None, "none published"),
        ("sha256:" + "a" * 64, "sha256"),
        ("sha256:" + "a" * 8, "sha256, 8 digits"),
        ("sha1:" + "b" * 40, "sha1"),
    ],
)
def test_hash_state(file_hash, shown):
    assert hash_state(dataclasses.replace(BARE, file_hash=file_hash)) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "unknown"), (47.0, "47.0"), (63.96, "63.96"), (67.463, "67.46")]
)
def test_percent(value, shown):
    assert percent(value) == shown


def test_clip_size_says_rgb_or_flow():
    assert {clip_size(row).split()[1] for row in ROWS} == {"RGB", "flow"}
