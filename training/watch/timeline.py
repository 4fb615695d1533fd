"""The picture of a watch: labels over time, in bounded memory however long it lasts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..pictures import DPI, FAINT, INK, save_picture
from ..prediction_picture import BEST_BAR, OTHER_BAR
from .watch import Answer

# 1,024 points are more than the picture has pixels for, and 1.6 MB for 400 classes; when they are
# reached, neighbours become one.
MAX_POINTS = 1024
MAX_PICTURES = 32  # twice as many as are shown; when they are reached, every other one goes
LABELS_SHOWN = 8
PICTURES_SHOWN = 8


@dataclass
class _Point:
    """One or several neighbouring answers: their mean, and where they lie on the axis, seconds."""

    start: float
    end: float
    piece: int
    probabilities: np.ndarray
    count: int = 1


class Timeline:
    """What was answered, over time: `add` each Answer, `draw` at any time.

    Args:
        classes: of the network.
        every_s: seconds from one window to the next.
        title: what stands above.
    """

    def __init__(self, classes: tuple[str, ...], every_s: float, title: str):
        self._classes, self._every_s, self._title = classes, every_s, title
        self._points: list[_Point] = []
        self._pictures: list[tuple[float, np.ndarray, float]] = []  # at, pixels, aspect
        self._merged = 1  # answers that make a point
        self._apart_s = 0.0  # between two pictures
        self._starts = {}  # of pieces, on the axis

    def add(self, answer: Answer) -> None:
        """Adds an answer; of files, each begins where the one before has ended."""
        if answer.piece not in self._starts:
            self._begin(answer)
        shift = self._starts[answer.piece]
        start = answer.start_s + shift
        end = max(answer.end_s + shift, start + self._every_s)
        last = self._points[-1] if self._points else None
        if last and last.piece == answer.piece and last.count < self._merged:
            last.probabilities = last.probabilities + answer.probabilities
            last.end, last.count = end, last.count + 1
        else:
            self._points.append(_Point(start, end, answer.piece, answer.probabilities))
        if len(self._points) > MAX_POINTS:
            self._merge()
        self._keep_picture((start + end) / 2, answer)

    def draw(self, out_png: str | Path) -> None:
        """Draws frames, and below a row for each of the labels that were best the longest.

        Nothing is drawn before the first answer.
        """
        if not self._points:
            return
        bounds, means, best = self._columns()
        labels = _labels_shown(means, best)
        figure = Figure(figsize=(11, 2.1 + 0.52 * len(labels)), dpi=DPI, layout="constrained")
        figure.suptitle(self._title, x=0.01, ha="left", color=INK, fontsize=10, parse_math=False)
        rows = figure.add_gridspec(len(labels) + 1, 1, height_ratios=[2.2] + [1] * len(labels))
        top = figure.add_subplot(rows[0])
        limits = (bounds[0, 0], bounds[-1, 1])
        self._draw_pictures(top, limits)
        for row, label in enumerate(labels, start=1):
            axes = figure.add_subplot(rows[row], sharex=top)
            _draw_label(axes, bounds, means[:, label], best == label)
            self._draw_breaks(axes, bounds)
            axes.set_title(
                self._classes[label], loc="left", fontsize=8, color=INK, pad=2, parse_math=False
            )
            axes.tick_params(labelbottom=row == len(labels))
        axes.xaxis.set_major_locator(MaxNLocator(10))
        axes.set_xlabel("seconds", color=INK, fontsize=8)
        top.set_xlim(*limits)
        save_picture(figure, out_png)

    def _begin(self, answer: Answer) -> None:
        end = self._points[-1].end if self._points else 0.0
        # A live source tells the time since the watch began, and a file since it began itself.
        self._starts = {answer.piece: 0.0 if answer.live else end - answer.start_s * bool(end)}

    def _merge(self) -> None:
        self._merged *= 2
        self._points = self._joined(across=False)
        if len(self._points) > MAX_POINTS // 2 + 1:  # of many short pieces
            self._points = self._joined(across=True)

    def _joined(self, across: bool) -> list[_Point]:
        """The points, neighbours made one up to `_merged` answers; of other pieces `across`."""
        joined = []
        for point in self._points:
            last = joined[-1] if joined else None
            fits = last and (across or last.piece == point.piece)
            if fits and last.count + point.count <= self._merged:
                last.probabilities = last.probabilities + point.probabilities
                last.end, last.piece = point.end, point.piece
                last.count += point.count
            else:
                joined.append(point)
        return joined

    def _keep_picture(self, at: float, answer: Answer) -> None:
        if self._pictures and at - self._pictures[-1][0] < self._apart_s:
            return
        self._pictures.append((at, answer.picture.copy(), answer.aspect))
        if len(self._pictures) > MAX_PICTURES:
            self._pictures = self._pictures[::2]
            self._apart_s = (at - self._pictures[0][0]) / (MAX_PICTURES / 2)

    def _columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bounds on the axis (n, 2), mean probabilities (n, K) and the best class (n,).

        An answer stands for its window up to where the next begins.
        """
        starts = np.array([point.start for point in self._points])
        ends = np.array([point.end for point in self._points])
        follows = np.append([a.piece == b.piece for a, b in _pairs(self._points)], False)
        ends = np.where(follows, np.append(starts[1:], ends[-1]), ends)
        means = np.stack([point.probabilities / point.count for point in self._points])
        return np.stack([starts, ends], axis=1), means, means.argmax(axis=1)

    def _draw_pictures(self, axes, limits: tuple[float, float]) -> None:
        """In each eighth of the time, the frame that is nearest to its middle."""
        axes.set_axis_off()
        edges = np.linspace(*limits, PICTURES_SHOWN + 1)
        times = np.array([at for at, _, _ in self._pictures])
        for left, right in _pairs(list(edges)):
            nearest = int(np.abs(times - (left + right) / 2).argmin())
            at, pixels, aspect = self._pictures[nearest]
            if not left <= at <= right:
                continue  # nothing was seen
            share = (left - limits[0]) / (limits[1] - limits[0])
            place = axes.inset_axes((share, 0.0, 0.97 / PICTURES_SHOWN, 1.0))
            height, width = pixels.shape[:2]
            place.imshow(pixels, aspect=width / height / aspect, interpolation="bilinear")
            place.set_axis_off()

    def _draw_breaks(self, axes, bounds: np.ndarray) -> None:
        """Grey where a live source was lost, a line where a file begins."""
        for place, (before, after) in enumerate(_pairs(self._points)):
            if before.piece != after.piece:
                end, start = bounds[place, 1], bounds[place + 1, 0]
                if start > end:
                    axes.axvspan(end, start, color=FAINT, linewidth=0)
                else:
                    axes.axvline(start, color=INK, linewidth=0.4)


def _draw_label(axes, bounds: np.ndarray, scores: np.ndarray, is_best: np.ndarray) -> None:
    """One class over time, coloured where no other has a higher score."""
    for colour, which in ((OTHER_BAR, ~is_best), (BEST_BAR, is_best)):
        left, right = bounds[which].T
        axes.bar(left, scores[which], right - left, align="edge", color=colour, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "1"], fontsize=6, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(axis="x", labelsize=7, colors=INK)


def _labels_shown(means: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Classes for rows: those that were best most often first, then by their mean."""
    times = np.bincount(best, minlength=means.shape[1])
    order = np.lexsort((-means.mean(axis=0), -times))
    wanted = max(min(3, len(order)), int((times > 0).sum()))
    return order[: min(LABELS_SHOWN, wanted)]


def _pairs(items: list):
    return zip(items, items[1:], strict=False)
