"""The commands of serving: export."""

from absl import flags

from .command import DONE, Command, UsageError, no_more, required, starting_quietly
from .run_commands import define_run


def _define_export(values: flags.FlagValues) -> None:
    define_run(values)
    for name, text in (
        ("model", "VARIANT.TAG of `r21d zoo list`, instead of a run"),
        ("out", "folder of all versions, as TensorFlow Serving watches it; made or added to"),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    for name, text in (
        ("version", "number of the version (default: the next that is free)"),
        ("top_k", "labels an answer (default: 5, or all where there are fewer)"),
    ):
        flags.DEFINE_integer(name, None, text, lower_bound=1, flag_values=values)


def _export(values: flags.FlagValues, positional: list[str]) -> int:
    no_more(positional)
    if values["model"].value and values["model_dir"].value:
        raise UsageError("--model_dir and --model are both given; expected one of them.")
    source = values["model"].value or required(
        values, "model_dir", "the folder of a run of `r21d train`"
    )
    out = required(values, "out", "the folder of all versions, made where it is missing")
    with starting_quietly():
        from ..serving.saved_model import export

    asked = {name: values[name].value for name in ("version", "weights", "top_k")}
    made = export(source, out, **asked)
    print(f"SavedModel: {made}\nTry it:     r21d predict --model={made} VIDEO")
    print(f"Serve it:   see {out.rstrip('/')}/README.md")
    return DONE


SERVING_COMMANDS = {
    "export": Command(
        "write a run as a SavedModel for servers: pixels, JPEG frames or flow in, labels out",
        "--model_dir=RUN --out=DIR",
        _define_export,
        _export,
    ),
}
"""By name."""
