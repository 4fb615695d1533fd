"""The commands of serving: export."""

import shlex

from absl import flags

from .command import DONE, Command, UsageError, no_more, required, starting_quietly
from .run_commands import define_run


def _define_export(values: flags.FlagValues) -> None:
    from ..formats.table import FORMATS, PRECISIONS

    define_run(values)
    for name, text in (
        ("model", "VARIANT.TAG of `r21d zoo list`, instead of a run"),
        ("out", "folder of all versions, as TensorFlow Serving watches it; made or added to"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    for name, text in (
        ("version", "number of the version (default: the next that is free)"),
        ("top_k", "tf: labels an answer (default: 5, or all where there are fewer)"),
        ("calibration_clips", "int8: clips of those videos, at most (default: 100)"),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, flag_values=values)
    for name, known, text in (
        ("format", FORMATS, "for which runtime; tf is the SavedModel"),
        ("precision", PRECISIONS, "of weights, and with int8 of what flows between them"),
    ):
        flags.DEFINE_enum(name, next(iter(known)), list(known), text, flag_values=values)
    flags.DEFINE_multi_string(
        "calibrate",
        None,
        "int8: a video, or a folder of videos, like those to be shown",
        flag_values=values,
    )


def _export(values: flags.FlagValues, positional: list[str]) -> int:
    no_more(positional)
    if values["model"].value and values["model_dir"].value:
        raise UsageError("--model_dir and --model are both given; expected one of them.")
    source = values["model"].value or required(
        values, "model_dir", "the folder of a run of `r21d train`"
    )
    out = required(values, "out", "the folder of all versions, made where it is missing")
    if values["format"].value != "tf":
        return _convert(values, source, out)
    for name in ("calibrate", "calibration_clips"):
        if values[name].present:
            raise UsageError(f"--{name} is for --precision=int8, which --format=tf does not have.")
    _row(values)
    with starting_quietly():
        from ..serving.saved_model import export

    asked = {name: values[name].value for name in ("version", "weights", "top_k")}
    made = export(source, out, **asked)
    print(f"SavedModel: {made}\nTry it:     {_try(made)}")
    print(f"Serve it:   see {out.rstrip('/')}/README.md")
    return DONE


def _convert(values: flags.FlagValues, source: str, out: str) -> int:
    """An export in another format than TensorFlow's."""
    from ..formats.table import PRECISIONS

    name, precision = values["format"].value, values["precision"].value
    if values["top_k"].present:
        raise UsageError(f"--top_k is for --format=tf; {name} answers with all probabilities.")
    if values["calibration_clips"].present and precision != "int8":
        raise UsageError("--calibration_clips is for --precision=int8.")
    row = _row(values)
    print(f"{row.runtime}, {precision}: {PRECISIONS[precision]}. It does not:")
    print("".join(f"  - {line}\n" for line in row.cannot), end="", flush=True)
    with starting_quietly():
        from ..formats.convert import convert

    asked = {name: values[name].value for name in ("version", "weights")}
    if values["calibration_clips"].present:
        asked["num_clips"] = values["calibration_clips"].value
    videos = values["calibrate"].value or []
    made = convert(source, out, name, precision, videos, quietly=starting_quietly, **asked)
    print(f"{row.runtime}: {made.agreement}")
    print(f"{row.files[0]}: {made.place}\nTry it: {_try(made.place)}")
    return DONE


def _row(values: flags.FlagValues):
    """The row of the format that the flags name."""
    from ..config import ConfigError
    from ..formats.table import check_format

    try:
        return check_format(values["format"].value, values["precision"].value)
    except ConfigError as error:
        raise UsageError(str(error)) from None


def _try(version: str) -> str:
    """A command for the shell."""
    return f"r21d predict --model={shlex.quote(version)} VIDEO"


SERVING_COMMANDS = {
    "export": Command(
        "write a run for servers, as a SavedModel, or for OpenVINO, LiteRT or ONNX Runtime",
        "--model_dir=RUN --out=DIR [--format=tf] ...",
        _define_export,
        _export,
    ),
}
"""By name."""
