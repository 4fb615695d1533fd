"""The whole way on one machine: render videos, train, evaluate, export, predict. `r21d demo`."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import r21d_keras

from .config import ConfigError, TrainConfig
from .data.datasets import load_dataset
from .evaluation.evaluate import evaluate, summary
from .recipes import resolve
from .serving.saved_model import export
from .train import train

REQUIRED_ACCURACY = 0.9  # video@1; by chance it would be 1/8


class DemoError(ValueError):
    """The demo ran, but its result is not what it must be."""


def demo(
    out: str | os.PathLike,
    overrides: Mapping | None = None,
    required_accuracy: float = REQUIRED_ACCURACY,
) -> dict:
    """Trains on the built-in motion videos, evaluates, exports, and predicts in a fresh process.

    Everything lies in `out` afterwards: the run itself (curves.png, confusion.png, evaluation.json
    and the rest), the SavedModel in export/1, prediction.png. Called again it continues a run that
    was interrupted, and exports under the next number.

    Args:
        out: the folder.
        overrides: options over the recipe "demo".
        required_accuracy: video@1 on the held-out videos below which the demo counts as failed.

    Returns:
        The evaluation, as `evaluate` returns it.

    Raises:
        ConfigError: options that cannot be run, or `out` holds a run of other options.
        DemoError: if accuracy is too low, or the fresh process fails.
    """
    out = Path(out).absolute()
    config = resolve("demo", overrides={**(overrides or {}), "model_dir": str(out)})
    clock = _Clock()
    clock.say(f"1/4 Training {config.variant} on rendered videos, from scratch")
    try:
        train(config)
    except ConfigError as error:  # the demo's folder has another flag than a run's
        raise ConfigError(str(error).replace("--model_dir", "--out")) from None
    clock.say("2/4 Evaluating on held-out videos")
    result = evaluate(out)
    print(summary(result))
    clock.say(f"3/4 Exporting to {out / 'export'}")
    exported = Path(export(out, out / "export"))
    clock.say("4/4 Predicting unseen videos from the SavedModel, in a fresh process")
    videos = _one_of_each_class(config)
    _print_answers(videos, _predict_elsewhere(exported, videos, out / "prediction.png"))
    clock.say("Done")
    print(_guide(out, exported, next(iter(videos.values()))))
    accuracy = result["accuracy"]["video@1"]
    if accuracy < required_accuracy:
        raise DemoError(
            f"video@1 is {accuracy:.1%}; expected at least {required_accuracy:.0%} of the held-out "
            f"videos. See {out / 'curves.png'}: does the loss still fall? Another --seed and a new "
            "--out show whether it is chance."
        )
    return result


class _Clock:
    """Says what begins, and how many seconds after the start."""

    def __init__(self):
        self.start_s = time.monotonic()

    def say(self, text: str) -> None:
        print(f"\n[{time.monotonic() - self.start_s:4.0f} s] {text}", flush=True)


def _one_of_each_class(config: TrainConfig) -> dict[str, str]:
    """The path of one held-out video for each class."""
    videos = load_dataset(config, "test")
    return {name: videos.paths[videos.labels.index(i)] for i, name in enumerate(videos.classes)}


def _predict_elsewhere(model: Path, videos: dict[str, str], picture: Path) -> list[dict]:
    """What `r21d predict` says of the videos, in a process that has never seen the training."""
    command = [sys.executable, "-m", "r21d_keras.training.cli", "predict"]
    command += [f"--model={model}", "--json", f"--picture={picture}", *videos.values()]
    # A bare checkout is importable from its own folder alone; the new process must find it too.
    package = Path(r21d_keras.__file__).parents[1]
    path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    if done.returncode:
        raise DemoError(f"`{' '.join(command)}` failed: {done.stderr.strip()}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _print_answers(videos: dict[str, str], answers: list[dict]) -> None:
    for name, answer in zip(videos, answers, strict=True):
        best = answer["labels"][0]
        mark = "right" if best["label"] == name else "wrong"
        print(f"  {name:<14} -> {best['label']:<14} {best['score']:6.1%}  {mark}")


def _command() -> str:
    """How a shell calls `r21d`: the demo may run in an environment that is not activated."""
    beside = Path(sys.executable).with_name("r21d")
    if shutil.which("r21d"):
        return "r21d"
    if beside.is_file():
        return shlex.quote(str(beside))
    return f"{shlex.quote(sys.executable)} -m r21d_keras.training.cli"


def _guide(out: Path, exported: Path, video: str) -> str:
    r21d = _command()
    return f"""
Look at  {out / "curves.png"}       how it learned
         {out / "confusion.png"}    what it mistakes for what
         {out / "prediction.png"}   what it says of videos it has never seen
Found in {out / "evaluation.json"}  accuracies and how they were measured
         {out / "predictions.csv"}  its answer for each video
         {exported}  SavedModel for TF Serving

Next     {r21d} predict --model={shlex.quote(str(exported))} {shlex.quote(video)}
         {r21d} train --dataset=folder --videos=DIR --model_dir=RUN   (DIR/<class>/<video>)
         {r21d} --help"""
