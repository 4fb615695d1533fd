"""What the options that change how a step is computed cost, or save.

    python -m benchmarks.step_options [--variants=r2plus1d_18,r3d_18,f_r2d_18]

Trains small networks on random clips, each way in a process of its own. Writes
benchmarks/step_options.md and, beside it, .json; what is in there is not measured again.
"""

import argparse
import pathlib

from benchmarks.ledger import Ledger, conditions, write_text
from benchmarks.rematerialization import measured

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras")
SIZES = {
    "width_multiplier": 0.25, "clip_frames": 8, "crop_size": 56, "global_batch_size": 8,
}  # fmt: skip
WAYS = {
    "plain": {},
    "--steps_per_call=4": {"steps_per_call": 4},
    "--gradient_accumulation_steps=4": {"gradient_accumulation_steps": 4},
    "--global_clipnorm=1": {"global_clipnorm": 1.0},
    "--rematerialize": {"rematerialize": True},
    "--jit_compile": {"jit_compile": True},
}


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for variant in options.variants:
        for way, values in WAYS.items():
            name = f"{variant}, {way}"
            if name not in ledger:
                print(name, flush=True)
                found = measured({"variant": variant, **SIZES, **values})
                ledger[name] = {"variant": variant, "way": way, **found, **conditions(*PACKAGES)}
                write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def report(rows: dict[str, dict]) -> str:
    """benchmarks/step_options.md."""
    last = list(rows.values())[-1]
    sizes = f"{SIZES['global_batch_size']} clips of {SIZES['clip_frames']}x{SIZES['crop_size']}x"
    lines = [
        "# Ways to compute a step",
        "",
        f"{last['date']}, {last['machine']}, load {last['load']}; {last['versions']}. Written by "
        "benchmarks/step_options.py.",
        "",
        f"{sizes}{SIZES['crop_size']} a step, channels x {SIZES['width_multiplier']:g}, float32. "
        "Seconds are of all processor cores together: of the first call, in which TensorFlow and "
        "XLA compile, and of a step after that. Memory: the most that the process had resident, "
        "less what it had before the first step.",
        "",
        "| network | way | first call, s | step, s | to plain | MiB |",
        "| --- | --- | --: | --: | --: | --: |",
    ]
    for row in rows.values():
        plain = rows[f"{row['variant']}, plain"]["step_s"]
        lines.append(
            f"| {row['variant']} | `{row['way']}` | {row['first_s']:.0f} | {row['step_s']:.2f} | "
            f"{row['step_s'] / plain:.2f} | {row['peak'] - row['before']:,.0f} |"
        )
    return "\n".join([*lines, ""])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--variants", type=lambda t: t.split(","), default=["r2plus1d_18", "r3d_18", "f_r2d_18"]
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "step_options.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
