"""The command `r21d prepare` as a table, like commands.py."""

import shlex

from absl import flags

from ..data.listings import PLACES
from .command import DONE, FAILED, Command, UsageError, no_more, required

RUNNERS = ("local", "beam")
_MODES = {
    "check": ("dataset", *PLACES, "report", "processes"),
    "verify": ("out",),
    "scan": ("out", "dataset", "frame_rate"),
}
"""Modes of `r21d prepare` that prepare nothing, and the flags that each of them reads."""


def _define_prepare(values: flags.FlagValues) -> None:
    from ..records.rgb import FrameOptions

    define_records(values)
    quality = FrameOptions().jpeg_quality
    flags.DEFINE_integer(
        "jpeg_quality", quality, "from 1 to 100", lower_bound=1, flag_values=values
    )
    flags.DEFINE_string(
        "report", "", "JSON file to write with what --check finds", flag_values=values
    )
    for name, text in (
        ("check", "look for videos that are missing, unreadable, doubled or mislabelled; no more"),
        ("verify", "compare every byte in --out with its manifest; no more"),
        ("scan", "write a manifest of the records in --out, which others made; no more"),
    ):
        flags.DEFINE_boolean(name, False, text, flag_values=values)


def define_records(values: flags.FlagValues) -> None:
    """Defines what all records need to know: of which videos, where, at what size and rate."""
    from ..data.catalog import DATASETS
    from ..records.plan import SUBSETS, VIDEOS_PER_SHARD
    from ..records.prepare import ON_BAD_VIDEO

    flags.DEFINE_enum(
        "dataset", None, list(DATASETS), "the data set (`r21d datasets`)", flag_values=values
    )
    for name, text in (
        ("videos", "folder of the videos"),
        ("splits", "folder of the official lists"),
        ("manifest", "CSV manifest of --dataset=csv"),
        ("out", "folder of records to make, to go on with, or to look at"),
    ):
        flags.DEFINE_string(name, "", text, flag_values=values)
    flags.DEFINE_enum(
        "subset", SUBSETS[0], list(SUBSETS), "what to prepare of --split", flag_values=values
    )
    flags.DEFINE_enum(
        "on_bad_video",
        ON_BAD_VIDEO[0],
        list(ON_BAD_VIDEO),
        "check: unreadable files are an error before any work; skip: leave them out and say so in "
        "the manifest; stop: they are an error when their turn comes",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "runner", RUNNERS[0], list(RUNNERS), "local: processes of this machine", flag_values=values
    )
    flags.DEFINE_string(
        "beam_options",
        "",
        "options of the Beam pipeline, as on its own command line: '--runner=FlinkRunner ...'",
        flag_values=values,
    )
    _define_numbers(values, VIDEOS_PER_SHARD)


def _define_numbers(values: flags.FlagValues, videos_per_shard: int) -> None:
    from ..records.rgb import FrameOptions

    default = FrameOptions()
    for name, value, low, text in (
        ("split", 0, 0, "make train-* and test-* of this split; 0: all videos, for every split"),
        ("resize_height", default.resize_height, 8, "height of the frames, pixels"),
        ("resize_width", default.resize_width, 8, "width of the frames, pixels"),
        ("short_side", 0, 0, "keep the aspect, with this shorter side in pixels; 0: do not"),
        ("videos_per_shard", videos_per_shard, 1, "videos in a file, at most"),
        ("processes", 0, 0, "videos decoded at once; 0: one a CPU core"),
    ):
        flags.DEFINE_integer(name, value, text, lower_bound=low, flag_values=values)
    flags.DEFINE_float(
        "frame_rate",
        None,
        f"frames a second to keep, Hz (default {default.frame_rate:g}); with --scan, of records "
        "that do not say",
        lower_bound=0.0,
        flag_values=values,
    )


def _prepare(values: flags.FlagValues, positional: list[str]) -> int:
    no_more(positional)
    given = [mode for mode in _MODES if values[mode].value]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]}: give one of them.")
    if given:
        _check_read(values, given[0])
    elif values["report"].value:
        raise UsageError("--report: expected with --check, whose findings it holds.")
    return _DO[given[0] if given else ""](values)


def _check_read(values: flags.FlagValues, mode: str) -> None:
    """Raise UsageError for a flag that a mode does not read."""
    probe = flags.FlagValues()
    _define_prepare(probe)
    own = set(probe) - set(_MODES) - set(_MODES[mode])
    unread = sorted(name for name in own if values[name].present)
    if unread:
        raise UsageError(
            f"--{unread[0]} is not read with --{mode}, which reads "
            f"{', '.join(f'--{name}' for name in _MODES[mode])}. Leave it out."
        )


def _check_runner(values: flags.FlagValues) -> None:
    """Raise UsageError for an option of the other runner."""
    other = {"local": "beam_options", "beam": "processes"}[values["runner"].value]
    if values[other].present:
        raise UsageError(
            f"--{other} is not read with --runner={values['runner'].value}. Leave it out, or name "
            "the other runner."
        )


def _make(values: flags.FlagValues) -> int:
    """Writes records of frames."""
    from ..records.rgb import KIND

    frames = frame_options(values, jpeg_quality=values["jpeg_quality"].value)
    return make_records(values, KIND, frames)


def frame_options(values: flags.FlagValues, **more):
    """The FrameOptions that the flags of `define_records` say, and `more` of them.

    Raises:
        UsageError: values that cannot be.
    """
    from ..records.rgb import FrameOptions

    both = [name for name in ("resize_height", "resize_width") if values[name].present]
    if both and values["short_side"].value:
        raise UsageError(f"--short_side and --{both[0]}: give one of them.")
    names = ("resize_height", "resize_width", "short_side", "frame_rate")
    given = {name: values[name].value for name in names if values[name].value is not None}
    try:
        return FrameOptions(**given, **more)
    except ValueError as error:
        raise UsageError(str(error)) from None


def make_records(values: flags.FlagValues, kind: str, options) -> int:
    """Writes records of a kind, encoded by `options`, as the flags of `define_records` say."""
    from ..data.catalogued import listed
    from ..records.plan import check_part, make_plan

    name = required(values, "dataset", "the data set, a name of `r21d datasets`")
    out = required(values, "out", "the folder of records to make")
    if values["runner"].value == "local":
        _check_is_here(out)
    _check_runner(values)
    part = {"split": values["split"].value, "subset": values["subset"].value}
    check_part(name, **part)
    plan = make_plan(
        listed(name, _places(name, values), **part),
        kind,
        options.encoder,
        options.as_json,
        **part,
        videos_per_shard=values["videos_per_shard"].value,
    )
    return report(_run(plan, out, values), out)


def _run(plan, out: str, values: flags.FlagValues):
    """Prepares by --runner; returns the manifest."""
    on_bad_video = values["on_bad_video"].value
    if values["runner"].value == "beam":
        from ..records.beam import prepare_by_beam

        arguments = shlex.split(values["beam_options"].value)
        return prepare_by_beam(plan, out, on_bad_video=on_bad_video, arguments=arguments)
    from ..records.prepare import prepare

    return prepare(plan, out, processes=values["processes"].value, on_bad_video=on_bad_video)


def report(manifest, out: str) -> int:
    """Prints what a folder of records holds; returns an exit code."""
    from ..data.counted import counted

    counts = manifest.counts
    said = {what: counted(count, what) for what, count in counts.items()}
    megabytes = f"{counts['bytes'] / 1e6:,.0f} MB"
    print(f"{out}: {said['videos']}, {said['frames']}, {megabytes} in {said['shards']}")
    for row in manifest.skipped:
        print(f"skipped {row['name']}: {row['reason']}")
    if manifest.missing:
        missing = counted(len(manifest.missing), "videos that the lists name")
        print(f"missing: {missing}, but that are not on the disk")
    return DONE


def _check(values: flags.FlagValues) -> int:
    from ..data.check import run_check

    name = required(values, "dataset", "the data set, a name of `r21d datasets`")
    processes = values["processes"].value
    right = run_check(name, _places(name, values), values["report"].value, processes)
    return DONE if right else FAILED


def _verify(values: flags.FlagValues) -> int:
    from ..records.verify import verify

    out = required(values, "out", "the folder of records to look at")
    manifest, wrong = verify(out)
    report(manifest, out)
    for line in wrong:
        print(f"wrong: {line}")
    print("The same `r21d prepare` makes shards anew that you remove." if wrong else "All right.")
    return FAILED if wrong else DONE


def _scan(values: flags.FlagValues) -> int:
    import pathlib

    from ..records.foreign import scan
    from ..records.manifest import read_manifest

    out = required(values, "out", "the folder of records to look at")
    _check_is_here(out)
    out = pathlib.Path(out)
    name = required(values, "dataset", "which data set the records are of")
    if not out.is_dir():
        raise UsageError(f"--out={str(out)!r}: no such folder; expected one of records of others.")
    if read_manifest(out):
        raise UsageError(
            f"--out={str(out)!r} has a manifest.json, and can be read as it is. To have another "
            "one made, take that out."
        )
    manifest = scan(out, name, values["frame_rate"].value)
    manifest.write(out)
    return report(manifest, str(out))


def _check_is_here(out: str) -> None:
    from ..remote.urls import is_remote

    if is_remote(out):
        raise UsageError(
            f"--out={out}: expected a folder of this machine. Copy it there when it is done, and "
            "look with --verify whether all has come."
        )


def _places(dataset: str, values: flags.FlagValues):
    """Where the data set is; UsageError for a place that it does not read."""
    from ..data.catalog import get_dataset, unread_places
    from ..data.listings import Places

    given = {name: values[name].value for name in PLACES}
    if wrong := unread_places(get_dataset(dataset), given):
        raise UsageError(wrong)
    return Places(**given)


_DO = {"": _make, "check": _check, "verify": _verify, "scan": _scan}

DATA_COMMANDS = {
    "prepare": Command(
        "decode a data set once, into records that are faster to read; check one before",
        "--dataset=NAME --videos=DIR --out=DIR | --check ... | --verify --out=DIR | --scan ...",
        _define_prepare,
        _prepare,
    ),
}
"""By name."""
