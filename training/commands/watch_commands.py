"""The command of live video: watch."""

from absl import flags

from .command import DONE, FAILED, Command, UsageError, required, starting_quietly

_TIMES = (
    (
        "max_delay",
        "max_delay_s",
        "live sources: answers fall no farther behind, windows are skipped instead; seconds "
        "(default 2)",
    ),
    (
        "stall_timeout",
        "stall_s",
        "a camera or stream that gives nothing for so long is opened anew; seconds (default 10)",
    ),
    (
        "give_up",
        "give_up_s",
        "the watch ends when nothing has come for so long; seconds (default 60 for cameras and "
        "streams, never for folders)",
    ),
    ("duration", "duration_s", "the watch ends after so long; seconds (default: never)"),
)
"""Flags, their fields of WatchOptions, and help."""


def _define_watch(values: flags.FlagValues) -> None:
    from ..config import WEIGHTS
    from ..evaluation.protocols import OVERLAP

    flags.DEFINE_string(
        "model",
        None,
        "a run's --model_dir, a version of `r21d export`, or VARIANT.TAG of `r21d zoo list`",
        flag_values=values,
    )
    flags.DEFINE_string(
        "server", None, "instead of --model: as for `r21d predict`", flag_values=values
    )
    flags.DEFINE_float(
        "timeout_s",
        10.0,
        "--server: seconds for each request, with all that is tried again",
        lower_bound=0.001,
        flag_values=values,
    )
    flags.DEFINE_enum("weights", None, list(WEIGHTS), "which weights of a run", flag_values=values)
    flags.DEFINE_integer(
        "every",
        None,
        "frames from one window to the next (default: half a window)",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "overlap",
        "auto",
        list(OVERLAP),
        "share what windows have in common, or recompute it; auto shares where the network can and "
        "part of a window stays as it is",
        flag_values=values,
    )
    for name, _, text in _TIMES:
        flags.DEFINE_float(name, None, text, flag_values=values)
    flags.DEFINE_integer(
        "top_k", 3, "labels an answer, up to 5", lower_bound=1, upper_bound=5, flag_values=values
    )
    flags.DEFINE_boolean(
        "json", False, "print one JSON object for each answer and event", flag_values=values
    )
    flags.DEFINE_string("timeline", None, "PNG to draw: labels over time", flag_values=values)


def _watch(values: flags.FlagValues, positional: list[str]) -> int:
    if len(positional) != 1:
        raise UsageError(
            f"{len(positional)} sources given; expected one, a file, a folder, the number of a "
            "camera or a URL: r21d watch --model=DIR SOURCE"
        )
    server = values["server"].value
    if server and (values["model"].value or values["weights"].value):
        raise UsageError("--server has its own model and weights; leave --model and --weights out.")
    if not server:
        required(values, "model", "a run, an export, or VARIANT.TAG of `r21d zoo list`")
    with starting_quietly():
        from ..watch.following import follow
        from ..watch.watch import WatchOptions

    times = {field: values[name].value for name, field, _ in _TIMES}
    given = {field: value for field, value in times.items() if value is not None}
    options = WatchOptions(every=values["every"].value, overlap=values["overlap"].value, **given)
    failed = follow(
        positional[0],
        lambda: _view(values),
        options,
        as_json=values["json"].value,
        top_k=values["top_k"].value,
        picture=values["timeline"].value,
    )
    return FAILED if failed else DONE


def _view(values: flags.FlagValues):
    """The network that the flags name, here or at a server."""
    from ..watch.view import load_view, view_of

    every, overlap = values["every"].value, values["overlap"].value
    if not values["server"].value:
        return load_view(values["model"].value, values["weights"].value, every, overlap)
    from ..served import served_predictor
    from ..serving.client import Client

    client = Client(values["server"].value, timeout_s=values["timeout_s"].value)
    return view_of(served_predictor(client), every, overlap)


WATCH_COMMANDS = {
    "watch": Command(
        "say what a camera, a stream, a file or a folder that fills shows, as it comes",
        "--model=DIR|--server=URL FILE|FOLDER|CAMERA|URL",
        _define_watch,
        _watch,
    ),
}
"""By name."""
