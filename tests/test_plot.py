import itertools
import subprocess
import sys

import pytest

from r21d_keras import zoo
from r21d_keras.variants import DEPTHS, FAMILIES
from r21d_keras.zoo.plot import COLOURS, MARKERS, accuracy_plot

pytest.importorskip("matplotlib")
ROWS = zoo.list_weights()


@pytest.fixture(scope="module")
def figure():
    return accuracy_plot()


@pytest.fixture(scope="module")
def renderer(figure):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return canvas.get_renderer()


def boxes(axes, renderer):
    """Name -> (left, bottom, right, top) in pixels."""
    extents = {text.get_text(): text.get_window_extent(renderer) for text in axes.texts}
    assert len(extents) == len(axes.texts)
    return {name: box.extents for name, box in extents.items()}


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def points(axes):
    """Middles of all points in pixels."""
    return [axes.transData.transform(p) for c in axes.collections for p in c.get_offsets()]


def test_every_family_and_depth_has_its_own_look():
    assert set(COLOURS) == set(FAMILIES) and len(set(COLOURS.values())) == len(FAMILIES)
    assert set(MARKERS) == set(DEPTHS) and len(set(MARKERS.values())) == len(DEPTHS)


@pytest.mark.parametrize("panel", [0, 1])
def test_every_accuracy_is_a_point(figure, panel):
    (axes, cost) = (figure.axes[panel], ("macs", "num_params")[panel])
    scale = (1e9, 1e6)[panel]
    drawn = {
        (round(float(x), 6), round(float(y), 6))
        for collection in axes.collections
        for x, y in collection.get_offsets()
    }
    assert drawn == {
        (round(getattr(row, cost) / scale, 6), row.video_top1)
        for row in ROWS
        if row.dataset == "Kinetics-400" and row.video_top1 is not None
    }


@pytest.mark.parametrize("panel", [0, 1])
def test_names_lie_apart_and_on_no_point(figure, renderer, panel):
    axes = figure.axes[panel]
    names = boxes(axes, renderer)
    frame = axes.get_window_extent(renderer).extents
    for one, other in itertools.combinations(names, 2):
        assert not overlap(names[one], names[other]), (one, other)
    for name, box in names.items():
        assert frame[0] <= box[0] and frame[1] <= box[1]
        assert box[2] <= frame[2] and box[3] <= frame[3]
        for x, y in points(axes):
            assert not overlap(box, (x - 2, y - 2, x + 2, y + 2)), name


@pytest.mark.parametrize("panel", [0, 1])
def test_every_network_is_named(figure, panel):
    names = {text.get_text().split(",")[0] for text in figure.axes[panel].texts}
    assert {"R(2+1)D-18", "R(2+1)D-34", "R(2+1)D-50", "R(2+1)D-152", "f-R2D-18"} < names
    assert {"R2D-18", "R3D-18", *(f"{r}MC{n}-18" for r in ("", "r") for n in (2, 3, 4, 5))} < names
    assert "R(2+1)D-34, Sports-1M, flow" in {text.get_text() for text in figure.axes[panel].texts}


def test_legends_and_caption_lie_on_the_page(figure, renderer):
    page = figure.bbox.extents
    shown = [*figure.legends, *figure.texts]
    found = [item.get_window_extent(renderer).extents for item in shown]
    for box in found:
        assert page[0] <= box[0] and page[1] <= box[1] and box[2] <= page[2] and box[3] <= page[3]
    for one, other in itertools.combinations(found, 2):
        assert not overlap(one, other)


def test_caption_states_every_protocol(figure):
    caption = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert "by different protocols" in caption
    for row in ROWS:  # of two in one place, where one was converted from the other, one is shown
        if row.video_top1 is not None and "converted from" not in row.protocol:
            assert row.protocol in caption


def test_a_single_row_is_a_picture(tmp_path):
    row = zoo.get_weights("r3d_18", "kinetics400_8f")
    accuracy_plot([row]).savefig(tmp_path / "zoo.png")
    assert (tmp_path / "zoo.png").stat().st_size > 1000


def test_rows_without_accuracy_are_an_error():
    row = zoo.get_weights("r2plus1d_34", "ig65m_8f")
    with pytest.raises(ValueError, match="None of the 1 rows has a published video accuracy"):
        accuracy_plot([row])


def test_without_matplotlib_the_error_says_what_to_install():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from r21d_keras import zoo\n"
        "try: zoo.accuracy_plot()\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == (
        "accuracy_plot draws with matplotlib, which is not installed: pip install matplotlib.\n"
    )
