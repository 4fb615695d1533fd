"""Which protocols there are, and which combinations are refused, by word and by command."""

import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError, TrainConfig
from r21d_keras.training.evaluation.protocols import (
    Protocol,
    Reach,
    as_json,
    described,
    exactness,
    settled,
)

NONSENSE = [
    ({"name": "sparse"}, "protocol='sparse': expected one of clips, dense"),
    ({"num_crops": 2}, "num_crops=2: expected one of 1, 3"),
    ({"frames": "half"}, "frames='half': expected one of crop, whole"),
    ({"overlap": "no"}, "overlap='no': expected one of auto, share, recompute"),
    ({"num_clips": 0}, "num_clips=0: expected at least 1"),
    ({"stride": 8}, "stride=8 is of protocol=dense; got protocol=clips"),
    ({"overlap": "share"}, "overlap=share is of protocol=dense"),
    ({"name": "dense", "num_clips": 10}, "num_clips=10 is of protocol=clips; got protocol=dense"),
    ({"name": "dense", "num_crops": 3}, "num_crops=3 is of protocol=clips"),
    ({"num_crops": 3, "frames": "whole"}, "there is nothing to crop"),
]
DENSE = Protocol(name="dense")


@pytest.mark.parametrize(("options", "message"), NONSENSE)
def test_nonsense_is_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Protocol(**options)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--stride=8"], "stride=8 is of protocol=dense"),
        (["--protocol=dense", "--num_clips=3"], "num_clips=3 is of protocol=clips"),
        (["--num_crops=3", "--frames=whole"], "there is nothing to crop"),
        (["--num_crops=2"], "--num_crops=2"),
        (["--protocol=best"], "--protocol=best"),
        (["--stride=0", "--protocol=dense"], "--stride=0"),
    ],
)
def test_the_command_refuses_it_before_it_looks_for_the_run(flags, message, capsys):
    assert main(["evaluate", "--model_dir=no_such_run", *flags]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("clip_frames", "reach", "stride", "overlap"),
    [
        (16, Reach(8, 54), 8, "recompute"),  # all would see past the ends
        (128, Reach(8, 54), 64, "share"),
        (24, Reach(8, 9), 8, "share"),  # half of it, 12, is off the grid
        (24, Reach(8, 12), 8, "recompute"),
        (8, Reach(8, 54), 4, "recompute"),
        (20, Reach(8, 54), 10, "recompute"),
        (16, Reach(1, 0), 8, "share"),
        (5, Reach(1, 2), 2, "share"),
        (16, None, 8, "recompute"),  # r2d
        (1, Reach(1, 0), 1, "recompute"),
    ],
)
def test_what_is_left_open_is_chosen(clip_frames, reach, stride, overlap):
    chosen = settled(DENSE, TrainConfig(clip_frames=clip_frames), reach)
    assert (chosen.stride, chosen.overlap, chosen.frames) == (stride, overlap, "whole")


def test_the_papers_protocol_is_what_is_done_unless_something_is_said():
    config = TrainConfig()
    chosen = settled(Protocol(), config)
    assert (chosen.num_clips, chosen.num_crops, chosen.frames) == (10, 1, "crop")
    assert described(chosen, config) == (
        "10 evenly spaced clips of 16 frames at 15 Hz from each video, resized to 128x171, centre "
        "crop 112x112, softmax averaged; each video counts once"
    )
    assert as_json(chosen, config)["clips_per_video"] == 10
    assert as_json(chosen, config)["mean"] == config.mean


@pytest.mark.parametrize(
    ("protocol", "config", "message"),
    [
        (Protocol(name="dense", stride=17), {}, "stride=17 is more than a clip's 16 frames"),
        (Protocol(name="dense", stride=4, overlap="share"), {}, "do not lie on its grid of 8"),
        (
            Protocol(num_crops=3),
            {"resize_height": 112, "resize_width": 112},
            "crops of 112 pixels are all alike in frames of 112x112",
        ),
    ],
)
def test_what_a_run_cannot_do(protocol, config, message):
    with pytest.raises(ConfigError, match=message):
        settled(protocol, TrainConfig(**config), Reach(8, 54))
    with pytest.raises(ConfigError, match="the frames of a clip are the channels"):
        settled(Protocol(name="dense", overlap="share"), TrainConfig(variant="r2d_18"), None)


@pytest.mark.parametrize(
    ("reach", "options", "text"),
    [
        (Reach(1, 0), {}, "exact: no frame sees another"),
        (Reach(1, 5), {}, "the middle 6 frames of a clip are exact"),
        (Reach(8, 54), {"overlap": "share"}, "all of a clip of 16 frames is so near to its ends"),
        (Reach(8, 54), {}, "exact: each clip is computed for itself, as features see 54 frames"),
        (Reach(1, 0), {"overlap": "recompute"}, "exact: each clip is computed for itself"),
        (None, {}, "exact: each clip is computed for itself, as the frames of a clip are"),
    ],
)
def test_exactness_is_stated(reach, options, text):
    config = TrainConfig()
    chosen = settled(Protocol(name="dense", **options), config, reach)
    assert text in exactness(chosen, config, reach)
    assert as_json(chosen, config, reach)["exactness"] == exactness(chosen, config, reach)
