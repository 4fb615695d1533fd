"""What converting a checkpoint costs, and what a builder costs whose weights are in the cache.

    python -m benchmarks.conversion [--turns=7]

Converts R(2+1)D-34 from a .pth file, beside numpy reading that file's bytes and Keras writing the
weights; and calls zoo.r2plus1d_34 by tag, beside building the network and load_weights. What is
compared runs in turn in one process. Prints a table and writes it to benchmarks/conversion.md.
"""

import argparse
import gc
import os
import pathlib
import re
import statistics
import tempfile
import time

import numpy as np

from benchmarks.fresh import in_fresh_process
from benchmarks.ledger import conditions, write_text

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "numpy", "h5py")
VARIANT, TAG = "r2plus1d_34", "kinetics400_32f"  # a row whose file has no published hash
# What is asked of each.
MOST_CONVERSION = 3.0  # times reading and writing
MOST_MEMORY = 3.0  # times the file
MOST_CALL = 1.3  # times building and load_weights


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, f"{VARIANT}.pth")
        in_fresh_process(write_checkpoint, source)
        found = {
            "bytes": source.stat().st_size,
            "conversion": in_fresh_process(conversion_s, source, options.turns),
            "memory": in_fresh_process(conversion_memory, source),
            "call": in_fresh_process(cached_call_s, pathlib.Path(folder), options.turns),
        }
    text = report(found, options.turns)
    print(text)
    write_text(options.out, text)


def write_checkpoint(path: pathlib.Path) -> None:
    """The .pth file, as torch.save writes it, of random weights."""
    from tests.checkpoint_files import write_torch_zip
    from tests.named_checkpoints import seeded, torch_shapes

    write_torch_zip(path, seeded(torch_shapes(VARIANT, num_classes=400)))


def conversion_s(source: pathlib.Path, turns: int) -> dict[str, float]:
    """Median seconds of the conversion, of reading the file's bytes, and of writing the weights."""
    from r21d_keras import VideoResNet
    from r21d_keras.zoo.checkpoints.convert import convert_checkpoint

    model = VideoResNet(VARIANT, input_shape=(None, None, None, 3))
    written = source.with_name("written.weights.h5")
    return _in_turn(turns, {
        "read": lambda: np.fromfile(source, np.uint8),
        "write": lambda: model.save_weights(str(written)),
        "convert": lambda: convert_checkpoint(source, source.with_name("converted.weights.h5")),
    })  # fmt: skip


def conversion_memory(source: pathlib.Path) -> dict[str, int]:
    """Bytes resident before the conversion, in a process that has built a network, and at most."""
    from r21d_keras import VideoResNet
    from r21d_keras.zoo.checkpoints.convert import convert_checkpoint

    VideoResNet("f_r2d_10", width_multiplier=0.1)  # Keras and its backend have started
    gc.collect()
    before = _status("VmRSS")
    convert_checkpoint(source, source.with_name("converted.weights.h5"))
    return {"before": before, "peak": _status("VmHWM")}


def cached_call_s(folder: pathlib.Path, turns: int) -> dict[str, float]:
    """Median seconds of a builder by tag, and of building the same network and load_weights."""
    os.environ |= {"R21D_HOME": str(folder / "home"), "R21D_MIRROR": str(folder)}
    from r21d_keras import VideoResNet, zoo
    from r21d_keras.zoo.cache import weights_file
    from tests.published_files import publish

    row = zoo.get_weights(VARIANT, TAG)
    publish(row, folder)
    converted = str(weights_file(row))  # the first use

    def plain():
        VideoResNet(VARIANT, row.num_classes, row.input_shape).load_weights(converted)

    return _in_turn(turns, {"plain": plain, "call": lambda: zoo.r2plus1d_34(weights=TAG)})


def _in_turn(turns: int, calls: dict) -> dict[str, float]:
    times = {name: [] for name in calls}
    for turn in range(turns + 1):
        for name, call in calls.items():
            gc.collect()  # models are cycles, and what one leaves must not slow down the next
            start = time.perf_counter()
            call()
            if turn:  # the first warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


def _status(name: str) -> int:
    """A size in bytes of this process: VmRSS, resident now, or VmHWM, at most so far (Linux)."""
    text = pathlib.Path("/proc/self/status").read_text("utf-8")
    return 1024 * int(re.search(rf"^{name}:\s*(\d+) kB", text, re.MULTILINE)[1])


def report(found: dict, turns: int) -> str:
    """The table as Markdown."""
    conversion, memory, call = found["conversion"], found["memory"], found["call"]
    plain = conversion["read"] + conversion["write"]
    rows = [
        ("converting", f"{conversion['convert']:.2f} s",
         f"reading {conversion['read']:.2f} s, writing {conversion['write']:.2f} s",
         conversion["convert"] / plain, MOST_CONVERSION),
        ("memory of it", _mib(memory["peak"] - memory["before"]),
         f"the file: {_mib(found['bytes'])}",
         (memory["peak"] - memory["before"]) / found["bytes"], MOST_MEMORY),
        (f'{VARIANT}(weights="{TAG}")', f"{call['call']:.2f} s",
         f"building and load_weights: {call['plain']:.2f} s",
         call["call"] / call["plain"], MOST_CALL),
    ]  # fmt: skip
    facts = conditions(*PACKAGES)
    lines = [
        "# Conversion",
        "",
        f"{facts['date']}, {facts['machine']}, load {facts['load']}; {facts['versions']}. "
        f"{VARIANT} from a .pth file. Medians of {turns} turns. Memory: resident at most during "
        f"the conversion, beyond the {_mib(memory['before'])} before it; the file itself counts, "
        "as it is mapped. Written by benchmarks/conversion.py.",
        "",
        "| what | cost | beside | times | at most |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {what} | {cost} | {beside} | {times:.2f} | {most:g} |"
          for what, cost, beside, times, most in rows),
    ]  # fmt: skip
    return "\n".join([*lines, ""])


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=7, help="timed calls of each")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "conversion.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
