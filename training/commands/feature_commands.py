"""The commands `r21d features` and `r21d zoo verify` as a table, like commands.py."""

import pathlib

from absl import flags

from .command import DONE, FAILED, Command, UsageError, required, starting_quietly

_PER_VIDEO = "clips a video, evenly spaced"


def _define_features(values: flags.FlagValues) -> None:
    from r21d_keras.variants import CONVENTIONS

    from ..feature_options import ON_BAD_VIDEO, POOL, FeatureOptions

    default = FeatureOptions()
    for name, text in (
        ("variant", "the network, for example r2plus1d_18"),
        ("weights", "a tag of `r21d zoo list`, or a file; with --model final or best"),
        ("model", "a run's --model_dir, in place of --variant and a tag"),
        ("out", "the .npz file to write"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    flags.DEFINE_enum(
        "convention",
        None,
        list(CONVENTIONS),
        "of the network, for a file that does not tell it",
        flag_values=values,
    )
    flags.DEFINE_list(
        "layers", list(default.layers), "layers by name, such as layer3,avgpool", flag_values=values
    )
    flags.DEFINE_integer(
        "num_clips", default.num_clips, _PER_VIDEO, lower_bound=1, flag_values=values
    )
    flags.DEFINE_enum(
        "pool",
        default.pool,
        list(POOL),
        "what to keep of a layer for each clip: its mean over time and space, or all",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "on_bad_video",
        default.on_bad_video,
        list(ON_BAD_VIDEO),
        "stop: a file that cannot be read is an error; skip: leave it out and report",
        flag_values=values,
    )
    trained = " (default: as in its training)"
    for name, text in (
        ("clip_frames", "frames in a clip"),
        ("crop_size", "side of the square crop, pixels"),
    ):
        flags.DEFINE_integer(name, None, text + trained, lower_bound=1, flag_values=values)
    flags.DEFINE_float(
        "frame_rate", None, f"frames a second of a clip, Hz{trained}", flag_values=values
    )


def _features(values: flags.FlagValues, positional: list[str]) -> int:
    from ..feature_options import FeatureOptions, check_out

    out = pathlib.Path(required(values, "out", "the .npz file to write"))
    _check_network(values)
    if not positional:
        raise UsageError("no video given; expected r21d features ... VIDEO... --out=FILE.npz")
    names = FeatureOptions.__dataclass_fields__
    try:
        check_out(out)
        options = FeatureOptions(**{name: values[name].value for name in names})
    except ValueError as error:
        raise UsageError(str(error)) from None
    with starting_quietly():
        from ..feature_source import from_run, from_zoo
        from ..features import write_features
    weights = values["weights"].value
    if values["model"].value:
        source = from_run(values["model"].value, options, weights or "final")
    else:
        convention = values["convention"].value
        source = from_zoo(values["variant"].value, weights, options, convention)
    left_out = write_features(source, positional, out, options)
    reported = f"; {len(left_out)} left out" if left_out else ""
    count = len(positional) - len(left_out)
    print(f"{out}: {count} videos, layers {', '.join(options.layers)}{reported}")
    return FAILED if left_out else DONE


def _check_network(values: flags.FlagValues) -> None:
    from ..config import WEIGHTS

    if not values["model"].value:
        for name in ("variant", "weights"):
            required(values, name, "give --variant and --weights, or a run's folder as --model")
        return
    for name in ("variant", "convention"):
        if values[name].value:
            raise UsageError(f"--{name} is that of the run that --model names. Leave it out.")
    if values["weights"].value not in (None, *WEIGHTS):
        raise UsageError(
            f"--weights={values['weights'].value}: expected {' or '.join(WEIGHTS)}, as --model "
            "names a run."
        )


def _define_verify(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean("all", False, "all published weights", flag_values=values)
    flags.DEFINE_list("videos", [], "videos to classify, VIDEO,...", flag_values=values)
    flags.DEFINE_integer("num_clips", 10, _PER_VIDEO, lower_bound=1, flag_values=values)
    flags.DEFINE_boolean("json", False, "print one JSON object for each row", flag_values=values)


def _verify(values: flags.FlagValues, positional: list[str]) -> int:
    from r21d_keras.zoo.weights import list_weights, weights_named

    if bool(positional) == values["all"].value:
        raise UsageError("expected either VARIANT.TAG... or --all; `r21d zoo list` has the names.")
    try:
        rows = [weights_named(name) for name in positional] or list_weights()
    except ValueError as error:
        raise UsageError(str(error)) from None
    with starting_quietly():
        from ..verify import verify_and_print

    failed = verify_and_print(
        rows,
        values["videos"].value,
        num_clips=values["num_clips"].value,
        as_json=values["json"].value,
    )
    return FAILED if failed else DONE


FEATURE_COMMANDS = {
    "features": Command(
        "write what videos look like to a network: features at any layer, as .npz",
        "(--variant=NAME --weights=TAG | --model=DIR) VIDEO... --out=FILE.npz [--layers=...]",
        _define_features,
        _features,
    ),
    "zoo verify": Command(
        "get, check, convert and try published weights",
        "VARIANT.TAG... | --all [--videos=VIDEO,...]",
        _define_verify,
        _verify,
    ),
}
"""Commands by name."""
