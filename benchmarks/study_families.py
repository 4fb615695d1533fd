"""The paper's comparison in small: twelve families under one budget, and clips of other lengths.

    python -m benchmarks.study_families --records=DIR | --videos=DIR --splits=DIR [--seeds=0,1,2]

Trains every family at depth 10, narrow, on the built-in motions and on a few classes of UCF101: the
same clips, schedule and number of epochs for all. The UCF101 videos are read from the records of
`r21d prepare`, or from files. Writes benchmarks/study_families.csv, .md and two pictures: accuracy
against multiply-adds (figure 4 of the paper) and against clip length (figure 5). What is in
study_families.json beside them is not trained again; several processes may share it.
"""

import argparse
import json
import pathlib
import tempfile

from benchmarks.fresh import in_fresh_process, train_and_evaluate
from benchmarks.ledger import Ledger, conditions
from benchmarks.study_report import write_report

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras")
FAMILIES = (
    *("r2d", "f_r2d", "r3d", "mc2", "mc3", "mc4", "mc5", "rmc2", "rmc3", "rmc4", "rmc5"),
    "r2plus1d",
)
CLIP_FRAMES = 8
LENGTHS = {"r2plus1d": (4, 16), "r3d": (4, 16), "f_r2d": (4, 16)}  # beside CLIP_FRAMES
# A recipe, and what is less than in it, so that twelve networks times the seeds take an hour or two
# of two CPU cores, and so that not all of them end at 100 %.
STUDIES = {
    "motion": ("demo", {"epochs": 5, "validate_every": 0}),
    "ucf101": (
        "ucf101_small_cpu",
        {
            "width_multiplier": 0.125,
            "crop_size": 32,
            "resize_height": 36,
            "resize_width": 48,
            "weight_decay": 5e-4,
            "warmup_epochs": 2.0,
            "epochs": 16,
            "validate_every": 0,
        },
    ),
}


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    budgets = {name: _budget(name, options) for name in options.datasets}
    _check_same_budget(ledger, budgets)
    for dataset, family, frames, seed in _trainings(options):
        name = f"{dataset}, {family}_10, {frames} frames, seed {seed}"
        with ledger.claimed(name) as mine:
            if not mine:
                continue
            print(name, flush=True)
            asked = {"dataset": dataset, "family": family, "clip_frames": frames}
            row = _trained(asked, seed, options, _known_gmacs(ledger, asked))
            ledger[name] = {"options": budgets[dataset], **row, **conditions(*PACKAGES)}
            write_report(ledger.rows, options.out)
    write_report(ledger.rows, options.out)  # all of it, if other processes had a part
    print(options.out.read_text("utf-8"))


def _trained(asked: dict, seed: int, options, gmacs: float | None) -> dict:
    """A row of one training; gmacs: those of its network, if they are known."""
    recipe, values = STUDIES[asked["dataset"]]
    own = {"variant": f"{asked['family']}_10", "clip_frames": asked["clip_frames"], "seed": seed}
    overrides = {**values, **_places(asked["dataset"], options), **options.overrides, **own}
    with tempfile.TemporaryDirectory() as folder:
        found = in_fresh_process(train_and_evaluate, recipe, {**overrides, "model_dir": folder})
    if gmacs is None:
        gmacs = in_fresh_process(_gmacs, recipe, overrides, len(found["classes"]))
    return {
        **asked,
        "seed": seed,
        "gmacs": gmacs,
        "clip@1": found["accuracy"]["clip@1"],
        "video@1": found["accuracy"]["video@1"],
        "videos": found["videos"],
        "epochs": found["epochs"],
        "minutes": found["minutes"],
    }


def _known_gmacs(ledger: Ledger, asked: dict) -> float | None:
    """Of a training of the same network, with another seed."""
    rows = (row for row in ledger.rows.values() if asked.items() <= row.items())
    return next((row["gmacs"] for row in rows), None)


def _trainings(options) -> list[tuple[str, str, int, int]]:
    """(data set, family, frames, seed), seed by seed: what is there at any time can be compared."""
    return [
        (dataset, family, frames, seed)
        for seed in options.seeds
        for dataset in options.datasets
        for family in FAMILIES
        for frames in (CLIP_FRAMES, *LENGTHS.get(family, ()))
    ]


def _places(dataset: str, options) -> dict:
    if dataset != "ucf101":
        return {}
    names = ("records",) if options.records else ("videos", "splits")
    return {name: str(getattr(options, name)) for name in names}


def _budget(dataset: str, options) -> dict:
    """All that decides a training of this data set but network, clip length, seed and places."""
    recipe, values = STUDIES[dataset]
    own = {"variant", "clip_frames", "seed", "model_dir", "videos", "splits", "records"}
    config = in_fresh_process(_resolved, recipe, {**values, **options.overrides})
    return {name: value for name, value in config.items() if name not in own}


def _resolved(recipe: str, overrides: dict) -> dict:
    from r21d_keras.training.config import to_json
    from r21d_keras.training.recipes import resolve

    return json.loads(to_json(resolve(recipe, overrides=overrides)))


def _check_same_budget(ledger: Ledger, budgets: dict[str, dict]) -> None:
    for name, row in ledger.rows.items():
        now = budgets.get(row["dataset"], row["options"])
        changed = sorted(key for key in now if now[key] != row["options"].get(key))
        if changed or len(now) != len(row["options"]):
            raise SystemExit(
                f"{ledger.path}: {name!r} was trained with other options: {', '.join(changed)}. "
                "What is compared must have one budget: give another --out, or remove the file."
            )


def _gmacs(recipe: str, overrides: dict, num_classes: int) -> float:
    """Multiply-adds of one clip, in thousands of millions."""
    from r21d_keras import count_macs
    from r21d_keras.training.model_dir import build_model
    from r21d_keras.training.recipes import resolve

    return count_macs(build_model(resolve(recipe, overrides=overrides), num_classes)) / 1e9


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=pathlib.Path, help="UCF101's, of `r21d prepare`")
    parser.add_argument("--videos", type=pathlib.Path, help="UCF101's videos")
    parser.add_argument("--splits", type=pathlib.Path, help="UCF101's split lists")
    seeds = {"type": lambda text: [int(word) for word in text.split(",")], "default": [0, 1, 2]}
    parser.add_argument("--seeds", **seeds, help="a training of each network for each")
    parser.add_argument("--datasets", type=lambda t: t.split(","), default=list(STUDIES))
    parser.add_argument(
        "--overrides", type=json.loads, default={}, help='JSON, as {"epochs": 1}: over all'
    )
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "study_families.md")
    options = parser.parse_args()
    if "ucf101" in options.datasets and not (options.records or options.videos and options.splits):
        parser.error("give --records, or --videos and --splits; or --datasets=motion")
    return options


if __name__ == "__main__":
    main()
