import numpy as np
import pytest
from matplotlib.image import imread

from r21d_keras.training.pictures import draw_confusion, draw_curves
from r21d_keras.training.prediction_picture import MAX_ROWS, PredictionRow, draw_predictions

HEADER = "epoch,loss,accuracy,learning_rate,val_loss,val_accuracy\n"


def write_history(path, rows):
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path


def ink_pixels(png, colour):
    """How many pixels of the picture have about the colour (r, g, b in 0..255)."""
    pixels = imread(png)[..., :3] * 255
    return int((np.abs(pixels - np.array(colour)).max(axis=-1) < 12).sum())


@pytest.mark.parametrize(
    "rows",
    [
        ["1,2.0,0.1,0.01,,"],
        ["1,2.0,0.1,0.01,2.1,0.2", "2,1.5,0.3,0.1,,", "3,1.0,0.6,0.1,1.2,0.5"],
        [f"{e},{2 / e},{1 - 1 / e},0.1,{2.2 / e},{1 - 1.1 / e}" for e in range(1, 46)],
        ["1,nan,0.1,0.01,,"],
    ],
    ids=["one_epoch", "gaps", "long", "nan"],
)
def test_curves_are_drawn(tmp_path, rows):
    out = tmp_path / "curves.png"
    draw_curves(write_history(tmp_path / "history.csv", rows), out)
    assert imread(out).shape[1] == 1500
    assert [p.name for p in tmp_path.iterdir() if p.suffix != ".csv"] == ["curves.png"]


def test_validation_curve_appears_only_where_there_is_one(tmp_path):
    validation_orange = (0xC2, 0x41, 0x0C)
    draw_curves(
        write_history(tmp_path / "a.csv", ["1,2,0.1,0.1,,", "2,1,0.5,0.1,,"]), tmp_path / "a"
    )
    draw_curves(write_history(tmp_path / "b.csv", ["1,2,0.1,0.1,2,0.3"]), tmp_path / "b")
    assert ink_pixels(tmp_path / "a", validation_orange) == 0
    assert ink_pixels(tmp_path / "b", validation_orange) > 100


def test_history_without_epochs_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="holds no epoch"):
        draw_curves(write_history(tmp_path / "history.csv", []), tmp_path / "curves.png")
    assert [p.name for p in tmp_path.iterdir()] == ["history.csv"]


@pytest.mark.parametrize("count", [2, 8, 26, 27, 101])
def test_confusion_grows_with_the_classes(tmp_path, count):
    matrix = np.diag(np.arange(count))
    out = tmp_path / "confusion.png"
    draw_confusion(matrix, tuple(f"class $x$ {i}" for i in range(count)), out)
    height, width = imread(out).shape[:2]
    assert min(height, width) > 12 * count  # room for a readable name in each row
    assert max(height, width) < 4000


def test_confusion_refuses_a_matrix_of_another_size(tmp_path):
    with pytest.raises(ValueError, match=r"\(2, 2\); got \(3, 3\)"):
        draw_confusion(np.eye(3, dtype=int), ("a", "b"), tmp_path / "confusion.png")


def row(colour, shape=(8, 32, 48, 3), labels=5):
    frames = np.broadcast_to(np.array(colour, np.uint8), shape)
    scores = tuple(0.5**i for i in range(1, labels + 1))
    names = tuple(f"label {i}" for i in range(labels))
    return PredictionRow("a video.mp4", frames, np.arange(shape[0]) / 15, names, scores)


@pytest.mark.parametrize("count", [1, 3])
def test_each_video_has_its_frames_in_the_picture(tmp_path, count):
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)][:count]
    out = tmp_path / "prediction.png"
    draw_predictions([row(colour) for colour in colours], out)
    for colour in colours:
        assert ink_pixels(out, colour) > 8 * 100 * 100


@pytest.mark.parametrize("shape", [(1, 32, 48, 3), (3, 90, 20, 3), (64, 20, 90, 3)])
def test_any_clip_shape_and_number_of_labels(tmp_path, shape):
    draw_predictions([row((9, 99, 199), shape, labels=2)], tmp_path / "prediction.png")
    assert ink_pixels(tmp_path / "prediction.png", (9, 99, 199)) > 1000


@pytest.mark.parametrize("count", [0, MAX_ROWS + 1])
def test_number_of_rows_is_limited(tmp_path, count):
    with pytest.raises(ValueError, match=f"1 to {MAX_ROWS} videos; got {count}"):
        draw_predictions([row((0, 0, 0))] * count, tmp_path / "prediction.png")
