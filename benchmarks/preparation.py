"""What preparation costs and what it brings: videos prepared a second, and clips read a second.

    python benchmarks/preparation.py [--videos=DIR] [--rounds=5]

Run it with the package installed. DIR is a folder of class folders, by default UCF101's clips in
the folder that R21D_TEST_DATA names. In each round everything is measured once, in turn, so that
what else the machine does meets all of them; the figures are medians. Rates are by the CPU seconds
of the process, all its threads together, and so those of one core. Prints a report and writes it,
with its conditions, to benchmarks/preparation.md.
"""

import argparse
import datetime
import os
import pathlib
import platform
import statistics
import tempfile
import time
from dataclasses import replace

import av
import cv2
import numpy as np

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.data.catalogued import listed
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.listings import Places
from r21d_keras.training.data.pipeline import clip_spec, train_batches
from r21d_keras.training.data.video import read_clips
from r21d_keras.training.records.plan import make_plan
from r21d_keras.training.records.pool import encode_all
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.rgb import FrameOptions

HERE = pathlib.Path(__file__).parent
VIDEOS, CLIPS = 24, 48  # in each measurement
QUALITIES = (75, 85, 90, 95, 100)  # of JPEG


def main() -> None:
    options = _options()
    plan = plan_of(options.videos, FrameOptions())
    with tempfile.TemporaryDirectory() as folder:
        prepare(plan, folder)
        config = TrainConfig(dataset="folder", videos=str(options.videos), num_readers=1)
        config = replace(config, clips_per_epoch=CLIPS, global_batch_size=8)
        sources = {
            "videos": (load_dataset(config, "train"), config),
            "records": (
                load_dataset(replace(config, records=folder), "train"),
                replace(config, records=folder),
            ),
        }
        rounds = [measured(plan, sources, number) for number in range(options.rounds)]
    report = _report(options, plan, rounds, [losses(plan, quality) for quality in QUALITIES])
    print(report)
    options.out.write_text(report, "utf-8")


def plan_of(videos: pathlib.Path, options: FrameOptions):
    places = Places(str(videos))
    return make_plan(listed("folder", places), "rgb", options.encoder, options.as_json)


def measured(plan, sources, number: int) -> dict[str, tuple[float, float]]:
    """Videos or clips for each CPU second and for each second, by what was measured."""
    items = plan.items[number * VIDEOS % len(plan.items) :][:VIDEOS]
    found = {
        "frames": _timed(lambda: [decode(item.path, as_rgb=False) for item in items]),
        "decode": _timed(lambda: [decode(item.path) for item in items]),
        "prepare": _timed(lambda: list(encode_all(items, plan.encoder, 1))),
    }
    for name, (videos, config) in sources.items():
        read = _timed(lambda v=videos, c=config: read_alone(v, clip_spec(v, c), number))
        batched = _timed(lambda v=videos, c=config: list(train_batches(v, c, number)))
        found[f"read {name}"] = tuple(CLIPS / seconds for seconds in read)
        found[name] = tuple(CLIPS / seconds for seconds in batched)
    for name in ("frames", "decode", "prepare"):
        found[name] = tuple(len(items) / seconds for seconds in found[name])
    return found


def decode(path: str, as_rgb: bool = True) -> None:
    """The plain loop: every frame, as RGB or as the codec has it."""
    with av.open(path) as container:
        container.streams.video[0].thread_type = "NONE"
        for frame in container.decode(video=0):
            if as_rgb:
                frame.to_ndarray(format="rgb24")


def read_alone(videos, spec, number: int) -> None:
    """A training clip of each of CLIPS videos, as its source gives it: resized, not cropped."""
    for place in range(number * CLIPS, (number + 1) * CLIPS):
        index = place % len(videos)
        draw = np.random.default_rng(place)
        videos.source.training_clip(index, videos.labels[index], draw, spec)


def losses(plan, quality: int) -> tuple[int, float, float]:
    """Quality, kB a frame, and how far frames then are from what they were, in grey levels."""
    sizes, errors = [], []
    for item in plan.items[:VIDEOS]:
        clip = read_clips(item.path, [0.0], 8, 4.0, size=(128, 171))[0]
        for frame in clip:
            jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
            again = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
            sizes.append(len(jpeg))
            errors.append(np.abs(again.astype(int) - frame).mean())
    return quality, statistics.mean(sizes) / 1e3, statistics.mean(errors)


def _timed(work) -> tuple[float, float]:
    """CPU seconds and seconds that `work` takes."""
    cpu_s, began_s = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu_s, time.perf_counter() - began_s


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = pathlib.Path(os.environ.get("R21D_TEST_DATA", HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--videos", type=pathlib.Path, default=data / "ucf101" / "videos")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "preparation.md")
    return parser.parse_args()


def _report(options, plan, rounds, lost) -> str:
    rates = {}
    for name in rounds[0]:
        for place, what in enumerate(("core", "wall")):
            rates[name, what] = statistics.median(found[name][place] for found in rounds)
    load, today = os.getloadavg()[1], datetime.date.today()
    config = TrainConfig()

    def row(text, name, base):
        least, most = (f(found[name][0] for found in rounds) for f in (min, max))
        times = rates[name, "core"] / rates[base, "core"]
        return (
            f"| {text} | {rates[name, 'core']:.1f} ({least:.1f} to {most:.1f}) | "
            f"{rates[name, 'wall']:.1f} | x{times:.2f} |"
        )

    lines = [
        "# Preparation",
        "",
        f"{today}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{load:.1f} from other work; Python {platform.python_version()}, PyAV {av.__version__}, "
        f"OpenCV {cv2.__version__}. {len(plan.items)} videos of UCF101 (320x240), of which each of "
        f"{len(rounds)} rounds takes {VIDEOS}, and {CLIPS} clips; medians, least and most.",
        "",
        "| one process | videos for each CPU second | for each second | against the first |",
        "| --- | --- | --- | --- |",
        row("plain loop: PyAV decodes every frame to RGB", "decode", "decode"),
        row("the same loop, frames left as the codec has them", "frames", "decode"),
        row("prepare: decode, resize to 128x171 at 15 Hz, JPEG", "prepare", "decode"),
        "",
        "The plain loop's to_ndarray converts by several threads, whose hand-over costs more than "
        "the conversion of so small a frame; preparation converts by one, and only the frames that "
        "it keeps.",
        "",
        "| clips from, one reader | clips for each CPU second | for each second | against videos |",
        "| --- | --- | --- | --- |",
        row("videos, read alone", "read videos", "read videos"),
        row("records, read alone", "read records", "read videos"),
        row("videos, through the pipeline", "videos", "videos"),
        row("records, through the pipeline", "records", "videos"),
        "",
        f"Clips of {config.clip_frames} frames at {config.frame_rate:g} Hz, {config.crop_size}x"
        f"{config.crop_size} pixels; the pipeline crops, mirrors, normalises and batches them.",
        "",
        "| JPEG quality | kB a frame of 128x171 | mean difference, of 255 grey levels |",
        "| --- | --- | --- |",
        *(f"| {quality} | {size:.1f} | {error:.2f} |" for quality, size, error in lost),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
