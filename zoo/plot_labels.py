"""Names beside the points of a plot, so that no name lies on another name or on a point."""

import math

FONT_SIZE = 8  # points
_GAP = 3.0  # pixels around a name that stay free
_POINT_RADIUS = 6.0  # pixels kept free around a point
# Where a name may go: distance from its point in pixels, nearest first, and directions in degrees,
# the best first.
_DISTANCES = (10, 16, 24, 34, 46, 60, 76, 94, 114, 136, 160, 190, 220)
_DIRECTIONS = (0, 180, 30, 330, 150, 210, 60, 300, 120, 240, 90, 270, 15, 345, 165, 195, 75, 285)
_BESIDE = (0, 180)  # where no line is needed to see whose name it is, at the least distance


def place_labels(axes, points, names, colour: str) -> None:
    """Writes names near their points, each where there is room; a line leads to those farther off.

    The axes must have their final limits and place on the page.

    Args:
        axes: matplotlib axes.
        points: (x, y) of all points, named or not.
        names: {(x, y): (name, colour of its line)} of those to name.
        colour: of the names.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(axes.figure).get_renderer()
    scale = axes.figure.dpi / 100  # the pixels above are of 100 a inch
    frame = axes.get_window_extent(renderer)
    room = _Room((frame.x0, frame.y0, frame.x1, frame.y1))
    for x, y in axes.transData.transform(points):
        radius = _POINT_RADIUS * scale
        room.taken.append((x - radius, y - radius, x + radius, y + radius))
    for (x, y), (name, line_colour) in sorted(names.items(), key=_from_top):
        text = axes.text(x, y, name, fontsize=FONT_SIZE, color=colour, zorder=5, parse_math=False)
        extent = text.get_window_extent(renderer)
        size = (extent.width + 2 * _GAP * scale, extent.height + 2 * _GAP * scale)
        start = tuple(axes.transData.transform((x, y)))
        box, has_line = room.find(start, size, scale)
        room.taken.append(box)
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        inverted = axes.transData.inverted()
        text.set(position=inverted.transform(middle), ha="center", va="center_baseline")
        if has_line:
            end = _nearest(_shrunk(box, _GAP / 2 * scale), start)
            room.lines.append((start, end))
            ends = inverted.transform([start, end])
            axes.plot(*zip(*ends, strict=True), color=line_colour, linewidth=0.9, zorder=2)


def _from_top(item):
    """Sorts names by their points: the highest first, then from left to right."""
    (x, y), _ = item
    return -y, x


class _Room:
    """What is taken of a panel: boxes (left, bottom, right, top) and lines, in pixels."""

    def __init__(self, frame):
        self.frame = frame
        self.taken = []
        self.lines = []

    def find(self, start, size, scale):
        """The first free box of `size` around `start`, else the last; and if a line leads there."""
        for distance in _DISTANCES:
            for degrees in _DIRECTIONS:
                box = _box_at(start, size, distance * scale, math.radians(degrees))
                has_line = distance > _DISTANCES[0] or degrees not in _BESIDE
                if self._is_free(box, (start, _nearest(box, start)), has_line):
                    return box, has_line
        return box, has_line

    def _is_free(self, box, line, has_line) -> bool:
        left, bottom, right, top = self.frame
        if box[0] < left or box[1] < bottom or box[2] > right or box[3] > top:
            return False
        if any(_overlap(box, other) for other in self.taken):
            return False
        if any(_crosses(other, box) for other in self.lines):
            return False
        if not has_line:
            return True
        away = [other for other in self.taken if not _inside(line[0], other)]
        return not any(_crosses(line, other) for other in away)


def _box_at(start, size, distance, angle):
    """The box whose nearest edge is `distance` from `start` in the direction `angle`."""
    x = start[0] + distance * math.cos(angle) + size[0] / 2 * _sign(math.cos(angle))
    y = start[1] + distance * math.sin(angle) + size[1] / 2 * _sign(math.sin(angle))
    return (x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2)


def _shrunk(box, by):
    return (box[0] + by, box[1] + by, box[2] - by, box[3] - by)


def _sign(value: float) -> int:
    return 0 if abs(value) < 1e-6 else int(math.copysign(1, value))


def _overlap(one, other) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(point, box) -> bool:
    return box[0] < point[0] < box[2] and box[1] < point[1] < box[3]


def _nearest(box, point):
    """The point of `box` that is nearest to `point`."""
    return (
        min(max(point[0], box[0]), box[2]),
        min(max(point[1], box[1]), box[3]),
    )


def _crosses(line, box) -> bool:
    """Whether `line` runs through `box`, looked at every few pixels."""
    (x0, y0), (x1, y1) = line
    steps = max(2, int(math.hypot(x1 - x0, y1 - y0) / 3))
    return any(
        _inside((x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps), box)
        for i in range(steps + 1)
    )
