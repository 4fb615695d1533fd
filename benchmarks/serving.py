"""Exports beside the Keras model and torchvision, on this machine's CPU.

    python -m benchmarks.serving [--variants=r2plus1d_18,mc3_18] [--batches=1,8] [--repeats=9]

Every contestant is a process of its own with one artefact; all are asked in turn, one at a time.
Writes benchmarks/serving.md, and beside it serving.json, from which a later run keeps the tables
that it does not measure again. --contestants takes some of them, for another report.
"""

import argparse
import pathlib
import statistics
import tempfile
import time

from benchmarks.fresh import in_fresh_process
from benchmarks.ledger import Ledger, conditions, write_text
from benchmarks.protocol import Worker, WorkerError
from benchmarks.serving_artefacts import make_ours, make_theirs
from benchmarks.serving_report import PACKAGES, report

HERE = pathlib.Path(__file__).parent
VARIANTS = ("r2plus1d_18", "r3d_18", "mc3_18")  # that torchvision has
REST_S = 0.5  # between runs, so that the threads of the last one have gone to sleep
CONTESTANTS = {
    # name: kind, folder of the artefact, option
    "Keras": ("keras", "run", ""),
    "SavedModel": ("saved_model", "tf.float32/1", ""),
    "OpenVINO": ("openvino", "openvino.float32/1", "f32"),
    "OpenVINO, bfloat16": ("openvino", "openvino.float32/1", "bf16"),
    "OpenVINO, int8": ("openvino", "openvino.int8/1", "f32"),
    "ONNX Runtime": ("onnx", "onnx.float32/1", ""),
    "ONNX Runtime, int8": ("onnx", "onnx.int8/1", ""),
    "LiteRT": ("litert", "litert.float32/1", ""),
    "LiteRT, int8": ("litert", "litert.int8/1", ""),
    "torchvision, eager": ("torch", "torch", "contiguous"),
    "torchvision, eager, channels last": ("torch", "torch", "channels_last_3d"),
    "torchvision, compiled": ("torch", "torch", "compiled"),
    "torchvision, compiled, channels last": ("torch", "torch", "compiled channels_last_3d"),
    "torchvision in OpenVINO": ("openvino", "torch_onnx", "f32"),
    "torchvision in OpenVINO, bfloat16": ("openvino", "torch_onnx", "bf16"),
    "torchvision in OpenVINO, int8": ("openvino", "torch_int8", "f32"),
    "torchvision in ONNX Runtime": ("onnx", "torch_onnx", ""),
}


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for variant in options.variants:
        with tempfile.TemporaryDirectory() as root:
            folder = pathlib.Path(root)
            _make(variant, folder, options)
            for batch in options.batches:
                name = f"{variant}, {batch} clips of {'x'.join(map(str, options.shape))}"
                print(name, flush=True)
                ledger[name] = measure(variant, batch, folder, options) | conditions(*PACKAGES)
                write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def measure(variant: str, batch: int, folder: pathlib.Path, options) -> dict:
    """A row: of each contestant its seconds in turn, to load, its memory and its bytes."""
    cells, workers = {}, {}
    try:
        for name in options.contestants:
            kind, place, option = CONTESTANTS[name]
            compiled = folder / f"compiled.{batch}.{len(cells)}"  # nothing is compiled before
            environ = {"TF_CPP_MIN_LOG_LEVEL": "2", "TORCHINDUCTOR_CACHE_DIR": str(compiled)}
            worker = Worker("benchmarks.serving_side", **environ)
            asked = {"kind": kind, "place": str(folder / place), "option": option}
            clips = {"variant": variant, "shape": [batch, *options.shape]}
            try:
                loaded = worker.ask("load", 60 * options.minutes, **asked, **clips)
            except WorkerError as error:
                worker.close()
                cells[name] = {"failed": str(error)}
                print(f"  {name}: {error}", flush=True)
                continue
            workers[name] = worker
            cells[name] = {**loaded, "seconds": [], "size": _size(folder / place)}
        for _ in range(options.repeats):
            for name in list(workers):
                time.sleep(REST_S)
                found = _asked(workers, cells, name, "time", 60 * options.minutes)
                cells[name].get("seconds", []).append(found.get("seconds"))
        for name in list(workers):
            cells[name] |= _asked(workers, cells, name, "peak", 60.0)
        for name in workers:
            median = statistics.median(cells[name]["seconds"])
            print(f"  {name}: {1e3 * median:.0f} ms", flush=True)
    finally:
        for worker in workers.values():
            worker.close()
    return {"batch": batch, "cells": cells}


def _asked(workers: dict, cells: dict, name: str, do: str, limit_s: float) -> dict:
    """The answer of a contestant; one that ends or hangs is out, and the others go on."""
    try:
        return workers[name].ask(do, limit_s)
    except WorkerError as error:
        workers.pop(name).close()
        cells[name] = {"failed": str(error)}
        print(f"  {name}: {error}", flush=True)
        return {}


def _make(variant: str, folder: pathlib.Path, options) -> None:
    print(f"{variant}: artefacts", flush=True)
    in_fresh_process(_write_videos, folder / "videos")
    asked = (options.shape, options.calibration_clips)
    in_fresh_process(make_ours, variant, folder, folder / "videos", *asked)
    in_fresh_process(make_theirs, variant, folder, *asked)


def _write_videos(folder: pathlib.Path) -> None:
    from r21d_keras.training.data import motion

    motion.write_videos(folder, 1, 0)


def _size(place: pathlib.Path) -> int:
    """Bytes of what a runtime loads; of a run, of the weights."""
    found = [path for path in place.rglob("*") if path.is_file()]
    weights = [path for path in found if path.name.endswith(".weights.h5")]
    loaded = weights or [path for path in found if "assets.extra" not in path.parts]
    return sum(path.stat().st_size for path in loaded)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    several = {"type": lambda text: text.split(",")}
    parser.add_argument(
        "--variants", default=["r2plus1d_18", "mc3_18"], **several, help=f"of {', '.join(VARIANTS)}"
    )
    numbers = {"type": lambda text: [int(word) for word in text.split(",")]}
    parser.add_argument("--batches", default=[1, 8], **numbers)
    parser.add_argument(
        "--contestants",
        default=list(CONTESTANTS),
        type=lambda text: text.split(";"),
        help=f"separated by semicolons: {'; '.join(CONTESTANTS)}",
    )
    parser.add_argument("--shape", default=[16, 112, 112], **numbers, help="frames, side, side")
    parser.add_argument("--repeats", type=int, default=9, help="runs of each in turn, 2 or more")
    parser.add_argument("--calibration_clips", type=int, default=10)
    parser.add_argument(
        "--minutes", type=float, default=10.0, help="that a contestant may take to load"
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "serving.md")
    options = parser.parse_args()
    for name, known in (("variants", VARIANTS), ("contestants", CONTESTANTS)):
        unknown = set(getattr(options, name)) - set(known)
        if unknown:
            parser.error(f"--{name}: got {', '.join(unknown)}; expected some of {'; '.join(known)}")
    if len(options.shape) != 3 or options.shape[1] != options.shape[2]:
        parser.error(f"--shape: got {options.shape}; expected frames and twice the same side")
    if options.repeats < 2:
        parser.error(f"--repeats: got {options.repeats}; expected 2 or more")
    if len(options.contestants) < len(CONTESTANTS) and options.out == parser.get_default("out"):
        parser.error("--contestants: give --out too; the tables of all of them would be replaced")
    return options


if __name__ == "__main__":
    main()
