"""How much memory a training step takes, with and without --rematerialize.

    python -m benchmarks.rematerialization [--variants=r2plus1d_34,r2plus1d_152] [--clips=1,2]

Each case trains two steps on random clips in a process of its own, on the CPU, and
tells the most memory that was in use. Writes benchmarks/rematerialization.md and, beside it, .json;
cases that are in there are not run again. A case that needs more memory than there is is said to.
"""

import argparse
import contextlib
import multiprocessing
import pathlib
import signal

from benchmarks.ledger import Ledger, conditions, write_text
from benchmarks.step_cost import step_cost

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras")
CALLS = 2  # of TensorFlow; the first one compiles, and allocates


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for variant in options.variants:
        for clips in options.clips:
            for again in (True, False):  # what needs less comes first
                case = {"variant": variant, "clip_frames": options.frames, "rematerialize": again}
                case |= {"crop_size": options.size, "global_batch_size": clips}
                name = f"{variant}, {clips} x {options.frames} x {options.size}, {again}"
                if name not in ledger:
                    print(name, flush=True)
                    ledger[name] = {**case, **measured(case), **conditions(*PACKAGES)}
                    write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def measured(case: dict) -> dict:
    """What `step_cost` says, from a process of its own; nothing where the system killed that.

    Which it does where there is not enough memory.
    """
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_measure, args=(sender, case))
    process.start()
    sender.close()
    found = {}
    with contextlib.suppress(EOFError):  # it ended before it could say
        found = receiver.recv()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{case}: the process ended with exit code {process.exitcode}.")
    return found


def _measure(sender, case: dict) -> None:
    sender.send(step_cost(case, CALLS))


def report(rows: dict[str, dict]) -> str:
    """benchmarks/rematerialization.md."""
    last = list(rows.values())[-1]
    lines = [
        "# Memory with and without --rematerialize",
        "",
        f"{last['date']}, {last['machine']}, load {last['load']}; {last['versions']}. Written by "
        "benchmarks/rematerialization.py.",
        "",
        "One training step on random clips, float32. Peak: the most that the process has had "
        "resident. For the step: that less what it had before, which is TensorFlow and weights. "
        "Seconds of a step are of all processor cores together.",
        "",
        "| network | clips | peak MiB plain | rematerialized | for the step plain | rematerialized "
        "| seconds a step plain | rematerialized |",
        "| --- | --- " + "| --: " * 6 + "|",
    ]
    for row in rows.values():
        if row["rematerialize"]:
            lines.append(_line(row, rows))
    return "\n".join([*lines, ""])


def _line(row: dict, rows: dict[str, dict]) -> str:
    same = ("variant", "clip_frames", "crop_size", "global_batch_size")
    plain = next(
        (r for r in rows.values() if not r["rematerialize"] and all(r[k] == row[k] for k in same)),
        None,
    )
    size, cells = row["crop_size"], []
    for value in (
        lambda r: f"{r['peak']:,.0f}",
        lambda r: f"{r['peak'] - r['before']:,.0f}",
        lambda r: f"{r['step_s']:.1f}",
    ):
        for one in (plain, row):
            cells.append("-" if one is None else value(one) if "peak" in one else "out of memory")
    clips = f"{row['global_batch_size']} of {row['clip_frames']}x{size}x{size}"
    return f"| {row['variant']} | {clips} | {' | '.join(cells)} |"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--variants", type=lambda t: t.split(","), default=["r2plus1d_34", "r2plus1d_152"]
    )
    parser.add_argument("--clips", type=lambda t: [*map(int, t.split(","))], default=[1])
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "rematerialization.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
