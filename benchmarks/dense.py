"""Dense tests that compute overlapping clips once, beside the same clips one by one.

    python -m benchmarks.dense --videos=DIR [--families=mc3,r3d] [--depth=10] [--num_videos=10]

Trains each network for a moment on DIR, a folder of class folders (by default UCF101's clips in the
folder that R21D_TEST_DATA names), so that its scores are of something; then tests whole frames of
whole videos both ways in turn, and takes medians. Writes benchmarks/dense.md, and beside it
dense.json, from which a later run keeps what it does not measure again.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time
from dataclasses import replace

from benchmarks.fresh import in_fresh_process
from benchmarks.ledger import Ledger, conditions, write_text

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "av")
FAMILIES = ("r2d", "f_r2d", "mc3", "mc5", "rmc3", "r3d", "r2plus1d")
STRIDES = (8, 4, 1)  # frames; those that a network's grid allows are measured
COLUMNS = (
    "network",
    "stride",
    "clips a video",
    "s/video one by one, shared",
    "times faster",
    "processor s/video",
    "times less",
    "difference of scores: largest, mean",
    "same answer",
    "accuracy one by one, shared",
)
RUN = {
    "dataset": "folder",
    "width_multiplier": 0.25,
    "clip_frames": 16,
    "frame_rate": 15.0,
    "resize_height": 64,
    "resize_width": 86,
    "crop_size": 56,
    "weight_decay": 5e-4,
    "global_batch_size": 16,
    "epochs": 4,
    "warmup_epochs": 0.0,
    "validate_every": 0,
    "num_cpu_replicas": 1,
}


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for family in options.families:
        variant = f"{family}_{options.depth}"
        if f"{variant}, stride {STRIDES[0]}" in ledger:
            continue
        print(variant, flush=True)
        for row in in_fresh_process(measure, variant, vars(options)):
            ledger[f"{variant}, stride {row['stride']}"] = row | conditions(*PACKAGES)
        write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def measure(variant: str, options: dict) -> list[dict]:
    """A row for each stride: seconds a video and scores, shared and one by one."""
    from r21d_keras import get_variant
    from r21d_keras.training.config import ConfigError
    from r21d_keras.training.data.datasets import load_dataset
    from r21d_keras.training.evaluation.network import load_networks
    from r21d_keras.training.evaluation.protocols import Protocol, settled
    from r21d_keras.training.evaluation.viewing import Viewing
    from r21d_keras.training.recipes import resolve
    from r21d_keras.training.train import train

    if get_variant(variant).fixes_clip_length:
        return [{"variant": variant, "stride": STRIDES[0]}]
    with tempfile.TemporaryDirectory() as folder:
        places = {"videos": str(options["videos"]), "model_dir": folder, "variant": variant}
        sizes = {"clips_per_epoch": options["clips_per_epoch"]}
        config = resolve("ucf101_small_cpu", overrides=RUN | places | sizes)
        train(config)
        videos = _some(load_dataset(config, "test"), options["num_videos"])
        networks = load_networks(folder, "final", Protocol(name="dense"), ("CPU:0",))
        networks[0].prepare_blocks()
        rows = []
        for stride in STRIDES:
            viewings = []
            for overlap in ("share", "recompute"):
                asked = Protocol(name="dense", stride=stride, overlap=overlap)
                try:
                    protocol = settled(asked, config, networks[0].reach)
                except ConfigError:  # the network cannot
                    break
                viewings.append(Viewing(networks, videos, config, protocol))
            if len(viewings) == 2:
                numbers = _compared(viewings, options["repeats"])
                rows.append({"variant": variant, "stride": stride, **numbers})
        return rows


def _some(videos, count: int):
    """`count` of the videos, evenly from the whole list, so that every class is among them."""
    from r21d_keras.training.data.video_set import Files

    places = [len(videos) * place // count for place in range(min(count, len(videos)))]
    return replace(
        videos,
        names=tuple(videos.names[place] for place in places),
        labels=tuple(videos.labels[place] for place in places),
        source=Files(tuple(videos.paths[place] for place in places)),
    )


def _compared(viewings: list, repeats: int) -> dict:
    """Medians of both ways, each video shown in turn, and how far apart their scores are."""
    import numpy as np

    wall_s, cpu_s, found = ([], []), ([], []), ([], [])
    indices = range(len(viewings[0].videos))
    for repeat in range(repeats + 1):  # the first warms files and code
        spent = np.zeros((2, 2))  # way; wall, cpu
        for index in indices:
            for way, viewing in enumerate(viewings):
                start = np.array([time.perf_counter(), time.process_time()])
                scores = viewing.score(index)
                spent[way] += np.array([time.perf_counter(), time.process_time()]) - start
                if not repeat:
                    found[way].append(scores)
        if repeat:
            for way, (wall, cpu) in enumerate(spent.tolist()):
                wall_s[way].append(wall / len(indices))
                cpu_s[way].append(cpu / len(indices))
    shared, alone = (np.stack([scores.mean for scores in way]) for way in found)
    labels = viewings[0].videos.labels
    return {
        "clips": sum(scores.num_clips for scores in found[0]),
        "videos": len(indices),
        "wall_s": [statistics.median(way) for way in wall_s],
        "cpu_s": [statistics.median(way) for way in cpu_s],
        "largest": float(np.abs(shared - alone).max()),
        "mean": float(np.abs(shared - alone).mean()),
        "same": int((shared.argmax(axis=1) == alone.argmax(axis=1)).sum()),
        "accuracy": [float((way.argmax(axis=1) == labels).mean()) for way in (shared, alone)],
    }


def report(rows: dict) -> str:
    """benchmarks/dense.md."""
    measured = [row for row in rows.values() if "wall_s" in row]
    cannot = [row["variant"] for row in rows.values() if "wall_s" not in row]
    last = list(rows.values())[-1]
    lines = [
        "# Dense tests: overlapping clips computed once",
        "",
        f"{last['date']}, {last['machine']}, load {last['load']} (its own in it; "
        f"compare within a row alone); {last['versions']}.",
        "",
        f"Clips of {RUN['clip_frames']} frames at {RUN['frame_rate']:g} Hz, whole frames of "
        f"{RUN['resize_height']}x{RUN['resize_width']} (crop {RUN['crop_size']}), channels x "
        f"{RUN['width_multiplier']:g}, after {RUN['epochs']} short epochs. Seconds are medians of "
        "both ways, each video in turn: of the clock, and of all processor cores. Decoding is in "
        "them. Scores are probabilities averaged over a video.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| --- " * len(COLUMNS) + "|",
        *map(_row, measured),
        "",
    ]
    if cannot:
        lines += [f"Nothing to share: {', '.join(cannot)}, whose first convolution takes a whole "
                  "clip.", ""]  # fmt: skip
    return "\n".join(lines)


def _row(row: dict) -> str:
    cells = (
        row["variant"],
        row["stride"],
        f"{row['clips'] / row['videos']:.1f}",
        *(
            text
            for shared, alone in (row["wall_s"], row["cpu_s"])
            for text in (f"{alone:.3f}, {shared:.3f}", f"{alone / shared:.1f}")
        ),
        f"{row['largest']:.1e}, {row['mean']:.1e}",
        f"{row['same']} of {row['videos']}",
        ", ".join(f"{share:.0%}" for share in reversed(row["accuracy"])),
    )
    return f"| {' | '.join(map(str, cells))} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = pathlib.Path(os.environ.get("R21D_TEST_DATA", HERE.parent.parent / "shared" / "data"))
    parser.add_argument("--videos", type=pathlib.Path, default=data / "ucf101" / "videos")
    parser.add_argument("--families", type=lambda text: text.split(","), default=FAMILIES)
    parser.add_argument("--depth", type=int, default=10)
    parser.add_argument("--num_videos", type=int, default=10)
    parser.add_argument("--clips_per_epoch", type=int, default=240)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "dense.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
