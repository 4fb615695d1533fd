"""Our networks beside torchvision's, on this machine.

    python -m benchmarks.side_by_side [--rows='r2plus1d_18-*,*-forward-1'] [--repeats=9]

For each row (network, forward or training step, batch) either side's configurations are tried and
the fastest of each is kept; the two then run in turn, one process at a time. Writes
benchmarks/results.md, and beside it results.json, from which rows that are not run again are kept.
"""

import argparse
import fnmatch
import pathlib
import shutil
import statistics
import time

from benchmarks.ledger import Ledger, conditions, write_text
from benchmarks.protocol import Worker, WorkerError
from benchmarks.side_report import report

HERE = pathlib.Path(__file__).parent
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "torchvision")
CASES = {
    f"{variant}-{kind}-{batch}": {"variant": variant, "kind": kind, "batch": batch}
    for variant in ("r2plus1d_18", "r3d_18", "mc3_18")
    for kind, batch in (("forward", 1), ("forward", 8), ("train", 4))
}
EAGER = ("contiguous eager", "channels_last_3d eager")
COMPILED = (
    "contiguous compiled",
    "channels_last_3d compiled",
    "contiguous compiled frozen",
    "channels_last_3d compiled frozen",
)
CONFIGURATIONS = {
    "tensorflow": ("auto", "conv3d", "auto merged", "conv3d merged", "auto jit", "conv3d jit"),
    "jax": ("auto", "conv3d"),
    "torch": ("auto", "conv3d"),
}
FOR_INFERENCE = {"merged", "frozen"}  # networks whose normalisation is part of the convolutions
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}
TRIALS = 3  # runs by which configurations are compared
HOPELESS = 1.6  # times the best so far: one run of such a configuration is enough
REST_S = 0.5  # between runs, so that the other side's threads have gone to sleep


class Side:
    """One contestant: its configurations, and the processes that run them."""

    def __init__(self, name: str, module: str, configurations: tuple[str, ...], **environ: str):
        self.name, self.module = name, module
        self.configurations, self.environ = configurations, environ
        self.left_out: dict[str, str] = {}  # configuration: why
        self.worker = self.start()

    def start(self) -> Worker:
        """A fresh process."""
        return Worker(self.module, **self.environ)

    def try_out(self, case: dict, limit_s: float) -> dict[str, float | str]:
        """Configuration -> median seconds, or why there is none."""
        able = [name for name in self.configurations if _can(name, case["kind"])]
        tried = {name: why for name, why in self.left_out.items() if name in able}
        for configuration in able:
            if configuration in tried:
                continue
            best = min((s for s in tried.values() if isinstance(s, float)), default=float("inf"))
            try:
                self.prepare(configuration, case, limit_s)
                times = [self.time(configuration, case)]
                while len(times) < TRIALS and times[0] < HOPELESS * best:
                    times.append(self.time(configuration, case))
                tried[configuration] = statistics.median(times)
            except WorkerError as error:
                tried[configuration] = str(error)
            print(f"  {self.name}, {configuration}: {tried[configuration]}", flush=True)
        return tried

    def prepare(self, configuration: str, case: dict, limit_s: float | None = None) -> None:
        """Builds and compiles, in a new process if the last one had to be ended."""
        if not self.worker.alive:
            self.worker = self.start()
        self.worker.ask("prepare", limit_s, configuration=configuration, **case)

    def time(self, configuration: str, case: dict) -> float:
        """Seconds of one run."""
        time.sleep(REST_S)
        return self.worker.ask("time", configuration=configuration, **case)["seconds"]

    def peak_mib(self, configuration: str, case: dict) -> float:
        """Memory of a process that does this alone."""
        with self.start() as worker:
            worker.ask("prepare", configuration=configuration, **case)
            for _ in range(2):
                worker.ask("time", configuration=configuration, **case)
            return worker.ask("peak")["mib"]


def main() -> None:
    options = _options()
    theirs = Side("torchvision", "benchmarks.torchvision_side", EAGER + COMPILED)
    if reason := _why_not_compiled(options):
        theirs.left_out = dict.fromkeys(COMPILED, reason)
    ours = [
        Side(
            f"keras-{name}",
            "benchmarks.keras_side",
            CONFIGURATIONS[name],
            KERAS_BACKEND=name,
            **QUIET,
        )
        for name in options.backends
    ]
    ledger = Ledger(options.out.with_suffix(".json"))
    try:
        for name, case in CASES.items():
            if any(fnmatch.fnmatch(name, pattern) for pattern in options.rows):
                print(name, flush=True)
                ledger[name] = measure(case, ours, theirs, options)
                write_text(options.out, report(ledger.rows))
    finally:
        for side in (*ours, theirs):
            side.worker.close()
    print(report(ledger.rows))


def measure(case: dict, ours: list[Side], theirs: Side, options) -> dict:
    """A row of the report."""
    limit_s = 60 * options.minutes
    tried = {side.name: side.try_out(case, limit_s) for side in (*ours, theirs)}
    chosen = {name: min(_timed(found), key=found.get) for name, found in tried.items()}
    best = min(ours, key=lambda side: tried[side.name][chosen[side.name]])
    pair = {"ours": best, "torchvision": theirs}
    for side in pair.values():
        side.prepare(chosen[side.name], case, limit_s)
    times, products = {key: [] for key in pair}, {key: [] for key in pair}
    for _ in range(options.repeats):
        for key, side in pair.items():
            times[key].append(side.time(chosen[side.name], case))
            products[key].append(side.worker.ask("product")["gflops"])
    row = {**case, **conditions(*PACKAGES), "tried": tried}
    row["macs"] = best.worker.ask("macs", variant=case["variant"])["macs"]
    for key, side in pair.items():
        row[key] = {
            "configuration": f"{side.name}, {chosen[side.name]}",
            "seconds": times[key],
            "product_gflops": statistics.median(products[key]),
        }
    for side in (*ours, theirs):  # nobody's weights lie in memory while the other is measured
        if side.worker.alive:
            side.worker.ask("forget")
    for key, side in pair.items():
        row[key]["peak_mib"] = side.peak_mib(chosen[side.name], case)
    return row


def _can(configuration: str, kind: str) -> bool:
    return kind == "forward" or not FOR_INFERENCE & set(configuration.split())


def _timed(found: dict[str, float | str]) -> list[str]:
    timed = [name for name, seconds in found.items() if isinstance(seconds, float)]
    if not timed:
        raise WorkerError(f"no configuration ran: {found}")
    return timed


def _why_not_compiled(options) -> str:
    if options.no_compiled:
        return "left out"
    return "" if shutil.which("g++") else "needs g++, which is not here"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    several = {"type": lambda text: text.split(",")}
    parser.add_argument("--rows", default=["*"], **several, help=f"of {', '.join(CASES)}")
    parser.add_argument("--repeats", type=int, default=9, help="runs of either side, in turn")
    parser.add_argument("--backends", default=["tensorflow"], **several, help="jax, torch too")
    parser.add_argument("--no_compiled", action="store_true", help="leave torch.compile out")
    parser.add_argument(
        "--minutes", type=float, default=5.0, help="that a configuration may take to compile"
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "results.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
