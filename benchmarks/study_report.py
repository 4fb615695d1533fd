"""What the family study found: a table, a CSV, two pictures, and the paper's order beside ours."""

import csv
import io
import pathlib
import statistics

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.ledger import write_text

COLUMNS = ("dataset", "family", "clip_frames", "seed", "gmacs", "epochs", "clip@1", "video@1")
COLUMNS += ("videos", "minutes", "date", "machine", "load", "versions")
# video@1 in per cent on Kinetics-400, 18 layers, 8 frames: table 2 of the paper.
PAPER = {
    **{"r2d": 59.5, "f_r2d": 59.4, "r3d": 61.8, "mc2": 62.5, "mc3": 62.9, "mc4": 62.5},
    **{"mc5": 62.5, "rmc2": 62.1, "rmc3": 62.1, "rmc4": 62.1, "rmc5": 61.2, "r2plus1d": 64.8},
}
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
COLORS = {"2-D": "#6b7280", "3-D": "#1d4ed8", "MCx": "#c2410c", "rMCx": "#d9a406"}
COLORS["(2+1)-D"] = "#15803d"
SHAPES = {"2-D": "s", "3-D": "D", "MCx": "o", "rMCx": "^", "(2+1)-D": "*"}
COMMANDS = (
    "    r21d prepare --dataset=ucf101 --videos=UCF-101 --splits=ucfTrainTestlist "
    "--frame_rate=7.5 --out=RECORDS",
    "    python -m benchmarks.study_families --records=RECORDS",
)
AXES_POINTS = (375, 290)  # about the size of what is within a picture's axes
NAME_OFFSETS = [(x, y) for y in (5, -13, 16, -24, 27, -35) for x in (6, -6)]  # points, best first


def write_report(rows: dict[str, dict], out: pathlib.Path) -> None:
    """Writes `out` (Markdown) and beside it the CSV and the two pictures."""
    rows = sorted(rows.values(), key=_place)  # not as they were trained, perhaps by several
    write_text(out.with_suffix(".csv"), _csv(rows))
    datasets = list(dict.fromkeys(row["dataset"] for row in rows))
    usual = statistics.mode(row["clip_frames"] for row in rows)
    at_usual = [row for row in rows if row["clip_frames"] == usual]
    pictures = {
        "multiply_adds": _picture(datasets, lambda axes, d: _against_macs(axes, d, at_usual)),
        "clip_length": _picture(datasets, lambda axes, d: _against_length(axes, d, rows)),
    }
    for name, figure in pictures.items():
        figure.savefig(out.with_name(f"{out.stem}_{name}.png"), dpi=130)
    write_text(out, _markdown(at_usual, rows, datasets, out.stem))


def _place(row: dict) -> tuple:
    return row["dataset"], list(PAPER).index(row["family"]), row["clip_frames"], row["seed"]


def means(rows: list[dict], metric: str) -> dict[str, tuple[float, float, int]]:
    """Of each family: mean, half the range, and number of its seeds."""
    found = {}
    for family in dict.fromkeys(row["family"] for row in rows):
        values = [row[metric] for row in rows if row["family"] == family]
        found[family] = statistics.mean(values), (max(values) - min(values)) / 2, len(values)
    return found


def rank_correlation(first: dict[str, float], second: dict[str, float]) -> float:
    """Spearman's, over the names in both; equal values share their mean rank."""
    names = [name for name in first if name in second]
    ranks = [_ranks([values[name] for name in names]) for values in (first, second)]
    return statistics.correlation(*ranks)


def _ranks(values: list[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


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
    found = {name: means(_of(at_usual, name), "video@1") for name in datasets}
    for family in dict.fromkeys(row["family"] for row in at_usual):
        cells = [cell for name in datasets for cell in _cells(at_usual, name, family)]
        lines.append(f"| {family}_10 | {PAPER[family]:.1f} | {' | '.join(cells)} |")
    lines += ["", "## The paper's order and ours", ""]
    for name in datasets:
        lines += _order(name, found[name])
    lines += ["## Clip length", "", "| data | network | frames | clip@1 | video@1 | seeds |"]
    lines.append("| --- | --- | --: | --: | --: | --: |")
    for name in datasets:
        lines += _length_lines(_of(rows, name), name)
    lines += [
        "",
        "The paper (table 3): clip@1 keeps rising with the length, video@1 peaks at 32 frames.",
    ]
    return "\n".join([*lines, ""])


def _heads(rows, datasets) -> list[str]:
    heads = []
    for name in datasets:
        videos = _of(rows, name)[0]["videos"]
        heads += [f"{name}: MMACs", f"{name}: video@1 ({videos} videos)"]
    return heads


def _cells(rows, dataset, family) -> list[str]:
    these = [row for row in _of(rows, dataset) if row["family"] == family]
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


def verdict(found: dict[str, tuple[float, float, int]], better, worse) -> str:
    """Whether `better` families are better than `worse` ones: "yes", "no", or undecided.

    Compared are the means of either side, or one family with the best of the others. Undecided is
    what lies closer together than the seeds of one family do.
    """
    high = statistics.mean(found[family][0] for family in better)
    others = [found[family][0] for family in worse]
    low = max(others) if len(better) == 1 else statistics.mean(others)
    spread = statistics.mean(found[family][1] for family in (*better, *worse))
    if abs(high - low) <= spread:
        return "undecided, within the spread of the seeds"
    return "yes" if high > low else "no"


def _length_lines(rows, dataset) -> list[str]:
    lines = []
    for family, lengths in _lengths(rows).items():
        for frames in lengths:
            these = [r for r in rows if r["family"] == family and r["clip_frames"] == frames]
            clip, video = (means(these, metric)[family] for metric in ("clip@1", "video@1"))
            cells = " | ".join(f"{mean:.1%} ± {half:.1%}" for mean, half, _ in (clip, video))
            lines.append(f"| {dataset} | {family}_10 | {frames} | {cells} | {len(these)} |")
    return lines


def _lengths(rows) -> dict[str, list[int]]:
    """The clip lengths of each family that has several."""
    found = {}
    for row in rows:
        found.setdefault(row["family"], set()).add(row["clip_frames"])
    return {family: sorted(lengths) for family, lengths in found.items() if len(lengths) > 1}


def _of(rows, dataset) -> list[dict]:
    return [row for row in rows if row["dataset"] == dataset]


def kind(family: str) -> str:
    """The group whose colour and mark a family has."""
    if family in ("r2d", "f_r2d"):
        return "2-D"
    return {"r3d": "3-D", "r2plus1d": "(2+1)-D"}.get(
        family, "rMCx" if family.startswith("r") else "MCx"
    )


def _picture(datasets, draw) -> Figure:
    figure = Figure(figsize=(6.2 * len(datasets), 4.8), layout="constrained")
    for place, name in enumerate(datasets):
        axes = figure.add_subplot(1, len(datasets), place + 1)
        axes.set_title(name, loc="left")
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        draw(axes, name)
    return figure


def _against_macs(axes, dataset, rows) -> None:
    these, marks = _of(rows, dataset), {}
    for family, (mean, half, _) in means(these, "video@1").items():
        gmacs = next(row["gmacs"] for row in these if row["family"] == family)
        look = {"color": COLORS[kind(family)], "marker": SHAPES[kind(family)]}
        axes.errorbar(gmacs * 1e3, mean, yerr=half, capsize=2, markersize=8, lw=1, **look)
        marks[family] = (gmacs * 1e3, mean)
    _name(axes, marks)
    axes.set_xlabel("millions of multiply-adds a clip")
    axes.set_ylabel("video@1")


def _name(axes, marks: dict[str, tuple[float, float]]) -> None:
    """Writes the name of each mark beside it, where neither marks nor names are in the way."""
    scale = [
        size / (high - low)
        for size, (low, high) in zip(AXES_POINTS, (axes.get_xlim(), axes.get_ylim()), strict=True)
    ]
    places = {name: (x * scale[0], y * scale[1]) for name, (x, y) in marks.items()}
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places.values()]
    for name, (x, y) in sorted(places.items(), key=lambda item: item[1]):
        width, best = 5 * len(name), None
        for right, up in NAME_OFFSETS:
            left = x + right - (width if right < 0 else 0)
            box = (left, y + up, left + width, y + up + 9)
            if not any(_overlap(box, other) for other in taken):
                best = (right, up), box
                break
        (right, up), box = best or (NAME_OFFSETS[0], (x, y, x, y))
        taken.append(box)
        axes.annotate(
            name,
            marks[name],
            (right, up),
            textcoords="offset points",
            fontsize=8,
            ha="right" if right < 0 else "left",
        )


def _overlap(a: tuple, b: tuple) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _against_length(axes, dataset, rows) -> None:
    these = _of(rows, dataset)
    ticks = set()
    for family, lengths in _lengths(these).items():
        for metric, style in (("video@1", "-"), ("clip@1", ":")):
            points = [
                means([r for r in these if r["family"] == family and r["clip_frames"] == n], metric)
                for n in lengths
            ]
            center, spread = zip(*(point[family][:2] for point in points), strict=True)
            look = {"color": COLORS[kind(family)], "marker": SHAPES[kind(family)]}
            axes.errorbar(
                lengths,
                center,
                yerr=spread,
                ls=style,
                capsize=2,
                label=f"{family} {metric}",
                **look,
            )
        ticks |= set(lengths)
    axes.set_xticks(sorted(ticks))
    axes.set_xlabel("frames in a clip")
    if ticks:
        axes.legend(fontsize=8, frameon=False)
