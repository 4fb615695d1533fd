"""The picture of `r21d predict`: each video's frames over time beside the bars of its labels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .pictures import DPI, INK, save_picture

BEST_BAR = "#c2410c"
OTHER_BAR = "#9ca3af"


# A prediction picture, in inches.
MARGIN = 0.15
FRAMES_SHOWN = 8  # of a clip; more are too small to see on a page
FRAME_SLOT = 1.3
FRAME_HEIGHT = 1.1
BARS_WIDTH = 3.2
ROW_HEIGHT = 1.85  # title, frame or five bars, times
MAX_ROWS = 50  # 13,875 pixels at 150 dpi, which viewers still open


@dataclass(frozen=True)
class PredictionRow:
    """One video in a prediction picture.

    title: what stands above the frames. frames: (T, H, W, 3) uint8 RGB. times_s: (T,) seconds.
    labels, scores: best first, scores in [0, 1].
    """

    title: str
    frames: np.ndarray
    times_s: np.ndarray
    labels: tuple[str, ...]
    scores: tuple[float, ...]


def draw_predictions(rows: list[PredictionRow], out_png: str | Path) -> None:
    """Draws one row for each video: frames of its clip over time, then its best labels as bars.

    Raises:
        ValueError: if there are no rows, or more than `MAX_ROWS`.
    """
    if not 1 <= len(rows) <= MAX_ROWS:
        raise ValueError(
            f"A prediction picture shows 1 to {MAX_ROWS} videos; got {len(rows)}. "
            "Draw several pictures."
        )
    page = (MARGIN + FRAMES_SHOWN * FRAME_SLOT + BARS_WIDTH + MARGIN, ROW_HEIGHT * len(rows))
    figure = Figure(figsize=page, dpi=DPI)
    for index, row in enumerate(rows):
        top = page[1] - index * ROW_HEIGHT  # inches from the lower edge, as matplotlib counts
        figure.text(
            MARGIN / page[0],
            (top - 0.3) / page[1],
            _shorten(row.title, 130),
            fontsize=10,
            color=INK,
            parse_math=False,
        )
        _draw_frames(figure, top - 0.38, row)
        left = MARGIN + FRAMES_SHOWN * FRAME_SLOT + 0.15
        _draw_bars(_axes_at(figure, left, top - 0.38, BARS_WIDTH - 0.15, FRAME_HEIGHT + 0.2), row)
    save_picture(figure, out_png)


def _draw_frames(figure: Figure, top: float, row: PredictionRow) -> None:
    """Shows evenly chosen frames of a clip, first and last included, with their times below."""
    shown = min(FRAMES_SHOWN, len(row.frames))
    chosen = np.linspace(0, len(row.frames) - 1, shown).round().astype(int)
    for column, index in enumerate(chosen):
        left = MARGIN + column * FRAME_SLOT
        axes = _axes_at(figure, left, top, FRAME_SLOT - 0.06, FRAME_HEIGHT)
        axes.imshow(row.frames[index], interpolation="bilinear")
        axes.set_anchor("N")
        axes.set_axis_off()
        axes.text(
            0.5,
            -0.03,
            f"{row.times_s[index]:.2f} s",
            transform=axes.transAxes,
            ha="center",
            va="top",
            fontsize=8,
            color=INK,
        )


def _draw_bars(axes, row: PredictionRow) -> None:
    """Draws the labels' scores as horizontal bars, the best on top, each under its name."""
    places = np.arange(len(row.labels))
    colours = [BEST_BAR] + [OTHER_BAR] * (len(row.labels) - 1)
    axes.barh(places + 0.46, row.scores, height=0.34, color=colours, align="edge")
    for place, label, score in zip(places, row.labels, row.scores, strict=True):
        name = _shorten(label, 46)
        axes.text(0, place + 0.42, name, va="bottom", fontsize=8, color=INK, parse_math=False)
        axes.text(1, place + 0.42, f"{score:.1%}", ha="right", va="bottom", fontsize=8, color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(5, 0)  # room for the usual five; best on top
    axes.set_axis_off()


def _axes_at(figure: Figure, left: float, top: float, width: float, height: float):
    """Axes whose upper left corner and size are given in inches."""
    page_width, page_height = figure.get_size_inches()
    return figure.add_axes(
        (left / page_width, (top - height) / page_height, width / page_width, height / page_height)
    )


def _shorten(text: str, limit: int) -> str:
    """`text`, or its two ends around an ellipsis: file names differ at either end."""
    if len(text) <= limit:
        return text
    half = (limit - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
