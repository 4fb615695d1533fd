"""The commands of runs: train, evaluate and predict, and the demo of them all."""

import os

from absl import flags

from ..state.interruption import ending_at_once
from .command import DONE, FAILED, Command, UsageError, no_more, required, starting_quietly
from .model_flags import check_model, define_model, define_weights, served


def _define_train(values: flags.FlagValues) -> None:
    from ..recipes import define_flags

    define_flags(values)


@ending_at_once()
def _train(values: flags.FlagValues, positional: list[str]) -> int:
    from ..config import ConfigError
    from ..recipes import given_flags, resolve

    no_more(positional)
    try:
        config = resolve(values["recipe"].value, values["config_file"].value, given_flags(values))
    except ConfigError as error:  # found before any work: as much the command line as a wrong flag
        raise UsageError(str(error)) from None
    if not config.model_dir:
        raise UsageError("--model_dir is missing: the folder in which the run is kept.")
    if config.strategy == "multi_worker_mirrored" and os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2":
        # Of a worker that is lost TensorFlow itself writes a dozen lines; we say it in one.
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with starting_quietly():
        from ..train import train

    train(config)
    return DONE


PLACES = {
    "videos": "folder of the videos",
    "splits": "folder of the official split lists",
    "manifest": "CSV manifest",
    "records": "folder of `r21d prepare`",
}
"""Options of the data set that may have moved since a run was trained."""


def _define_evaluate(values: flags.FlagValues) -> None:
    from ..config import FIELDS
    from ..evaluation.protocols import FRAMES, OVERLAP
    from ..recipes import define_data

    define_run(values)
    flags.DEFINE_enum(
        "protocol",
        "clips",
        list(FRAMES),
        "clips: evenly spaced, as in the paper; dense: every clip of a video at --stride",
        flag_values=values,
    )
    for name, text in (
        ("num_clips", "clips: how many a video, averaged (default: the run's eval_clips)"),
        ("stride", "dense: frames from clip to clip (default: half a clip)"),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, flag_values=values)
    for name, known, text in (
        ("num_crops", ["1", "3"], "clips: squares of each, 3 along the longer side (default 1)"),
        ("frames", ["crop", "whole"], "what is seen of them (default: clips crop, dense whole)"),
        (
            "overlap",
            list(OVERLAP),
            "dense: share what clips have in common, or recompute it; auto shares where the "
            "network can and part of a clip stays as it is",
        ),
    ):
        flags.DEFINE_enum(name, None, known, text, flag_values=values)
    for name in [name for name in PLACES if name in FIELDS]:
        text = f"{PLACES[name]}, where it is not the one of training any more"
        flags.DEFINE_string(name, None, text, flag_values=values)
    define_data(values)
    flags.DEFINE_string(
        "out", None, "folder for the results (default: the run's)", flag_values=values
    )


def _evaluate(values: flags.FlagValues, positional: list[str]) -> int:
    from ..config import ConfigError
    from ..evaluation.protocols import Protocol
    from ..recipes import place_of_data

    no_more(positional)
    model_dir = required(values, "model_dir", "the folder of a run of `r21d train`")
    asked = {name: values[name].value for name in ("num_clips", "stride", "frames", "overlap")}
    crops = values["num_crops"].value
    try:
        protocol = Protocol(name=values["protocol"].value, num_crops=crops and int(crops), **asked)
        places = {name: values[name].value for name in PLACES if name in values}
        given = {name: value for name, value in places.items() if value is not None}
        given |= place_of_data(values["data"].value, given)
    except ConfigError as error:
        raise UsageError(str(error)) from None
    with starting_quietly():
        from ..evaluation.evaluate import evaluate, summary

    out = values["out"].value
    print(summary(evaluate(model_dir, protocol, _weights_of_run(values), given, out)))
    print(f"evaluation.json, predictions.csv, per_class.csv and pictures are in {out or model_dir}")
    return DONE


def _define_predict(values: flags.FlagValues) -> None:
    define_model(values, timeout_s=60.0)
    flags.DEFINE_integer(
        "num_clips", 10, "clips a video, averaged", lower_bound=1, flag_values=values
    )
    flags.DEFINE_boolean("json", False, "print one JSON object a video", flag_values=values)
    flags.DEFINE_string(
        "picture", None, "PNG to draw: one row of frames and bars a video", flag_values=values
    )


def _predict(values: flags.FlagValues, positional: list[str]) -> int:
    check_model(values)
    if not positional:
        raise UsageError("no video given; expected r21d predict --model=DIR VIDEO...")
    with starting_quietly():
        from ..predict import predict_and_print

    failed = predict_and_print(
        lambda: _predictor(values),
        positional,
        num_clips=values["num_clips"].value,
        as_json=values["json"].value,
        picture=values["picture"].value,
    )
    return FAILED if failed else DONE


def _predictor(values: flags.FlagValues):
    """The network that the flags name, here or at a server."""
    if values["server"].value:
        return served(values)
    from ..predictor import load_predictor

    return load_predictor(values["model"].value, values["weights"].value)


def _define_demo(values: flags.FlagValues) -> None:
    flags.DEFINE_string("out", None, "folder to make or to continue", flag_values=values)
    flags.DEFINE_integer(
        "seed",
        0,
        "seed of videos and weights",
        lower_bound=0,
        upper_bound=2**31 - 1,  # as TrainConfig's
        flag_values=values,
    )


def _demo(values: flags.FlagValues, positional: list[str]) -> int:
    no_more(positional)
    out = required(values, "out", "the folder for all that the demo makes")
    with starting_quietly():
        from ..demo import demo

    demo(out, {"seed": values["seed"].value})
    return DONE


def define_run(values: flags.FlagValues) -> None:
    """Defines what names a run and its weights."""
    flags.DEFINE_string("model_dir", None, "folder of a run", flag_values=values)
    define_weights(values)


def _weights_of_run(values: flags.FlagValues) -> str:
    from ..config import WEIGHTS

    return values["weights"].value or WEIGHTS[0]


RUN_COMMANDS = {
    "demo": Command(
        "see all of it work: train, evaluate, export and predict on the built-in videos",
        "--out=DIR",
        _define_demo,
        _demo,
    ),
    "train": Command(
        "train a network, or continue a run that was interrupted",
        "--model_dir=DIR [--recipe=NAME] [--dataset=...] ...",
        _define_train,
        _train,
    ),
    "evaluate": Command(
        "accuracy of a run on its test videos, by clip, by video and by class",
        "--model_dir=DIR [--protocol=dense] ...",
        _define_evaluate,
        _evaluate,
    ),
    "predict": Command(
        "say what videos show, by a run, a SavedModel or a server that has one",
        "--model=DIR|--server=URL VIDEO...",
        _define_predict,
        _predict,
    ),
}
"""By name."""
