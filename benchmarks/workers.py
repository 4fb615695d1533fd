"""How much faster two workers train than one, each on a CPU core of its own.

    python -m benchmarks.workers [--rounds=3] [--out=benchmarks/workers.md]

Each case trains for a few epochs on clips that are drawn, not decoded, in processes of `r21d train`
that are bound to one core each and talk over the loopback device. The first epoch, in which
TensorFlow traces its functions, does not count. Rounds take turns. Writes benchmarks/workers.md
and, beside it, .json; rounds that are in there are not run again.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile

from benchmarks.ledger import Ledger, conditions, write_text

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras")
BATCH, STEPS, EPOCHS = 8, 8, 5
OPTIONS = {
    "dataset": "motion",
    "variant": "r2plus1d_18",
    "width_multiplier": 0.25,
    "clip_frames": 8,
    "crop_size": 56,
    "resize_height": 64,
    "resize_width": 86,
    "epochs": EPOCHS,
    "validate_every": 0,
    "steps_per_call": STEPS,
    "num_readers": 1,
    "num_cpu_replicas": 1,
}
CASES = {
    "1 worker": (1, BATCH, True),
    "2 workers, each with as many clips": (2, 2 * BATCH, True),
    "the same, sync_bn off": (2, 2 * BATCH, False),
    "2 workers, which share these clips": (2, BATCH, True),
    "the same clips shared, sync_bn off": (2, BATCH, False),
}
"""Number of workers, clips a step of all together, batch statistics over all replicas or not."""


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for number in range(options.rounds):
        for name, case in CASES.items():
            key = f"{name}, round {number + 1}"
            if key not in ledger:
                print(key, flush=True)
                ledger[key] = {"case": name, "clips_per_s": rate(*case)} | conditions(*PACKAGES)
                write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def rate(workers: int, batch: int, sync_bn: bool) -> float:
    """Clips a second of all workers together, in the median of the later epochs."""
    with tempfile.TemporaryDirectory() as folder:
        _train(workers, batch, sync_bn, pathlib.Path(folder))
        with open(pathlib.Path(folder) / "run" / "history.csv", encoding="utf-8") as file:
            seconds = [float(row["seconds"]) for row in csv.DictReader(file)][1:]
    return batch * STEPS / statistics.median(seconds)


def _train(workers: int, batch: int, sync_bn: bool, folder: pathlib.Path) -> None:
    strategy = "one" if workers == 1 else "multi_worker_mirrored"
    wanted = OPTIONS | {"global_batch_size": batch, "clips_per_epoch": batch * STEPS}
    wanted |= {"strategy": strategy, "sync_bn": sync_bn, "model_dir": str(folder / "run")}
    command = [sys.executable, "-m", "r21d_keras.training.cli", "train", "--recipe=demo"]
    command += [f"--{name}={value}" for name, value in wanted.items()]
    ports, processes = _free_ports(workers), []
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    for index in range(workers):
        task = {"cluster": cluster, "task": {"type": "worker", "index": index}}
        processes.append(
            subprocess.Popen(
                ["taskset", "--cpu-list", str(index), *command],
                env={**os.environ, "TF_CONFIG": json.dumps(task)},
                stdout=subprocess.DEVNULL,
            )
        )
    if any([process.wait() for process in processes]):
        raise SystemExit("A worker has failed; what it said is above.")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [server.getsockname()[1] for server in sockets]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="trainings of each case")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "workers.md")
    return parser.parse_args()


def report(rows: dict) -> str:
    """The page: a row a case."""
    rates = {}
    for row in rows.values():
        rates.setdefault(row["case"], []).append(row["clips_per_s"])
    first, last = statistics.median(rates["1 worker"]), list(rows.values())[-1]
    loads = [row["load"] for row in rows.values()]
    lines = [
        "# One worker and two",
        "",
        f"{last['date']}, {last['machine']}, load {min(loads)} to {max(loads)}, of which other "
        f"work is all above 2; {last['versions']}. Each worker has one core of its "
        f"own and talks over loopback. {OPTIONS['variant']}, channels x "
        f"{OPTIONS['width_multiplier']:g}, clips of {OPTIONS['clip_frames']} frames of "
        f"{OPTIONS['crop_size']}x{OPTIONS['crop_size']}, statistics of batch normalisation over "
        f"all replicas but where sync_bn is off; medians of {len(rates['1 worker'])} rounds, least "
        "and most.",
        "",
        "| | clips a step | clips/s | against 1 worker | efficiency |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, found in rates.items():
        workers, batch, _ = CASES[name]
        middle = statistics.median(found)
        lines.append(
            f"| {name} | {batch} | {middle:.1f} ({min(found):.1f} to {max(found):.1f}) | "
            f"x{middle / first:.2f} | {middle / first / workers:.0%} |"
        )
    return "\n".join([*lines, "", *AFTER])


AFTER = (
    "Efficiency is clips a second against as many times those of one worker. What is lost is the "
    "exchange of gradients, once a step, and of batch statistics, forward and backward for each of "
    "the 37 batch normalisations, which on one machine also takes these two cores' time, and the "
    "wait for the slower worker. Where it is above 100 %, other work has disturbed the "
    "rounds of one worker more: measure again on a machine that is idle.",
    "",
)


if __name__ == "__main__":
    main()
