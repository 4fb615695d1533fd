"""The command of live video: watch."""

from absl import flags

from .command import DONE, FAILED, Command, UsageError, starting_quietly
from .model_flags import check_model, define_model, served

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
    from ..evaluation.protocols import OVERLAP

    define_model(values, timeout_s=10.0)
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
    check_model(values)
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
    return view_of(served(values), every, overlap)


WATCH_COMMANDS = {
    "watch": Command(
        "say what a camera, a stream, a file or a folder that fills shows, as it comes",
        "--model=DIR|--server=URL FILE|FOLDER|CAMERA|URL",
        _define_watch,
        _watch,
    ),
}
"""By name."""
