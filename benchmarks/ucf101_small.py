"""Networks trained from scratch on a few classes of UCF101, in the same time on the same CPU.

    python -m benchmarks.ucf101_small --videos=DIR --splits=DIR [--minutes=30] [--runs=DIR]

By the recipe "ucf101_small_cpu". With --minutes a network is first trained for two epochs, and then
for as many as should fit, for its schedule must know its end; --minutes=0 takes the recipe's epochs
for all. Writes benchmarks/ucf101_small.md, and beside it ucf101_small.json; trainings that are in
there are not run again, and one that was interrupted goes on where it lies in --runs.
"""

import argparse
import json
import pathlib
import statistics
import tempfile

from benchmarks.fresh import in_fresh_process, train_and_evaluate, typical_epoch_s
from benchmarks.ledger import Ledger, conditions, write_text

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "av")
RECIPE = "ucf101_small_cpu"
TRAININGS = (  # (network, seed)
    ("r2plus1d_10", 0),
    ("f_r2d_10", 0),
    ("r3d_10", 0),
    ("r2plus1d_10", 1),
    ("r2plus1d_10", 2),
)
WARMUP_SHARE = 0.05  # of the epochs, where their number is not the recipe's


def main() -> None:
    options = _options()
    ledger, probes = (
        Ledger(options.out.with_suffix(suffix)) for suffix in (".json", ".epochs.json")
    )
    with tempfile.TemporaryDirectory() as temporary:
        runs = options.runs or pathlib.Path(temporary)
        for variant, seed in options.trainings:
            name = f"{variant}, seed {seed}"
            if name in ledger:
                continue
            print(name, flush=True)
            overrides = _overrides(options, variant)
            if options.minutes:
                overrides |= _epochs(probes, overrides, options.minutes)
            overrides |= {"seed": seed, "model_dir": str(runs / f"{variant}.{seed}")}
            found = in_fresh_process(train_and_evaluate, RECIPE, overrides)
            epoch_s = probes.rows[variant]["epoch_s"] if options.minutes else typical_epoch_s(found)
            ledger[name] = _row(variant, seed, found, epoch_s, options)
            write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def _overrides(options, variant: str) -> dict:
    places = {"videos": str(options.videos), "splits": str(options.splits)}
    return {**options.overrides, **places, "variant": variant}


def _epochs(probes: Ledger, overrides: dict, minutes: float) -> dict:
    """How many epochs fit into the time, by the second of two that are trained to know it."""
    variant = overrides["variant"]
    if variant not in probes:
        with tempfile.TemporaryDirectory() as folder:
            short = {"epochs": 2, "warmup_epochs": 0.0, "model_dir": folder}
            found = in_fresh_process(train_and_evaluate, RECIPE, {**overrides, **short})
        epoch_s = typical_epoch_s(found)
        start_s = max(0.0, 60 * found["minutes"] - 2 * epoch_s)
        probes[variant] = {"epoch_s": epoch_s, "start_s": start_s}
    probe = probes.rows[variant]
    epochs = max(1, int((60 * minutes - probe["start_s"]) / probe["epoch_s"]))
    print(
        f"  {probe['epoch_s']:.1f} s an epoch: {epochs} epochs in {minutes:g} minutes", flush=True
    )
    return {"epochs": epochs, "warmup_epochs": WARMUP_SHARE * epochs}


def _row(variant: str, seed: int, found: dict, epoch_s: float, options) -> dict:
    return {
        "variant": variant,
        "seed": seed,
        "budget_minutes": options.minutes,
        "overrides": options.overrides,
        "accuracy": found["accuracy"],
        "epochs": found["epochs"],
        "epoch_s": epoch_s,
        "test_videos": found["videos"],
        "classes": found["classes"],
        "protocol": found["protocol"]["text"],
        **conditions(*PACKAGES),
    }


def report(rows: dict[str, dict]) -> str:
    last = list(rows.values())[-1]
    budget = last["budget_minutes"]
    epochs = (
        f"as many epochs as fit into {budget:g} minutes, by the time that the second of two took"
        if budget
        else "the recipe's epochs"
    )
    lines = [
        "# A few classes of UCF101, from scratch",
        "",
        f"{last['date']}, {last['machine']}; {last['versions']}. Recipe {RECIPE}"
        f"{', with ' + json.dumps(last['overrides']) if last['overrides'] else ''}; {epochs}. "
        f"Split 1, {len(last['classes'])} classes ({', '.join(last['classes'])}), "
        f"{last['test_videos']} test videos: {last['protocol']}. Weights of the last "
        "epoch. Seconds an epoch are without validation, and with --minutes those of two epochs "
        "that are tried first: the trainings themselves may be interrupted, or share the cores. "
        "Written by benchmarks/ucf101_small.py.",
        "",
        "| network | seed | video@1 | clip@1 | epochs | s an epoch |",
        "| --- | --- | --- | --- | --- | --- |",
        *(_line(row) for row in rows.values()),
        "",
    ]
    for variant in dict.fromkeys(row["variant"] for row in rows.values()):
        rates = [r["accuracy"]["video@1"] for r in rows.values() if r["variant"] == variant]
        if len(rates) > 1:
            lines.append(
                f"{variant}, {len(rates)} seeds: video@1 {statistics.mean(rates):.1%} in the mean, "
                f"{min(rates):.1%} to {max(rates):.1%}."
            )
    return "\n".join([*lines, ""])


def _line(row: dict) -> str:
    accuracy = row["accuracy"]
    return (
        f"| {row['variant']} | {row['seed']} | {accuracy['video@1']:.1%} | "
        f"{accuracy['clip@1']:.1%} | {row['epochs']} | {row['epoch_s']:.1f} |"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=pathlib.Path, required=True, help="folder of the videos")
    parser.add_argument("--splits", type=pathlib.Path, required=True, help="UCF101's split lists")
    parser.add_argument("--minutes", type=float, default=30.0, help="of a training; 0: the recipe")
    parser.add_argument("--runs", type=pathlib.Path, help="keep the runs in this folder")
    parser.add_argument(
        "--trainings",
        type=lambda text: [(v, int(s)) for v, s in (part.split(":") for part in text.split(","))],
        default=TRAININGS,
        help="as r2plus1d_10:0,r3d_10:0",
    )
    parser.add_argument(
        "--overrides", type=json.loads, default={}, help='JSON, as {"epochs": 1}: over the recipe'
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "ucf101_small.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
