"""R(2+1)D and f-R2D on the built-in data set, whose classes differ by motion alone.

    python -m benchmarks.motion [--seeds=5] [--variants=r2plus1d_10,f_r2d_10]

Trains each network by the recipe "demo" and evaluates it on the held-out videos. f-R2D sees frames
one by one and averages them: it cannot tell a motion from its reverse. Writes benchmarks/motion.md,
and beside it motion.json; trainings that are in there are not run again.
"""

import argparse
import json
import pathlib
import statistics
import tempfile

from benchmarks.fresh import in_fresh_process, train_and_evaluate
from benchmarks.ledger import Ledger, conditions, write_text

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras")
DIRECTIONS = ("left", "right", "up", "down")
# Each is the other run backwards.
PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "anticlockwise"),
    ("growing", "shrinking"),
)


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for seed in range(options.seeds):
        for variant in options.variants:
            name = f"{variant}, seed {seed}"
            if name in ledger:
                continue
            print(name, flush=True)
            with tempfile.TemporaryDirectory() as folder:
                overrides = {"variant": variant, "seed": seed, "model_dir": folder}
                found = in_fresh_process(
                    train_and_evaluate, "demo", {**options.overrides, **overrides}
                )
            ledger[name] = {
                "variant": variant, "seed": seed, "overrides": options.overrides,
                **accuracies(found["classes"], found["confusion"]), "videos": found["videos"],
                "minutes": found["minutes"], **conditions(*PACKAGES),
            }  # fmt: skip
            write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def accuracies(classes: list[str], confusion: list[list[int]]) -> dict:
    """Of counts by (true, predicted): of all classes, of the directions, within each pair.

    Directions: right answers of the videos that move left, right, up or down. Within a pair: of
    its videos whose answer is one of the pair, the share in which it is the right one; None if
    there are no such videos.
    """
    index = {name: classes.index(name) for pair in PAIRS for name in pair}

    def count(true: tuple[str, ...], predicted: tuple[str, ...] | None = None) -> int:
        columns = range(len(classes)) if predicted is None else [index[n] for n in predicted]
        return sum(confusion[index[name]][column] for name in true for column in columns)

    everything = tuple(index)
    pairs = {}
    for pair in PAIRS:
        answered = count(pair, pair)
        right = sum(count((name,), (name,)) for name in pair)
        pairs["/".join(pair)] = right / answered if answered else None
    return {
        "video@1": sum(count((n,), (n,)) for n in everything) / count(everything),
        "directions": sum(count((n,), (n,)) for n in DIRECTIONS) / count(DIRECTIONS),
        "pairs": pairs,
    }


def report(rows: dict[str, dict]) -> str:
    last = list(rows.values())[-1]
    pairs = list(last["pairs"])
    lines = [
        "# Motion alone",
        "",
        f"{last['date']}, {last['machine']}; {last['versions']}. Recipe demo"
        f"{', with ' + json.dumps(last['overrides']) if last['overrides'] else ''}; "
        f"{last['videos']} held-out videos. By chance: video@1 {1 / 8:.1%}, within a pair 50 %. "
        "Within a pair: of its videos whose answer is one of the two, the share in which it is the "
        "right one. Written by benchmarks/motion.py.",
        "",
        f"| network | seed | video@1 | left, right, up, down | {' | '.join(pairs)} | minutes |",
        f"| --- | --- | --- | --- {'| --- ' * len(pairs)}| --- |",
    ]
    for variant in dict.fromkeys(row["variant"] for row in rows.values()):
        these = [row for row in rows.values() if row["variant"] == variant]
        lines += [_line(row["seed"], row) for row in these]
        if len(these) > 1:
            lines.append(_line("**mean**", _mean(these)))
    return "\n".join([*lines, ""])


def _line(seed, row: dict) -> str:
    rates = [row["video@1"], row["directions"], *row["pairs"].values()]
    cells = ["-" if rate is None else f"{rate:.1%}" for rate in rates]
    return f"| {row['variant']} | {seed} | {' | '.join(cells)} | {row['minutes']:.1f} |"


def _mean(rows: list[dict]) -> dict:
    def mean(values):
        values = [value for value in values if value is not None]
        return statistics.mean(values) if values else None

    return {
        "variant": rows[0]["variant"],
        **{key: mean(row[key] for row in rows) for key in ("video@1", "directions", "minutes")},
        "pairs": {pair: mean(row["pairs"][pair] for row in rows) for pair in rows[0]["pairs"]},
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="trainings of each network")
    parser.add_argument(
        "--variants", type=lambda text: text.split(","), default=["r2plus1d_10", "f_r2d_10"]
    )
    parser.add_argument(
        "--overrides", type=json.loads, default={}, help='JSON, as {"epochs": 1}: over the recipe'
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "motion.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
