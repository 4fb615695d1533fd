"""Pictures of a run, as PNG files: learning curves and confusion matrix. Needs no display."""

import csv
import math
import os
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Two hues that differ in lightness too, so that they stay apart in print and for colour-blind eyes.
TRAIN_COLOUR = "#8aa5c4"
VAL_COLOUR = "#c2410c"
INK = "#1f2937"
FAINT = "#d1d5db"
DPI = 150
MAX_CLASSES_WITH_COUNTS = 26  # beyond it numbers in the cells of a confusion matrix are unreadable


def check_picture(option: str, picture: str | os.PathLike) -> None:
    """Raises ValueError, naming the option, unless a PNG can be written to `picture`."""
    picture = Path(picture)
    given, folder = f"{option}={picture}", picture.absolute().parent
    if picture.suffix.lower() != ".png":
        raise ValueError(f"{given}: expected a name that ends in .png.")
    if picture.is_dir():
        raise ValueError(f"{given} is a folder; give the name of a file.")
    if not folder.is_dir():
        raise ValueError(f"{given}: its folder does not exist. Make it first.")
    if not os.access(picture if picture.exists() else folder, os.W_OK):
        raise ValueError(f"{given} cannot be written by this user. Give another place.")


def draw_curves(history_csv: str | Path, out_png: str | Path) -> None:
    """Draws loss, accuracy and learning rate over the epochs of `history_csv`.

    The file has columns epoch, loss, accuracy, learning_rate, val_loss, val_accuracy; the val
    columns may be absent, and empty in some rows.

    Raises:
        ValueError: if the file holds no epoch.
    """
    columns = _read_history(history_csv)
    figure = Figure(figsize=(10, 5.2), dpi=DPI, layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(3, 1))
    loss, accuracy = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    rate = figure.add_subplot(grid[1, :])
    _draw_pair(loss, columns, "loss", "{:.3f}")
    _start_at_zero(loss)
    _draw_pair(accuracy, columns, "accuracy", "{:.1%}")
    accuracy.set_ylim(0, 1)
    accuracy.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    rate.plot(*_known(columns, "learning_rate"), color=INK, linewidth=1.5, marker=_marker(columns))
    _start_at_zero(rate)
    rate.set_title("learning rate", loc="left", color=INK)
    for axes in (loss, accuracy, rate):
        _tidy(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=(1, 2, 5, 10)))
    rate.set_xlabel("epoch")
    save_picture(figure, out_png)


def draw_confusion(matrix: np.ndarray, classes: tuple[str, ...], out_png: str | Path) -> None:
    """Draws a confusion matrix: a row for each true class, coloured by the share of its videos.

    Args:
        matrix: (K, K) counts, `matrix[true, predicted]`.
        classes: K names.
        out_png: where the picture goes. It grows with K, so that names stay readable.

    Raises:
        ValueError: if the shape of `matrix` does not fit `classes`.
    """
    matrix, count = np.asarray(matrix), len(classes)
    if matrix.shape != (count, count):
        raise ValueError(
            f"A confusion matrix of {count} classes has shape ({count}, {count}); got "
            f"{matrix.shape}. Count pairs (true, predicted) over the same list of classes."
        )
    totals = matrix.sum(axis=1, keepdims=True)
    shares = matrix / np.maximum(totals, 1)  # a class without videos stays an empty row
    with_counts = count <= MAX_CLASSES_WITH_COUNTS
    cell_inches = 0.42 if with_counts else 0.15
    longest = max(map(len, classes))
    side = max(3.2, cell_inches * count) + 0.085 * min(longest, 40) + 0.8
    figure = Figure(figsize=(side + 1, side), dpi=DPI, layout="compressed")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    font = 9 if with_counts else 7
    axes.set_xticks(range(count), classes, rotation=90, fontsize=font, parse_math=False)
    axes.set_yticks(range(count), classes, fontsize=font, parse_math=False)
    axes.set_xlabel("predicted", color=INK)
    axes.set_ylabel("true", color=INK)
    _rule_cells(axes, count)
    if with_counts:
        _write_counts(axes, matrix, shares, font)
    accuracy = np.trace(matrix) / max(1, matrix.sum())
    axes.set_title(f"{accuracy:.1%} of {matrix.sum():,} videos", loc="left", color=INK)
    _draw_scale(figure, image)
    save_picture(figure, out_png)


def save_picture(figure: Figure, out_png: str | Path) -> None:
    """Writes `figure` as PNG; the old file stays until the new one is whole."""
    out_png = Path(out_png)
    unfinished = out_png.with_name(f".{out_png.name}.{os.getpid()}.part")
    try:
        figure.savefig(unfinished, format="png")
        os.replace(unfinished, out_png)
    finally:
        unfinished.unlink(missing_ok=True)


def _draw_pair(axes, columns: dict, name: str, form: str) -> None:
    """Plots the train and val columns of one quantity, each named at its last value."""
    for column, label, colour in (
        (name, "train", TRAIN_COLOUR),
        (f"val_{name}", "validation", VAL_COLOUR),
    ):
        epochs, values = _known(columns, column)
        if len(values):
            axes.plot(
                epochs,
                values,
                color=colour,
                linewidth=2,
                marker=_marker(columns),
                label=f"{label} {form.format(values[-1])}",
            )
    axes.set_title(name, loc="left", color=INK)
    if axes.lines:  # none where every value is NaN or absent
        axes.legend(frameon=False, loc="best", labelcolor=INK)


def _start_at_zero(axes) -> None:
    """Shows the values from zero on, with a little room above the highest."""
    highest = max(
        (line.get_ydata().max() for line in axes.lines if len(line.get_ydata())), default=0
    )
    axes.set_ylim(0, 1.08 * highest or 1)


def _write_counts(axes, matrix: np.ndarray, shares: np.ndarray, font: int) -> None:
    """Writes each count that is not zero into its cell, in the colour that reads on it."""
    for true, predicted in zip(*np.nonzero(matrix), strict=True):
        ink = "white" if shares[true, predicted] > 0.55 else INK
        number = f"{matrix[true, predicted]:d}"
        axes.text(predicted, true, number, ha="center", va="center", fontsize=font, color=ink)


def _draw_scale(figure: Figure, image) -> None:
    """Draws the colour scale beside a confusion matrix."""
    bar = figure.colorbar(image, ax=figure.axes, fraction=0.03, pad=0.02, shrink=0.6)
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    bar.set_label("share of the true class's videos", color=INK)
    bar.outline.set_visible(False)


def _rule_cells(axes, count: int) -> None:
    """Rules thin lines between cells, which guide the eye to the names at the edge."""
    edges = np.arange(count + 1) - 0.5
    axes.set_xticks(edges, minor=True)
    axes.set_yticks(edges, minor=True)
    axes.grid(which="minor", color=FAINT, linewidth=0.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_edgecolor(FAINT)


def _tidy(axes) -> None:
    """Leaves what is read: values and faint horizontal rules."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_edgecolor(FAINT)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelcolor=INK)


def _read_history(path: str | Path) -> dict[str, np.ndarray]:
    """Columns of a history file as float arrays, NaN where a cell is empty."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} holds no epoch. Train at least one before drawing curves.")
    names = ("epoch", "loss", "accuracy", "learning_rate", "val_loss", "val_accuracy")
    return {
        name: np.array([float(row[name]) if row.get(name) else math.nan for row in rows])
        for name in names
    }


def _known(columns: dict, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs and values of a column where it has one."""
    known = np.isfinite(columns[name])
    return columns["epoch"][known], columns[name][known]


def _marker(columns: dict) -> str:
    """Dots where there are few points: a line through one epoch is invisible."""
    return "o" if len(columns["epoch"]) < 16 else ""
