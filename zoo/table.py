"""Rows of published checkpoints as a table for the terminal, as Markdown and as JSON."""

import dataclasses
import json
import string
from collections.abc import Callable, Sequence

from .hashes import split_hash
from .published import Weights

UNKNOWN = "unknown"
"""What is shown of a fact that nobody published."""
CHANNELS = {2: "flow", 3: "RGB"}
_DIGITS = {"sha256": 64, "sha1": 40}  # of a whole digest


def facts(row: Weights) -> dict:
    """All that is known of a checkpoint, ready for JSON; None where it is not known."""
    return {"name": row.name, **dataclasses.asdict(row)}


def clip_size(row: Weights) -> str:
    """The clip a checkpoint was trained on, "16x112x112 RGB": frames, height, width, kind."""
    frames, height, width, channels = row.input_shape
    return f"{frames}x{height}x{width} {CHANNELS[channels]}"


def hash_state(row: Weights) -> str:
    """What was published to check the file by, such as "sha256, 8 digits"."""
    algorithm, digits = split_hash(row.file_hash)
    if not digits:
        return "none published"
    return algorithm if len(digits) == _DIGITS[algorithm] else f"{algorithm}, {len(digits)} digits"


def percent(value: float | None) -> str:
    """An accuracy with as many digits as were published, or "unknown"."""
    return UNKNOWN if value is None else f"{value:.2f}".removesuffix("0")


# Heading, alignment of what stands below, and what that is.
_COLUMNS: tuple[tuple[str, str, Callable[[Weights], str]], ...] = (
    ("name", "<", lambda row: row.name),
    ("trained on", "<", lambda row: row.dataset),
    ("pretrained on", "<", lambda row: row.pretraining or "-"),
    ("input", "<", clip_size),
    ("params (M)", ">", lambda row: f"{row.num_params / 1e6:.2f}"),
    ("GMACs", ">", lambda row: f"{row.macs / 1e9:.2f}"),
    ("clip@1", ">", lambda row: percent(row.clip_top1)),
    ("video@1", ">", lambda row: percent(row.video_top1)),
    ("protocol", "<", lambda row: row.protocol or UNKNOWN),
    ("licence", "<", lambda row: row.license or UNKNOWN),
    ("hash", "<", hash_state),
)
_NAME, _PROTOCOL = 0, [heading for heading, *_ in _COLUMNS].index("protocol")


def as_text(rows: Sequence[Weights]) -> str:
    """A table in columns of spaces; below it the protocols that its letters stand for."""
    cells, protocols = _cells(rows)
    cells.insert(0, [heading for heading, *_ in _COLUMNS])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            f"{cell:{align}{width}}"
            for cell, (_, align, _), width in zip(line, _COLUMNS, widths, strict=True)
        ).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, *_legend(protocols, "  {}  {}")])


def as_markdown(rows: Sequence[Weights]) -> str:
    """A table in Markdown; below it the protocols that its letters stand for."""
    cells, protocols = _cells(rows)
    for line in cells:
        line[_NAME] = f"`{line[_NAME]}`"
    rules = ["--:" if align == ">" else "---" for _, align, _ in _COLUMNS]
    lines = [[heading for heading, *_ in _COLUMNS], rules, *cells]
    table = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([*table, *_legend(protocols, "- {}: {}")])


def as_json(rows: Sequence[Weights]) -> str:
    """A JSON list with all facts of each row; null where one is not known."""
    return json.dumps([facts(row) for row in rows], indent=2)


def _cells(rows: Sequence[Weights]) -> tuple[list[list[str]], dict[str, str]]:
    """The table's cells, and protocol -> the letter that stands for it in them."""
    protocols = dict.fromkeys(row.protocol for row in rows if row.protocol)
    letters = dict(zip(protocols, string.ascii_lowercase, strict=False))
    cells = [[show(row) for *_, show in _COLUMNS] for row in rows]
    for line in cells:
        line[_PROTOCOL] = letters.get(line[_PROTOCOL], line[_PROTOCOL])
    return cells, letters


def _legend(protocols: dict[str, str], form: str) -> list[str]:
    """Lines that say what the letters stand for, after an empty one."""
    lines = [form.format(letter, protocol) for protocol, letter in protocols.items()]
    return ["", *lines] if lines else []
