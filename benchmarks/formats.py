"""Every family at depth 18 in every format and precision: size, speed, agreement with Keras.

    python -m benchmarks.formats [--videos=DIR] [--families=mc3,r2plus1d] [--num_clips=12]

Networks of full size, random but with the statistics of the clips (random_run.py), are exported by
`training/formats`, quantised by some clips and shown others; all exports of a network lie in one
process and are shown each clip in turn. Then networks that are trained, by the recipe demo or
before (--runs), are exported the same way and tested on their held-out videos. Writes
benchmarks/formats.md, and beside it formats.json: what is in there under the same options is not
measured again.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

from benchmarks.formats_report import PACKAGES, report
from benchmarks.fresh import in_fresh_process
from benchmarks.ledger import Ledger, conditions, write_text
from r21d_keras.training.options import ConfigError

HERE = pathlib.Path(__file__).parent
ASKED = ("num_clips", "calibration_clips", "width_multiplier")  # options that a row depends on
REST_S = 0.1  # between runtimes, so that the threads of the last one have gone to sleep


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    with tempfile.TemporaryDirectory() as folder:
        videos = options.videos or _motion_videos(pathlib.Path(folder))
        asked = {name: getattr(options, name) for name in ASKED}
        asked["videos"] = str(options.videos or "motion")
        known = [name for name, row in ledger.rows.items() if row.get("asked") == asked]
        for family in options.families:
            variant = f"{family}_18"
            if variant in known:
                print(f"{variant}: is in {ledger.path.name}", flush=True)
                continue
            print(variant, flush=True)
            try:
                row = in_fresh_process(measure, variant, videos, vars(options))
            except ConfigError as error:
                print(f"  {error}", flush=True)  # an export that is none keeps no other waiting
                continue
            ledger[variant] = row | {"asked": asked} | conditions(*PACKAGES)
            write_text(options.out, report(ledger.rows))
        runs = list(options.runs)
        for variant in options.trained:
            run = pathlib.Path(folder, variant)
            if in_fresh_process(_train, variant, run, options.epochs, known):
                runs.append(run)
        for run in runs:
            row = in_fresh_process(measure_trained, run, vars(options))
            ledger[row["name"]] = row | {"asked": asked} | conditions(*PACKAGES)
            write_text(options.out, report(ledger.rows))
    print(report(ledger.rows))


def measure(variant: str, videos: pathlib.Path, options: dict) -> dict:
    """A row: of each export its size, seconds, and how its scores differ from those of Keras."""
    import numpy as np

    from benchmarks.random_run import write_random_run
    from r21d_keras.training.data.pipeline import normalise
    from r21d_keras.training.evaluation.scoring import clip_scorer
    from r21d_keras.training.formats.calibration import calibration_clips, videos_of
    from r21d_keras.training.serving.servable import servable_of_run

    with tempfile.TemporaryDirectory() as folder:
        run, shown = pathlib.Path(folder, "run"), options["num_clips"]
        narrow = {"width_multiplier": options["width_multiplier"]}
        write_random_run(run, variant, videos, **narrow)
        files, out = videos_of([videos]), pathlib.Path(folder, "out")
        if len(files) < 2:
            raise ConfigError(f"{videos}: one video; expected 2 or more, some to quantise by.")
        exports = _exported(run, out, files[::2], options["calibration_clips"])
        servable = servable_of_run(run, "final")
        clips = calibration_clips(servable, files[1::2], shown)
        scorer, expected, keras_s = clip_scorer(servable.model), [], []
        scorer(normalise(clips[0], servable.preprocessing))  # which compiles
        for clip in clips:
            start = time.perf_counter()
            expected.append(scorer(normalise(clip, servable.preprocessing)))
            keras_s.append(time.perf_counter() - start)
        found = _answers(exports, clips, servable.preprocessing)
    wanted = np.concatenate(expected)
    cells = {"keras": {"seconds": statistics.median(keras_s)}}
    for name, export in exports.items():
        scores = np.concatenate(found[name].pop("scores"))
        sizes = {key: export[key] for key in ("size", "convert_s")}
        cells[name] = {**sizes, **found[name], "largest": float(np.abs(scores - wanted).max())}
    shape = [*clips[0].shape[1:4], wanted.shape[1]]
    return {"name": variant, "clips": len(clips), "shape": shape, "cells": cells}


def measure_trained(run: pathlib.Path, options: dict) -> dict:
    """A row: of each export of a trained network, what it says of held-out videos."""
    import numpy as np

    from r21d_keras.training.data.datasets import load_dataset
    from r21d_keras.training.predictor import load_predictor
    from r21d_keras.training.run_folder import ModelDir

    config, _ = ModelDir(run).read_run()
    videos = load_dataset(config, "test")
    with tempfile.TemporaryDirectory() as folder:
        if config.dataset == "motion":  # whose training videos are drawn, and lie nowhere
            seen = [_motion_videos(pathlib.Path(folder))]
        else:
            seen = list(load_dataset(config, "train").paths)
        out, num_clips = pathlib.Path(folder, "out"), options["calibration_clips"]
        exports = _exported(run, out, seen, num_clips)
        places = {"keras": str(run)} | {name: export["place"] for name, export in exports.items()}
        scores = {
            name: np.stack([_video_scores(predictor, path) for path in videos.paths])
            for name, predictor in ((name, load_predictor(place)) for name, place in places.items())
        }
    truth, wanted = np.asarray(videos.labels), scores["keras"]
    cells = {
        name: {
            "accuracy": float((found.argmax(1) == truth).mean()),
            "same_best": float((found.argmax(1) == wanted.argmax(1)).mean()),
            "largest": float(np.abs(found - wanted).max()),
            "size": exports[name]["size"] if name in exports else 0,
        }
        for name, found in scores.items()
    }
    return {"name": _name(config), "clips": len(truth), "cells": cells}


def _train(variant: str, run: pathlib.Path, epochs: int | None, measured: list[str]) -> bool:
    """Trains a network, unless it was measured."""
    from r21d_keras.training.recipes import resolve
    from r21d_keras.training.train import train

    sizes = {"epochs": epochs} if epochs else {}
    config = resolve("demo", overrides={"model_dir": str(run), "variant": variant, **sizes})
    if _name(config) in measured:
        print(f"{_name(config)}: was measured", flush=True)
        return False
    print(f"{variant}: training", flush=True)
    train(config)
    return True


def _name(config) -> str:
    seen = f"{config.stream} of {config.dataset}, {config.epochs} epochs"
    return f"{config.variant}, trained on {seen}"


def _video_scores(predictor, path: str):
    """Probabilities (K,) of the clip in the middle of a video."""
    from r21d_keras.clips import uniform_starts
    from r21d_keras.training.data.video import probe, read_clip

    numbers, count = predictor.preprocessing, predictor.clip_frames
    info = probe(path)
    (start_s,) = uniform_starts(info.duration_s, count, numbers.frame_rate, 1)
    size = numbers.resized(info.height, info.width)
    clip = read_clip(path, start_s, count, numbers.frame_rate, predictor.short_video, size)
    return predictor.scorer(clip[None])[0]


def _exported(run: pathlib.Path, out: pathlib.Path, videos: list, num_clips: int) -> dict:
    """Place, format, size in bytes and seconds of conversion of each export of a run."""
    from r21d_keras.training.formats.convert import convert
    from r21d_keras.training.formats.table import FORMATS
    from r21d_keras.training.serving.saved_model import export

    exports = {}
    for name, row in FORMATS.items():
        for precision in row.precisions:
            start = time.perf_counter()
            if name == "tf":
                place = export(run, out / name)
            else:
                given = {"calibrate": videos, "num_clips": num_clips}
                given = given if precision == "int8" else {}
                place = convert(run, out / name, name, precision, **given).place
            exports[f"{row.runtime} {precision}"] = {
                "place": place,
                "format": name,
                "convert_s": time.perf_counter() - start,
                "size": _size(pathlib.Path(place)),
            }
    return exports


def _size(version: pathlib.Path) -> int:
    """Bytes of what a runtime loads: without assets.extra, where warm-up requests are too."""
    files = (path for path in version.rglob("*") if path.is_file())
    return sum(path.stat().st_size for path in files if "assets.extra" not in path.parts)


def _answers(exports: dict[str, dict], clips, numbers) -> dict[str, dict]:
    """Of each export the seconds to load, of a clip, and the scores of all clips, in turn."""
    answers, sessions = {}, {}
    for name, export in exports.items():
        start = time.perf_counter()
        sessions[name] = _session(export, numbers)
        sessions[name](clips[0])
        answers[name] = {"load_s": time.perf_counter() - start, "seconds": [], "scores": []}
    for clip in clips:
        for name, session in sessions.items():
            time.sleep(REST_S)
            start = time.perf_counter()
            answers[name]["scores"].append(session(clip))
            answers[name]["seconds"].append(time.perf_counter() - start)
    for answer in answers.values():
        answer["seconds"] = statistics.median(answer["seconds"])
    return answers


def _session(export: dict, numbers):
    """A function from a clip as exports take it to probabilities."""
    import tensorflow as tf

    from r21d_keras.training.data.pipeline import normalise
    from r21d_keras.training.formats.runtimes import open_session

    if export["format"] != "tf":
        place = pathlib.Path(export["place"])
        session = open_session(place, export["format"], threads=os.cpu_count())
        return lambda clip: session(clip)["probabilities"]
    loaded = tf.saved_model.load(export["place"])

    def run(clip, loaded=loaded):
        prepared = tf.convert_to_tensor(normalise(clip, numbers))
        return loaded.signatures["clips_float"](clips=prepared)["probabilities"].numpy()

    return run


def _motion_videos(folder: pathlib.Path) -> pathlib.Path:
    from r21d_keras.training.data import motion

    motion.write_videos(folder / "videos", 4, 0)
    return folder / "videos"


def _options() -> argparse.Namespace:
    from r21d_keras.variants import FAMILIES

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    families = {"type": lambda text: text.split(",") if text else [], "default": list(FAMILIES)}
    parser.add_argument("--videos", type=pathlib.Path, help="folder (default: built-in motion)")
    parser.add_argument("--families", **families, help=f"of {', '.join(FAMILIES)}")
    parser.add_argument("--num_clips", type=int, default=12, help="shown to each export")
    parser.add_argument("--calibration_clips", type=int, default=10)
    parser.add_argument("--width_multiplier", type=float, default=1.0)
    trained = {**families, "default": ["r2plus1d_10", "r3d_10", "mc3_10"]}
    parser.add_argument("--trained", **trained, help="variants to train by the recipe demo")
    paths = {"type": lambda text: [pathlib.Path(word) for word in text.split(",")], "default": []}
    parser.add_argument("--runs", **paths, help="folders of runs that are trained already")
    parser.add_argument("--epochs", type=int, help="of their training (default: the recipe's)")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "formats.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
