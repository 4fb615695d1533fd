"""Peak memory of real processes that evaluate a video of two minutes, and one of four seconds."""

import subprocess
import sys

import numpy as np
import pytest

RATE = 15  # Hz
MOST_MB = 64  # by which the peak may grow from the shorter video to the longer
FRAMES_MB = 120 * RATE * 128 * 171 * 3 * 4 / 2**20  # 451: the longer one, as the network takes it

MEASURE = """
import resource, sys
import numpy as np
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data.video_set import Files, VideoSet
from r21d_keras.training.evaluation.network import Network
from r21d_keras.training.evaluation.protocols import Protocol, settled
from r21d_keras.training.evaluation.viewing import Viewing
from r21d_keras import VideoResNet

name, overlap, *paths = sys.argv[1:]
config = TrainConfig(variant="mc3_10", clip_frames=16, num_readers=1)
whole = name == "dense"
shape = (None, 128, 171, 3) if whole else (16, 112, 112, 3)
model = VideoResNet("mc3_10", num_classes=3, input_shape=shape, width_multiplier=1 / 32)
network = Network(model, config)
protocol = Protocol(name=name, overlap=overlap or None)
protocol = settled(protocol, config, network.reach)
if protocol.overlap == "share":
    network.prepare_blocks()
videos = VideoSet("two", ("a", "b", "c"), tuple(paths), (0,) * len(paths), Files(tuple(paths)))
viewing = Viewing([network], videos, config, protocol)
for index in range(len(paths)):
    scores = viewing.score(index)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(scores.num_clips, peak)
"""


@pytest.fixture(scope="module")
def paths(tmp_path_factory, encode_video):
    """Videos of 12 and of 120 seconds; the first is seen before anything is measured."""
    folder, draw = tmp_path_factory.mktemp("lengths"), np.random.default_rng(0)
    still = draw.integers(0, 255, (30, 6, 8, 3), np.uint8).repeat(16, axis=1).repeat(16, axis=2)
    paths = []
    for seconds in (12, 120):
        frames = np.broadcast_to(still[:RATE, None], (RATE, seconds, *still.shape[1:]))
        frames = frames.reshape(-1, *still.shape[1:])
        paths.append(str(encode_video(folder / f"{seconds}.mp4", frames, rate=RATE)))
    return paths


@pytest.mark.parametrize(
    ("name", "overlap", "clips"),
    [("clips", "", (10, 10)), ("dense", "share", (22, 224)), ("dense", "recompute", (22, 224))],
)
def test_two_minutes_cost_no_more_than_seconds(paths, name, overlap, clips):
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, overlap, *paths],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [line.split() for line in done.stdout.splitlines()]
    assert tuple(int(count) for count, _ in found) == clips
    short_mb, long_mb = (float(peak) for _, peak in found)
    assert long_mb - short_mb < MOST_MB < FRAMES_MB / 4
