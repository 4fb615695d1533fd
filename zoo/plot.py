"""Accuracy of published checkpoints against what they cost, as Figure 4 of the paper has it."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from r21d_keras.variants import FAMILIES, get_variant

from .plot_labels import place_labels
from .published import Weights
from .weights import list_weights

DATASET = "Kinetics-400"
"""Accuracies on other data sets do not compare."""

# Hues by kind of family, shades within it; R(2+1)D is what the paper is about.
COLOURS = {
    "r2d": "#4b5563",
    "f_r2d": "#a8b0ba",
    "r3d": "#1d4ed8",
    "mc2": "#a3e635",
    "mc3": "#4d9a0b",
    "mc4": "#15803d",
    "mc5": "#14532d",
    "rmc2": "#d8b4fe",
    "rmc3": "#a855f7",
    "rmc4": "#7e22ce",
    "rmc5": "#3b0764",
    "r2plus1d": "#ea580c",
}
MARKERS = {10: "v", 18: "o", 34: "s", 50: "^", 101: "P", 152: "D"}
TITLE = "Published checkpoints; named is the best of each network and pretraining"
INK, FAINT = "#1f2937", "#d1d5db"
DPI = 150
PAGE = (13.5, 8.5)  # inches
CAPTION_COLUMNS = 175  # characters a line
# Axis label, what a row has there, and ticks.
PANELS = (
    ("multiply-adds of one clip (10⁹)", lambda row: row.macs / 1e9, (2, 5, 10, 20, 50, 100, 200)),
    ("parameters (10⁶)", lambda row: row.num_params / 1e6, (10, 20, 50, 100)),
)


def accuracy_plot(rows: Sequence[Weights] | None = None):
    """A picture of video top-1 on Kinetics-400 against multiply-adds and against parameters.

    Colours are families, shapes depths, sizes clip lengths; hollow points take optical flow. The
    best of each network and pretraining is named. The caption says how protocols differ.

    >>> accuracy_plot().savefig("zoo.png")

    Args:
        rows: the checkpoints to show; by default all. Those without a published video accuracy on
            Kinetics-400 are left out.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no row is left.
    """
    figure_class = _figure_class()
    rows = _comparable(list_weights() if rows is None else rows)
    figure = figure_class(figsize=PAGE, dpi=DPI)
    figure.text(0.05, 0.955, TITLE, fontsize=14, color=INK)
    grid = figure.add_gridspec(1, 2, left=0.05, right=0.87, top=0.92, bottom=0.21, wspace=0.06)
    first = None
    for place, (label, value, ticks) in zip(grid, PANELS, strict=True):
        axes = figure.add_subplot(place, sharey=first)
        _draw_panel(axes, rows, value, ticks)
        axes.set_xlabel(label, color=INK)
        axes.tick_params(labelleft=first is None)
        first = first or axes
    first.set_ylabel(f"video top-1 on {DATASET} (%)", color=INK)
    first.autoscale(False)  # names and their lines are within what the points span
    _draw_legend(figure, rows)
    figure.text(0.05, 0.13, _caption(rows), fontsize=8.5, color=INK, va="top", linespacing=1.35)
    for axes, (_, value, _) in zip(figure.axes, PANELS, strict=True):
        _name_best(axes, rows, value)
    return figure


def _figure_class():
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "accuracy_plot draws with matplotlib, which is not installed: pip install matplotlib."
        ) from error
    return Figure


def _comparable(rows: Sequence[Weights]) -> list[Weights]:
    """Rows whose accuracy belongs in the picture, each place once, the largest points first.

    Files that were converted from one another are in the same place.
    """
    places = {
        (row.macs, row.num_params, row.video_top1): row
        for row in reversed(rows)
        if row.dataset == DATASET and row.video_top1 is not None
    }
    if not places:
        raise ValueError(
            f"None of the {len(rows)} rows has a published video accuracy on {DATASET}; expected "
            "at least one. Leave `rows` out for all that have."
        )
    return sorted(places.values(), key=lambda row: -row.input_shape[0])


def _draw_panel(axes, rows, value, ticks) -> None:
    for row in rows:
        axes.scatter(value(row), row.video_top1, **_style(row), zorder=3)
    axes.set_xscale("log")
    values = [value(row) for row in rows]
    axes.set_xlim(min(values) / 1.5, max(values) * 1.6)
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in ticks if low < tick < high])
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g}")
    axes.minorticks_off()
    axes.margins(y=0.06)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_edgecolor(FAINT)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK)


def _style(row: Weights) -> dict:
    """Keywords of `scatter` for one row."""
    variant = get_variant(row.variant)
    frames, _, _, channels = row.input_shape
    colour = COLOURS[variant.family]
    return {
        "marker": MARKERS[variant.depth],
        "s": _area(frames),
        "facecolors": "white" if channels == 2 else colour,
        "edgecolors": colour if channels == 2 else "white",
        "linewidths": 1.6 if channels == 2 else 0.7,
    }


def _area(frames: int) -> float:
    """Square points, in proportion to the length of the clips."""
    return 3.2 * frames + 8


def _name_best(axes, rows, value) -> None:
    """Writes names beside the best row of each network, pretraining and kind of input."""
    best = {}
    for row in rows:
        kind = (row.variant, row.pretraining, row.input_shape[3])
        if kind not in best or row.video_top1 > best[kind].video_top1:
            best[kind] = row
    points = [(value(row), row.video_top1) for row in rows]
    names = {
        (value(row), row.video_top1): (_label(row), COLOURS[get_variant(row.variant).family])
        for row in best.values()
    }
    place_labels(axes, points, names, INK)


def _label(row: Weights) -> str:
    variant = get_variant(row.variant)
    flow = "flow" if row.input_shape[3] == 2 else ""
    parts = [f"{_paper_name(variant.family)}-{variant.depth}", row.pretraining, flow]
    return ", ".join(filter(None, parts))


def _paper_name(family: str) -> str:
    """The family's name in the paper: f-R2D, rMC3, R(2+1)D."""
    special = {"r2plus1d": "R(2+1)D", "f_r2d": "f-R2D"}
    return special.get(family) or family.upper().replace("RMC", "rMC")


def _draw_legend(figure, rows) -> None:
    """What colours, shapes and sizes stand for, right of the panels; only what is shown."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.lines import Line2D

    renderer = FigureCanvasAgg(figure).get_renderer()

    def point(label, **style):
        style = {"color": "#6b7280", "marker": "o", "markersize": 8} | style
        return Line2D([], [], linestyle="", label=label, **style)

    variants = [get_variant(row.variant) for row in rows]
    families = [family for family in FAMILIES if any(v.family == family for v in variants)]
    depths = sorted({variant.depth for variant in variants})
    frames = sorted({row.input_shape[0] for row in rows})
    groups = {
        "family": [point(_paper_name(family), color=COLOURS[family]) for family in families],
        "layers": [point(f"{depth}", marker=MARKERS[depth]) for depth in depths],
        "frames a clip": [point(f"{n}", markersize=_area(n) ** 0.5) for n in frames],
    }
    if any(row.input_shape[3] == 2 for row in rows):
        hollow = {"markerfacecolor": "white", "markeredgewidth": 1.6}
        groups["input"] = [point("RGB"), point("optical flow", **hollow)]
    top = 0.93
    for title, points in groups.items():
        legend = figure.legend(
            handles=points,
            title=title,
            loc="upper left",
            bbox_to_anchor=(0.88, top),
            frameon=False,
            labelcolor=INK,
            fontsize=9,
            title_fontsize=9.5,
            alignment="left",
        )
        legend.get_title().set_color(INK)
        top -= legend.get_window_extent(renderer).height / figure.bbox.height + 0.01


def _caption(rows) -> str:
    counts = Counter(row.protocol or "protocol unknown" for row in rows)
    text = (
        "Accuracies are those their authors published, by different protocols: differences of a "
        "point or two between authors say little. "
    )
    lines = textwrap.wrap(text, CAPTION_COLUMNS)
    for protocol, count in counts.most_common():
        lines += textwrap.wrap(
            f"{count} points: {protocol}", CAPTION_COLUMNS, subsequent_indent=" " * 6
        )
    return "\n".join(lines)
