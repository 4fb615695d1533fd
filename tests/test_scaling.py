"""The tables of docs/scaling.md are what its own arithmetic gives."""

import pathlib
import re

import pytest

PAGE = (pathlib.Path(__file__).parent.parent / "docs" / "scaling.md").read_text("utf-8")
GRADIENTS = (
    r"\| (R\(2\+1\)D-\d+), (\d+) frames \| ([\d,]+) \| [\d.]+ "
    r"\| (\d+) MB \| ([\d.]+) ms \| (\d+) "
)
INPUT = (
    r"^\| ([\d.]+)(?: \(the paper, (\d+) frames\))? "
    r"\| (\d+) \| (\d+) MB/s \| (\d+) \| ([\d.]+) \|"
)


@pytest.fixture(scope="module")
def page():
    """What the page's code defines."""
    names = {}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    return names


def test_the_table_of_gradients(page):
    rows = re.findall(GRADIENTS, PAGE)
    assert len(rows) == 3
    for _, frames, parameters, megabytes, milliseconds, limit in rows:
        count = int(parameters.replace(",", ""))
        gradients, seconds = page["exchange"](count)
        assert (round(gradients / 1e6), round(seconds * 1e3, 1)) == (
            *(int(megabytes), float(milliseconds)),
        )
        assert round(page["limits"](count, int(frames))[0]) == int(limit)


def test_the_table_of_input(page):
    rows = re.findall(INPUT, PAGE, re.MULTILINE)
    assert len(rows) == 4
    for rate, frames, together, megabytes, read, cores in rows:
        found = page["input_of_machine"](float(rate), int(frames or 16))
        assert round(float(rate) * 64) == int(together)
        assert round(found[0] / 1e6) == int(megabytes) and round(found[1]) == int(read)
        assert round(found[2], 1) == float(cores)
