"""A reliability diagram as a PNG file: how often answers are right, by their confidence."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .evaluation.calibration import Calibration
from .pictures import DPI, FAINT, INK, TRAIN_COLOUR, VAL_COLOUR, save_picture


def draw_reliability(calibration: Calibration, accuracy: float, out_png: str | Path) -> None:
    """Draws the share of right answers in each bin of confidence, and how many lie in it.

    A bar below the diagonal is a bin whose answers are surer than they are right. The second
    picture of Guo et al. 2017 (arXiv:1706.04599, figure 1) stands below: the shares of the videos.

    Args:
        calibration: the counts, of at least one video.
        accuracy: of all videos, in [0, 1].
        out_png: where the picture goes.

    Raises:
        ValueError: if nothing was counted.
    """
    counts = calibration.counts
    if not counts.sum():
        raise ValueError("No video was counted. Expected at least one before drawing.")
    num_bins, filled = len(counts), counts > 0
    middles = (np.arange(num_bins) + 0.5) / num_bins
    right = calibration.hits / np.maximum(counts, 1)
    sure = calibration.confidences / np.maximum(counts, 1)
    figure = Figure(figsize=(5, 6.2), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(3, 1))
    top, below = figure.add_subplot(grid[0]), figure.add_subplot(grid[1])
    width = 1 / num_bins
    top.bar(middles[filled], right[filled], width, color=TRAIN_COLOUR, edgecolor="white")
    top.plot([0, 1], [0, 1], color=FAINT, linewidth=1.5, linestyle="--")
    top.plot(sure[filled], right[filled], "o", color=VAL_COLOUR, markersize=4)
    top.set_ylim(0, 1)
    top.set_ylabel("right", color=INK)
    title = f"ECE {calibration.error():.1%} of {counts.sum():,} videos"
    top.set_title(title, loc="left", color=INK)
    below.bar(middles, counts / counts.sum(), width, color=TRAIN_COLOUR, edgecolor="white")
    confidence = calibration.confidences.sum() / counts.sum()
    for value, colour, name in ((accuracy, INK, "right"), (confidence, VAL_COLOUR, "confidence")):
        below.axvline(value, color=colour, linewidth=1.5, label=f"mean {name} {value:.1%}")
    below.legend(frameon=False, loc="best", labelcolor=INK, fontsize=8)
    below.set_ylabel("videos", color=INK)
    below.set_xlabel("confidence: probability of the best class", color=INK)
    for axes in (top, below):
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.tick_params(length=0, labelcolor=INK)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    save_picture(figure, out_png)
