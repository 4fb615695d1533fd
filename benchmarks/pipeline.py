"""How fast video is decoded, and how much of a training step is spent waiting for it.

    python benchmarks/pipeline.py --videos=DIR [--recipe=NAME | --model_dir=DIR] [--steps=30]

Run it with the package installed. DIR is a folder of class folders, by default UCF101's clips in
the folder that R21D_TEST_DATA names. Prints a table and writes it, with its conditions, to
benchmarks/pipeline.md.
"""

import argparse
import datetime
import os
import pathlib
import platform
import time
from dataclasses import replace

import av
import keras
import tensorflow as tf

from r21d_keras.training.config import TrainConfig, from_json
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import num_readers, train_batches
from r21d_keras.training.data.video_set import VideoSet
from r21d_keras.training.model_dir import build_model
from r21d_keras.training.recipes import resolve

HERE = pathlib.Path(__file__).parent
CLIPS = 128  # decoded for each row of the first table
READERS = (1, 2)


def main() -> None:
    options = _options()
    config = _config(options)
    videos = load_dataset(config, "train")
    rates = [(readers, decoded_per_s(videos, config, readers)) for readers in READERS]
    motion = replace(config, dataset="motion", clips_per_epoch=8 * CLIPS)
    rendered = decoded_per_s(load_dataset(motion, "train"), motion, 1)
    waited_s, step_s = waiting(videos, config, options.steps)
    report = _report(config, videos, rates, rendered, waited_s, step_s)
    print(report)
    options.out.write_text(report, "utf-8")


def decoded_per_s(videos: VideoSet, config: TrainConfig, readers: int) -> float:
    """Clips a second that the pipeline gives when nobody else works."""
    count = config.clips_per_epoch or CLIPS
    config = replace(config, num_readers=readers, clips_per_epoch=count, global_batch_size=8)
    for _ in train_batches(videos, replace(config, clips_per_epoch=8), 0):
        pass  # files and code are warm
    start = time.perf_counter()
    clips = sum(len(labels) for _, labels in train_batches(videos, config, 1))
    return clips / (time.perf_counter() - start)


def waiting(videos: VideoSet, config: TrainConfig, steps: int) -> tuple[float, float]:
    """Seconds a step spent waiting for its batch, and in the step itself."""
    model = build_model(config, len(videos.classes))
    model.compile(
        optimizer=keras.optimizers.SGD(1e-3, momentum=0.9),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    warm = 3
    config = replace(config, clips_per_epoch=(steps + warm) * config.global_batch_size)
    batches, waited_s, step_s = iter(train_batches(videos, config, 0)), 0.0, 0.0
    for step in range(steps + warm):
        asked = time.perf_counter()
        clips, labels = next(batches)
        got = time.perf_counter()
        model.train_on_batch(clips, labels)
        if step >= warm:
            waited_s += got - asked
            step_s += time.perf_counter() - got
    return waited_s / steps, step_s / steps


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = pathlib.Path(os.environ.get("R21D_TEST_DATA", HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--videos", type=pathlib.Path, default=data / "ucf101" / "videos")
    parser.add_argument("--recipe", default="ucf101_small_cpu", help="names the training step")
    parser.add_argument("--model_dir", type=pathlib.Path, help="take the step of this run instead")
    parser.add_argument("--variant", help="take this network in the recipe's step")
    parser.add_argument("--steps", type=int, default=30, help="steps that are timed")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "pipeline.md")
    return parser.parse_args()


def _config(options: argparse.Namespace) -> TrainConfig:
    if options.model_dir:
        config = from_json((options.model_dir / "config.json").read_text("utf-8"))
    else:
        config = resolve(options.recipe)
    config = replace(config, dataset="folder", videos=str(options.videos), clips_per_epoch=0)
    return replace(config, variant=options.variant) if options.variant else config


def _report(config, videos, rates, rendered, waited_s, step_s) -> str:
    T, S = config.clip_frames, config.crop_size
    cores, today = os.cpu_count(), datetime.date.today()
    lines = [
        "# The input pipeline",
        "",
        f"{today}, {platform.processor() or platform.machine()}, {cores} cores; Python "
        f"{platform.python_version()}, TensorFlow {tf.__version__}, Keras {keras.__version__}, "
        f"PyAV {av.__version__}. {len(videos)} videos of {pathlib.Path(config.videos).name}; "
        f"clips of {T} frames at {config.frame_rate:g} Hz, resized to "
        f"{config.resize_height}x{config.resize_width}, cropped to {S}x{S}.",
        "",
        "| source | readers | clips/s | clips/s for each reader |",
        "| --- | --- | --- | --- |",
        *(f"| files | {n} | {rate:.1f} | {rate / n:.1f} |" for n, rate in rates),
        f"| rendered (motion) | 1 | {rendered:.1f} | {rendered:.1f} |",
        "",
        f"A training step of {config.variant} (channels x {config.width_multiplier:g}, "
        f"{config.global_batch_size} clips, {num_readers(config)} readers) takes "
        f"{step_s * 1e3:.0f} ms and waits {waited_s * 1e3:.1f} ms for its clips: "
        f"{waited_s / (waited_s + step_s):.1%} of the time.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
