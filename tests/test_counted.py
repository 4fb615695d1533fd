import pytest

from r21d_keras.training.data.counted import counted
from r21d_keras.training.data.findings import KINDS


@pytest.mark.parametrize(
    ("count", "what", "said"),
    [
        (1, "videos", "1 video"),
        (0, "videos are done and kept", "0 videos are done and kept"),
        (1, "videos are in files and not in videos", "1 video is in files and not in videos"),
        (1, "of 7 listed videos are not there", "1 of 7 listed videos is not there"),
        (1, "are not there", "1 is not there"),
        (1, "classes have no video to train on", "1 class has no video to train on"),
        (1, "wrong lines", "1 wrong line"),
        (13320, "frames", "13,320 frames"),
    ],
)
def test_words_fit_the_number(count, what, said):
    assert counted(count, what) == said


def test_every_kind_of_finding_may_come_once():
    assert counted(1, KINDS["truncated"]) == "1 video that is cut short"
    for what in KINDS.values():
        noun = counted(1, what).split()[1]
        assert (
            noun in ("list", "listed", "subset", "class", "video")
            and counted(2, what) == f"2 {what}"
        )
