"""What the family study found: a table, a CSV, two pictures, and the paper's order beside ours."""

import csv
import io
import pathlib
import statistics

from benchmarks.ledger import write_text
from benchmarks.study_numbers import PAPER, lengths, means, of, rank_correlation, verdict
from benchmarks.study_pictures import draw

COLUMNS = ("dataset", "family", "clip_frames", "seed", "gmacs", "epochs", "clip@1", "video@1")
COLUMNS += ("videos", "minutes", "date", "machine", "load", "versions")
CLAIMS = (  # (what the paper says, the better ones, the worse ones)
    ("R(2+1)D is the best", ("r2plus1d",), tuple(set(PAPER) - {"r2plus1d"})),
    ("3-D networks are better than 2-D ones", ("r3d",), ("r2d", "f_r2d")),
    ("mixed networks (MCx) are better than 3-D ones", ("mc2", "mc3", "mc4", "mc5"), ("r3d",)),
    (
        "MCx are better than rMCx",
        ("mc2", "mc3", "mc4", "mc5"),
        ("rmc2", "rmc3", "rmc4", "rmc5"),
    ),
)
COMMANDS = (
    "    r21d prepare --dataset=ucf101 --videos=UCF-101 --splits=ucfTrainTestlist "
    "--frame_rate=7.5 --out=RECORDS",
    "    python -m benchmarks.study_families --records=RECORDS",
)


def write_report(rows: dict[str, dict], out: pathlib.Path) -> None:
    """Writes `out` (Markdown) and beside it the CSV and the two pictures."""
    rows = sorted(rows.values(), key=_place)  # not as they were trained, perhaps by several
    write_text(out.with_suffix(".csv"), _csv(rows))
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    usual = statistics.mode(row["clip_frames"] for row in rows)
    at_usual = [row for row in rows if row["clip_frames"] == usual]
    for name, figure in draw(datasets, at_usual, rows).items():
        figure.savefig(out.with_name(f"{out.stem}_{name}.png"), dpi=130)
    write_text(out, _markdown(at_usual, rows, datasets, out.stem))


def _place(row: dict) -> tuple:
    return row["dataset"], list(PAPER).index(row["family"]), row["clip_frames"], row["seed"]


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({name: row[name] for name in COLUMNS} for row in rows)
    return text.getvalue()


def _markdown(at_usual, rows, datasets, stem) -> str:
    last, frames = rows[-1], at_usual[0]["clip_frames"]
    lines = [
        "# Twelve families under one budget",
        "",
        f"{last['date']}, {last['machine']}; {last['versions']}. Depth 10, narrow; the same clips, "
        "schedule and epochs for every network; final weights; 10 evenly spaced clips "
        f"a video, clips of {frames} frames. Mean over seeds, ± half their range. Written by "
        "benchmarks/study_families.py, which has the budgets.",
        "",
        *COMMANDS,
        "",
        f"![accuracy against multiply-adds]({stem}_multiply_adds.png)",
        "",
        f"![accuracy against clip length]({stem}_clip_length.png)",
        "",
        f"| network | paper, 18 layers: video@1 | {' | '.join(_heads(at_usual, datasets))} |",
        f"| --- | --: {'| --: ' * (2 * len(datasets))}|",
    ]
    found = {name: means(of(at_usual, name), "video@1") for name in datasets}
    for family in dict.fromkeys(row["family"] for row in at_usual):
        cells = [cell for name in datasets for cell in _cells(at_usual, name, family)]
        lines.append(f"| {family}_10 | {PAPER[family]:.1f} | {' | '.join(cells)} |")
    lines += ["", "## The paper's order and ours", ""]
    for name in datasets:
        lines += _order(name, found[name])
    lines += ["## Clip length", "", "| data | network | frames | clip@1 | video@1 | seeds |"]
    lines.append("| --- | --- | --: | --: | --: | --: |")
    for name in datasets:
        lines += _length_lines(of(rows, name), name)
    lines += [
        "",
        "The paper (table 3): clip@1 keeps rising with the length, video@1 peaks at 32 frames.",
    ]
    return "\n".join([*lines, ""])


def _heads(rows, datasets) -> list[str]:
    heads = []
    for name in datasets:
        videos = of(rows, name)[0]["videos"]
        heads += [f"{name}: MMACs", f"{name}: video@1 ({videos} videos)"]
    return heads


def _cells(rows, dataset, family) -> list[str]:
    these = [row for row in of(rows, dataset) if row["family"] == family]
    if not these:
        return ["-", "-"]
    mean, half, count = means(these, "video@1")[family]
    return [f"{these[0]['gmacs'] * 1e3:.1f}", f"{mean:.1%} ± {half:.1%} ({count})"]


def _order(dataset: str, found: dict[str, tuple[float, float, int]]) -> list[str]:
    lines, ours = [f"{dataset}:", ""], {family: mean for family, (mean, _, _) in found.items()}
    if len(ours) > 2 and len(set(ours.values())) > 1:
        lines.append(
            f"- rank correlation with table 2 (Spearman): {rank_correlation(ours, PAPER):.2f}"
        )
    for claim, better, worse in CLAIMS:
        if set(better) | set(worse) <= set(found):
            high = statistics.mean(ours[family] for family in better)
            said, others = verdict(found, better, worse), _others(ours, better, worse)
            lines.append(f"- {claim}: {said} ({high:.1%}; {others})")
    return [*lines, ""]


def _others(ours: dict[str, float], better, worse) -> str:
    """What `verdict` compares with."""
    if len(better) == 1:
        best = max(worse, key=ours.get)
        return f"of the others {best} is the best with {ours[best]:.1%}"
    return f"the others {statistics.mean(ours[family] for family in worse):.1%} in the mean"


def _length_lines(rows, dataset) -> list[str]:
    lines = []
    for family, counts in lengths(rows).items():
        for frames in counts:
            these = [r for r in rows if r["family"] == family and r["clip_frames"] == frames]
            clip, video = (means(these, metric)[family] for metric in ("clip@1", "video@1"))
            cells = " | ".join(f"{mean:.1%} ± {half:.1%}" for mean, half, _ in (clip, video))
            lines.append(f"| {dataset} | {family}_10 | {frames} | {cells} | {len(these)} |")
    return lines
