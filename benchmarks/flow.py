"""How long optical flow takes by each method, how right it is, and what records of it save.

    python -m benchmarks.flow [--videos=DIR] [--clips=64]

DIR is a folder of class folders, by default UCF101's clips in the folder that R21D_TEST_DATA names.
Times are of the processor, of one thread, medians over pairs: what else the machine does changes
them little. TV-L1 is measured where opencv-contrib is installed. Prints tables and writes them to
benchmarks/flow.md, with their conditions.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time
from dataclasses import replace

import cv2
import numpy as np

from benchmarks import moving_scenes as scenes
from benchmarks.ledger import conditions, write_text
from r21d_keras.training.data.catalogued import Catalogued, listed
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.listings import Places
from r21d_keras.training.data.pipeline import train_batches
from r21d_keras.training.data.video import read_clips
from r21d_keras.training.flow.encode import FlowOptions
from r21d_keras.training.flow.kept import KIND
from r21d_keras.training.flow.methods import METHODS, clip_flow
from r21d_keras.training.flow.quantise import LIMIT, quantise, restored
from r21d_keras.training.recipes import resolve
from r21d_keras.training.records.plan import make_plan
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions

HERE = pathlib.Path(__file__).parent
SIZES = ((128, 171), (112, 112))  # whole frames, as records have them; the crop
PACKAGES = ("opencv-python-headless", "opencv-contrib-python-headless", "numpy")
PAIRS = 3  # of each video, half a second apart
KEPT_VIDEOS = 40  # of which records are made


def main() -> None:
    options = _options()
    methods = [name for name in METHODS if name != "tvl1" or hasattr(cv2, "optflow")]
    paths = sorted(map(str, options.videos.rglob("*.*")))[:: options.every]
    lines = [_method_row(name, paths) for name in methods]
    with tempfile.TemporaryDirectory() as folder:
        made, record_bytes, fields = _make_records(options.videos, pathlib.Path(folder))
        rates = _clip_rates(options, folder, [name for name in methods if name != "tvl1"])
    report = _report(len(paths), lines, rates, (made, record_bytes, fields, _kept_error(paths)))
    print(report)
    write_text(options.out, report)


def _method_row(method: str, paths: list[str]) -> str:
    """A line of the first table."""
    times = [f"{_ms_a_pair(method, paths, size):.2f}" for size in SIZES]
    errors = []
    for name, motion in scenes.MOTIONS.items():
        frames, truth = scenes.scene(motion, 2)
        if name != "still":
            errors.append(scenes.end_point_error(clip_flow(frames, method), truth))
    cells = [method, *times, f"{statistics.mean(errors):.3f}", f"{max(errors):.3f}"]
    return f"| {' | '.join(cells)} |"


def _ms_a_pair(method: str, paths: list[str], size: tuple[int, int]) -> float:
    """Median over pairs of neighbouring frames of videos, milliseconds of one thread."""
    times_ms = []
    for path in paths:
        for start_s in np.arange(PAIRS) / 2:
            pair = read_clips(path, [start_s], 2, 15.0, "loop", size)[0]
            began = time.thread_time()
            clip_flow(pair, method)
            times_ms.append(1e3 * (time.thread_time() - began))
    return statistics.median(times_ms)


def _kept_error(paths: list[str]) -> tuple[float, float]:
    """What 8 bits do to Farneback's flow: mean error in pixels within LIMIT, share beyond it."""
    errors, beyond = [], []
    for path in paths:
        field = clip_flow(read_clips(path, [0.5], 2, 15.0, "loop", SIZES[0])[0], "farneback")[0]
        within = np.abs(field).max(axis=-1) <= LIMIT
        errors.append(np.linalg.norm(restored(*quantise(field)) - field, axis=-1)[within].mean())
        beyond.append(1 - within.mean())
    return float(np.mean(errors)), float(np.mean(beyond))


def _make_records(videos: pathlib.Path, out: pathlib.Path) -> tuple[float, int, int]:
    """Makes records by DIS of some videos: processor seconds a video, bytes, fields."""
    every = listed("folder", Places(str(videos), "", ""))
    some = slice(None, None, max(1, len(every.names) // KEPT_VIDEOS))
    parts = ("names", "paths", "label_sets", "membership")
    chosen = replace(every, **{part: getattr(every, part)[some] for part in parts})
    assert isinstance(chosen, Catalogued)
    flow = FlowOptions(frames=FrameOptions(), method="dis")
    plan = make_plan(chosen, KIND, flow.encoder, flow.as_json)
    began = time.process_time()
    counts = prepare(plan, out, processes=1).counts
    seconds = (time.process_time() - began) / counts["videos"]
    return seconds, counts["bytes"], counts["frames"]


def _clip_rates(options: argparse.Namespace, records: str, methods: list[str]) -> list[str]:
    """Lines of the second table: processor time of a training clip from each source."""
    places = {"dataset": "folder", "videos": str(options.videos), "random_flip": True}
    kinds = {"RGB from videos": {}}
    kinds |= {f"flow from videos, {m}": {"stream": "flow", "flow_method": m} for m in methods}
    kinds["flow from records"] = {"stream": "flow", "records": records}
    lines = []
    for kind, more in kinds.items():
        config = resolve(overrides={**places, **more, "num_readers": 1, "global_batch_size": 8})
        videos = load_dataset(config, "train")
        config = replace(config, clips_per_epoch=options.clips)
        for _ in train_batches(videos, replace(config, clips_per_epoch=8), 0):
            pass  # files and code are warm
        began = time.process_time()
        clips = sum(len(labels) for _, labels in train_batches(videos, config, 1))
        lines.append(f"| {kind} | {1e3 * (time.process_time() - began) / clips:.0f} |")
    return lines


def _report(num_videos: int, methods: list[str], rates: list[str], records) -> str:
    seconds, num_bytes, fields, (error, beyond) = records
    about = conditions(*PACKAGES)
    sizes = " | ".join(f"ms a pair, {height}x{width}" for height, width in SIZES)
    return "\n".join(
        [
            "# Optical flow",
            "",
            f"{about['date']}, {about['machine']}; {about['versions']}. Processor time of one "
            f"thread; medians over {PAIRS} pairs of neighbouring frames at 15 Hz of each of "
            f"{num_videos} UCF101 videos. Errors are mean end-point errors in pixels over scenes "
            "of 112x112 whose motion is a formula (benchmarks/moving_scenes.py): their mean, and "
            "that of the worst scene. Written by `python -m benchmarks.flow`.",
            "",
            f"| method | {sizes} | error | worst |",
            "| --- | --- | --- | --- | --- |",
            *methods,
            "",
            "A training clip of 16 frames, or of 16 fields of flow, 112x112:",
            "",
            "| clips | processor ms a clip |",
            "| --- | --- |",
            *rates,
            "",
            f"Records by DIS at 128x171 take {seconds:.2f} processor s and "
            f"{num_bytes / fields / 1e3:.1f} kB a field to make. Their 8 bits change vectors of "
            f"Farneback's flow by {error:.3f} pixels on average; {beyond:.1%} of them are longer "
            f"than {LIMIT:g} pixels and are kept as that.",
            "",
        ]
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = pathlib.Path(os.environ.get("R21D_TEST_DATA", HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--videos", type=pathlib.Path, default=data / "ucf101" / "videos")
    parser.add_argument("--every", type=int, default=8, help="measure pairs of every n-th video")
    parser.add_argument("--clips", type=int, default=64, help="training clips of each kind")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "flow.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
