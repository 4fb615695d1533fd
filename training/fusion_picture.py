"""Accuracy of two fused evaluations against their weight, as a PNG file."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .data.counted import counted
from .pictures import DPI, FAINT, INK, TRAIN_COLOUR, VAL_COLOUR, save_picture

NAMES = {"rgb": "RGB"}
"""How streams are written where their own name will not do."""


def draw_sweep(
    rows: Sequence[dict[str, float]],
    weight: float,
    num_videos: int,
    streams: Sequence[str],
    out_png: str | Path,
) -> None:
    """Draws top-1 accuracy over the weight of the first evaluation.

    Args:
        rows: "weight" and "top1", in [0, 1], by weight from 0 on.
        weight: the one that was asked for, which need not be among them.
        num_videos: on which it was measured.
        streams: of the first and the second evaluation.
        out_png: where the picture goes.
    """
    weights, rates = [row["weight"] for row in rows], [row["top1"] for row in rows]
    first, second = (NAMES.get(stream, stream) for stream in streams)
    if first == second:
        first, second = f"the first {first}", f"the second {second}"
    figure = Figure(figsize=(6, 4), dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    for end, name, inside in ((-1, first, INK), (0, second, "white")):
        mark = {"color": INK, "markerfacecolor": inside, "markersize": 6, "zorder": 3}
        axes.plot(weights[end], rates[end], "s", label=f"{name} alone {rates[end]:.1%}", **mark)
        axes.axhline(rates[end], color=FAINT, linewidth=1)
    axes.plot(weights, rates, color=TRAIN_COLOUR, linewidth=2, marker="o", markersize=4)
    best = max(range(len(rows)), key=rates.__getitem__)
    label = f"best of these {rates[best]:.1%}, at {weights[best]:g}"
    axes.plot(weights[best], rates[best], "o", color=VAL_COLOUR, markersize=8, label=label)
    axes.axvline(weight, color=INK, linewidth=1, linestyle="--", label=f"weight {weight:g}")
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel(f"weight of {first}, the rest for {second}", color=INK)
    axes.set_title(f"top-1 accuracy of {counted(num_videos, 'videos')}", loc="left", color=INK)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))  # with the digits that ticks need
    axes.legend(frameon=False, loc="best", labelcolor=INK, fontsize=8)
    axes.tick_params(length=0, labelcolor=INK)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    save_picture(figure, out_png)
