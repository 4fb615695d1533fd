"""The commands of optical flow and of two streams: flow and fuse."""

from absl import flags

from .command import DONE, Command, UsageError, no_more, required, starting_quietly
from .data_commands import define_records, frame_options, make_records


def _define_flow(values: flags.FlagValues) -> None:
    from ..flow.methods import METHODS
    from ..flow.streams import PUBLISHED_METHOD

    define_records(values)
    about = "; ".join(f"{name}, {method.about}" for name, method in METHODS.items())
    flags.DEFINE_enum("method", PUBLISHED_METHOD, list(METHODS), about, flag_values=values)


def _flow(values: flags.FlagValues, positional: list[str]) -> int:
    from ..flow.encode import FlowOptions
    from ..flow.kept import KIND

    no_more(positional)
    try:
        options = FlowOptions(frames=frame_options(values), method=values["method"].value)
    except ValueError as error:  # before any work: as much the command line as a wrong flag
        raise UsageError(str(error)) from None
    return make_records(values, KIND, options)


def _define_fuse(values: flags.FlagValues) -> None:
    from ..flow.streams import FUSION_WEIGHT

    flags.DEFINE_float(
        "weight", FUSION_WEIGHT, "share of the first, from 0 to 1", flag_values=values
    )
    flags.DEFINE_boolean(
        "sweep", False, "also try weights from 0 to 1: sweep.csv and sweep.png", flag_values=values
    )
    flags.DEFINE_string("out", None, "folder for the fused evaluation", flag_values=values)


def _fuse(values: flags.FlagValues, positional: list[str]) -> int:
    out = required(values, "out", "the folder for the fused evaluation")
    if len(positional) != 2:
        raise UsageError(
            f"expected two folders of `r21d evaluate`, of RGB and of flow; got {len(positional)}."
        )
    with starting_quietly():
        from ..evaluation.fuse import fuse, summary

    sweep = values["sweep"].value
    print(summary(fuse(*positional, out, values["weight"].value, sweep)))
    if sweep:
        print("sweep.csv, sweep.png: a weight that is chosen on these videos flatters on them.")
    print(f"evaluation.json, predictions.csv, per_class.csv are in {out}")
    return DONE


FLOW_COMMANDS: dict[str, Command] = {
    "flow": Command(
        "compute the optical flow of a data set once, into records for --stream=flow",
        "--dataset=NAME --videos=DIR --out=DIR [--method=dis]",
        _define_flow,
        _flow,
    ),
    "fuse": Command(
        "average what two evaluations say of the same videos, such as of RGB and of flow",
        "RGB_EVAL FLOW_EVAL --out=DIR [--weight=0.6] [--sweep]",
        _define_fuse,
        _fuse,
    ),
}
"""By name."""
