"""Sports-1M by lists of the official form: several labels a video."""

import gzip

import pytest

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.listings import Places, present
from r21d_keras.training.data.sports1m import list_sports1m
from r21d_keras.zoo.labels import load_labels
from tests.trees import link, real_clips, write_lists

# The first line is the README's example; the other forms are those in which YouTube gives links.
TRAIN = """\
https://www.youtube.com/watch?v=UDqivjS-lpI 168,169
http://www.youtube.com/watch?v=-3B32lodo2M&feature=related 0
http://youtu.be/_dbcJuKJQNs 486,0
"""
TEST = "https://www.youtube.com/watch?feature=a&v=0wR5jVB-WPk 169,168\n"
VIDEOS = ("UDqivjS-lpI.mp4", "a/-3B32lodo2M.webm", "b/c/_dbcJuKJQNs.mkv", "0wR5jVB-WPk.mp4")


@pytest.fixture
def tree(test_data, tmp_path):
    """Real clips by YouTube id, and lists in original/."""
    root = link(tmp_path / "videos", VIDEOS, real_clips(test_data))
    lists = {"train_partition.txt": TRAIN, "test_partition.txt": TEST}
    write_lists(root / "original", lists, "\r\n")
    return root


def test_labels(tree):
    config = TrainConfig(dataset="sports1m", videos=str(tree))
    train, test = (load_dataset(config, subset) for subset in ("train", "test"))
    labels = load_labels("sports1m")
    assert train.classes == tuple(labels[n] for n in (0, 168, 169, 486)) == test.classes
    assert train.names == ("UDqivjS-lpI", "-3B32lodo2M", "_dbcJuKJQNs")
    assert train.label_sets == ((1, 2), (0,), (3, 0)) and train.labels == (1, 0, 3)
    assert test.label_sets == ((2, 1),) and test.labels == (2,)
    assert train.paths[2] == f"{tree}/b/c/_dbcJuKJQNs.mkv"


def test_compressed_lists(tree):
    for path in (tree / "original").iterdir():
        path.with_suffix(".txt.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert len(list_sports1m(Places(str(tree)), 1, "train").names) == 3
    path = tree / "original" / "train_partition.txt.gz"
    whole = path.read_bytes()
    hurt = whole[:20] + bytes([whole[20] ^ 255, whole[21] ^ 255]) + whole[22:]
    for octets in (b"no archive", hurt, whole[:-9]):
        path.write_bytes(octets)
        with pytest.raises(ValueError, match="train_partition.txt.gz is damaged: .* Get the list"):
            list_sports1m(Places(str(tree)), 1, "train")


def test_absent_and_unreadable_videos_take_their_labels_along(tree):
    (tree / "UDqivjS-lpI.mp4").unlink()
    (tree / "a" / "-3B32lodo2M.webm").unlink()
    (tree / "a" / "-3B32lodo2M.webm").write_text("no video")
    write_lists(tree / "original", {"train_partition.txt": TRAIN + TEST.replace("0wR", "1wR")})
    link(tree, ["1wR5jVB-WPk.mp4"], [(tree / "b/c/_dbcJuKJQNs.mkv").resolve()])
    config = TrainConfig(dataset="sports1m", videos=str(tree), on_bad_video="skip")
    train = load_dataset(config, "train")
    assert train.missing == ("UDqivjS-lpI",) and len(train.left_out) == 1
    assert train.label_sets == ((3, 0), (2, 1)) and train.labels == (3, 2)
    every = listed("sports1m", Places(str(tree)))
    assert every.names == ("-3B32lodo2M", "_dbcJuKJQNs", "1wR5jVB-WPk", "0wR5jVB-WPk")
    assert every.label_sets == ((0,), (3, 0), (2, 1), (2, 1))


def test_a_video_on_two_lines_has_the_labels_of_both(tree):
    text = TRAIN + "http://www.youtube.com/watch?v=UDqivjS-lpI 169,0\n"
    write_lists(tree / "original", {"train_partition.txt": text})
    entries = list_sports1m(Places(str(tree)), 1, "train")
    assert entries.repeated == ("UDqivjS-lpI",)
    assert present(entries, multi_label=True).label_sets[0] == (1, 2, 0)


@pytest.mark.parametrize(
    "line",
    [
        "https://www.youtube.com/watch?v=UDqivjS-lpI",
        "https://www.youtube.com/watch?v=UDqivjS-lpI 487",
        "https://www.youtube.com/watch?v=UDqivjS-lpI 1;2",
        "https://www.youtube.com/watch?v=short 1",
        "UDqivjS-lpI 1",
    ],
)
def test_lines_that_are_wrong(tree, line):
    write_lists(tree / "original", {"train_partition.txt": f"{TRAIN}\n{line}\n"})
    with pytest.raises(ValueError, match=r"1 line is not 'YouTube URL label,label'.*: line 5: "):
        list_sports1m(Places(str(tree)), 1, "train")


def test_lists_that_do_not_fit(tree):
    write_lists(tree / "original", {"test_partition.txt": TEST.replace("168", "7")})
    with pytest.raises(ValueError, match="1 label that no video of the training list has: 7 "):
        list_sports1m(Places(str(tree)), 1, "test")
    (tree / "original" / "train_partition.txt").unlink()
    with pytest.raises(ValueError, match="no train_partition.txt in it; expected Sports-1M's"):
        list_sports1m(Places(str(tree)), 1, "train")
