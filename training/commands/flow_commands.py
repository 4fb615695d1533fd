"""The commands of optical flow and of two streams: flow and fuse."""

from absl import flags

from .command import Command, UsageError, no_more
from .data_commands import define_records, frame_options, make_records


def _define_flow(values: flags.FlagValues) -> None:
    from ..flow.methods import METHODS
    from ..flow.streams import PUBLISHED_METHOD

    define_records(values)
    about = "; ".join(f"{name}, {method.about}" for name, method in METHODS.items())
    flags.DEFINE_enum("method", PUBLISHED_METHOD, list(METHODS), about, flag_values=values)


def _flow(values: flags.FlagValues, positional: list[str]) -> int:
    from ..flow.encode import KIND, FlowOptions

    no_more(positional)
    try:
        options = FlowOptions(frames=frame_options(values), method=values["method"].value)
    except ValueError as error:  # before any work: as much the command line as a wrong flag
        raise UsageError(str(error)) from None
    return make_records(values, KIND, options)


FLOW_COMMANDS: dict[str, Command] = {
    "flow": Command(
        "compute the optical flow of a data set once, into records for --stream=flow",
        "--dataset=NAME --videos=DIR --out=DIR [--method=dis]",
        _define_flow,
        _flow,
    ),
}
"""By name."""
