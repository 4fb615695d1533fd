"""The report of the family study: ranks, verdicts, files; and that budgets are never mixed."""

import csv
import itertools
import statistics
import subprocess
import sys

import pytest

from benchmarks.ledger import Ledger
from benchmarks.study_numbers import PAPER, means, rank_correlation, verdict
from benchmarks.study_report import write_report


def rows_of(**accuracies):
    """A row a seed: {family: video@1 of each seed}."""
    common = {"clip@1": 0.5, "videos": 10, "epochs": 2, "minutes": 1.0, "options": {}}
    common |= dict.fromkeys(("date", "machine", "versions"), "x") | {"load": 0.0}
    return [
        {"dataset": "motion", "family": family, "clip_frames": frames, "seed": seed, "gmacs": 0.1,
         "video@1": value, **common}
        for family, values in accuracies.items()
        for frames in ((4, 8) if family == "r3d" else (8,))
        for seed, value in enumerate(values)
    ]  # fmt: skip


def test_ranks_agree_with_their_definition():
    names = list(PAPER)
    same = {name: place for place, name in enumerate(sorted(names, key=PAPER.get))}
    assert rank_correlation(same, same) == pytest.approx(1)
    assert rank_correlation(same, {name: -place for name, place in same.items()}) == (
        pytest.approx(-1)
    )
    # Spearman without ties is 1 - 6 * sum d^2 / (n (n^2 - 1)).
    for order in itertools.permutations(range(4)):
        d2 = sum((a - b) ** 2 for a, b in enumerate(order))
        first, second = dict(enumerate(range(4))), dict(enumerate(order))
        assert rank_correlation(first, second) == pytest.approx(1 - 6 * d2 / 60)
    tied = rank_correlation({"a": 1, "b": 1, "c": 2}, {"a": 1, "b": 2, "c": 3})
    assert tied == pytest.approx(statistics.correlation([0.5, 0.5, 2], [0, 1, 2]))


def test_verdicts_mind_the_spread_of_the_seeds():
    found = means(rows_of(r3d=[0.8, 0.82], r2d=[0.6, 0.62], f_r2d=[0.805, 0.815]), "video@1")
    assert verdict(found, ("r3d",), ("r2d",)) == "yes"
    assert verdict(found, ("r2d",), ("r3d",)) == "no"
    assert verdict(found, ("r3d",), ("f_r2d",)).startswith("undecided")


def test_report_is_a_page_a_table_and_two_pictures(tmp_path):
    rows = rows_of(**{family: [0.5 + place / 100] for place, family in enumerate(PAPER)})
    write_report({str(i): row for i, row in enumerate(rows)}, tmp_path / "study.md")
    text = (tmp_path / "study.md").read_text("utf-8")
    assert "| r2plus1d_10 | 64.8 | 100.0 | 61.0% ± 0.0% (1) |" in text
    assert "- R(2+1)D is the best: yes" in text and "| motion | r3d_10 | 4 |" in text
    with open(tmp_path / "study.csv", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(rows)
    for name in ("multiply_adds", "clip_length"):
        assert (tmp_path / f"study_{name}.png").read_bytes().startswith(b"\x89PNG")


def test_several_processes_fill_one_file(tmp_path):
    first, second = (Ledger(tmp_path / "study.json") for _ in range(2))
    first["a"], second["b"] = {"seed": 0}, {"seed": 1}
    assert "b" in first and list(first.rows) == list(second.rows) == ["a", "b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["study.json"]
    with first.claimed("a") as done, first.claimed("c") as free, second.claimed("c") as taken:
        assert (done, free, taken) == (False, True, False)
    with second.claimed("c") as free:
        assert free


def test_rows_of_another_budget_are_refused(tmp_path):
    ledger = Ledger(tmp_path / "study.json")
    (row,) = rows_of(r2d=[0.5])
    ledger["motion, r2d_10, 8 frames, seed 0"] = {**row, "options": {"epochs": 1}}
    command = [sys.executable, "-m", "benchmarks.study_families", "--datasets=motion"]
    done = subprocess.run(
        [*command, f"--out={tmp_path / 'study.md'}"], capture_output=True, text=True
    )
    assert done.returncode == 1 and "was trained with other options: " in done.stderr
    assert "epochs" in done.stderr and not (tmp_path / "study.md").exists()
