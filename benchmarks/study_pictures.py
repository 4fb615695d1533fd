"""Pictures of the family study: accuracy against multiply-adds, and against clip length."""

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from benchmarks.study_numbers import lengths, means, of

COLORS = {"2-D": "#6b7280", "3-D": "#1d4ed8", "MCx": "#c2410c", "rMCx": "#d9a406"}
COLORS["(2+1)-D"] = "#15803d"
SHAPES = {"2-D": "s", "3-D": "D", "MCx": "o", "rMCx": "^", "(2+1)-D": "*"}
AXES_POINTS = (375, 290)  # about the size of what is within a picture's axes
NAME_OFFSETS = [(x, y) for y in (5, -13, 16, -24, 27, -35) for x in (6, -6)]  # points, best first


def draw(datasets: list[str], at_usual: list[dict], rows: list[dict]) -> dict[str, Figure]:
    """Both pictures by name; `at_usual`: the rows of one clip length."""
    return {
        "multiply_adds": _picture(datasets, lambda axes, d: _against_macs(axes, d, at_usual)),
        "clip_length": _picture(datasets, lambda axes, d: _against_length(axes, d, rows)),
    }


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
    these, marks = of(rows, dataset), {}
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
    these = of(rows, dataset)
    ticks = set()
    for family, counts in lengths(these).items():
        for metric, style in (("video@1", "-"), ("clip@1", ":")):
            points = [
                means([r for r in these if r["family"] == family and r["clip_frames"] == n], metric)
                for n in counts
            ]
            center, spread = zip(*(point[family][:2] for point in points), strict=True)
            look = {"color": COLORS[kind(family)], "marker": SHAPES[kind(family)]}
            axes.errorbar(
                counts,
                center,
                yerr=spread,
                ls=style,
                capsize=2,
                label=f"{family} {metric}",
                **look,
            )
        ticks |= set(counts)
    axes.set_xticks(sorted(ticks))
    axes.set_xlabel("frames in a clip")
    if ticks:
        axes.legend(fontsize=8, frameon=False)
