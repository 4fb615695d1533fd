"""The commands `r21d zoo ...` and `r21d features` as a table, like commands.py."""

import difflib
import json
import shlex

from absl import flags

from .command import DONE, Command, UsageError, no_more, required, starting_quietly
from .feature_commands import FEATURE_COMMANDS


def _define_list(values: flags.FlagValues) -> None:
    flags.DEFINE_string("variant", None, "only this network, as r2plus1d_18", flag_values=values)
    flags.DEFINE_string("dataset", None, "only trained on this, as kinetics400", flag_values=values)
    flags.DEFINE_integer("frames", None, "only with clips so long", flag_values=values)
    flags.DEFINE_integer("channels", None, "only 3: RGB, or 2: optical flow", flag_values=values)
    flags.DEFINE_boolean("json", False, "print all facts of each as JSON", flag_values=values)
    flags.DEFINE_boolean("markdown", False, "print a table in Markdown", flag_values=values)


def _list(values: flags.FlagValues, positional: list[str]) -> int:
    from r21d_keras.variants import list_variants
    from r21d_keras.zoo import list_weights, table

    no_more(positional)
    if values["json"].value and values["markdown"].value:
        raise UsageError("--json and --markdown exclude each other; give one.")
    every = list_weights()
    _check_known("variant", values["variant"].value, list_variants())
    _check_known("frames", values["frames"].value, {row.input_shape[0] for row in every})
    _check_known("channels", values["channels"].value, {row.input_shape[3] for row in every})
    wanted = {name: values[name].value for name in ("variant", "dataset", "frames", "channels")}
    rows = _found(list_weights, **wanted)
    if values["json"].value:
        print(table.as_json(rows))
    elif values["markdown"].value:
        print(table.as_markdown(rows))
    else:
        print(table.as_text(rows) if rows else "No checkpoint with all of this was published.")
    return DONE


def _define_none(values: flags.FlagValues) -> None:
    """A command without flags."""


def _show(values: flags.FlagValues, positional: list[str]) -> int:
    from r21d_keras.zoo.cache import home
    from r21d_keras.zoo.cards import describe

    print(describe(_row(positional), home()))
    return DONE


def _define_card(values: flags.FlagValues) -> None:
    flags.DEFINE_string("out", None, "folder to make", flag_values=values)


def _card(values: flags.FlagValues, positional: list[str]) -> int:
    out = required(values, "out", "the folder to make")
    row = _row(positional)
    with starting_quietly():
        import keras  # noqa: F401  the converter's, which is imported when it is needed
    from r21d_keras.zoo.cards import write_card

    print(f"{row.name} is in {write_card(row, out)}")
    return DONE


def _define_convert(values: flags.FlagValues) -> None:
    from r21d_keras.variants import CONVENTIONS

    flags.DEFINE_string(
        "out", None, "weights to write, NAME or NAME.weights.h5", flag_values=values
    )
    flags.DEFINE_string(
        "variant",
        None,
        "the network that the file holds, as r2plus1d_18; an error if it is another",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "convention",
        None,
        list(CONVENTIONS),
        "its numbers, where the file does not tell them: PyTorch files without (2+1)D "
        "convolutions are taken for torchvision's",
        flag_values=values,
    )


def _convert(values: flags.FlagValues, positional: list[str]) -> int:
    from r21d_keras.variants import list_variants

    out = required(values, "out", "the weights file to write, as NAME.weights.h5")
    if len(positional) != 1:
        raise UsageError(f"expected one checkpoint to convert; got {len(positional)}.")
    variant, convention = values["variant"].value, values["convention"].value
    _check_known("variant", variant, list_variants())
    with starting_quietly():
        from r21d_keras.zoo.checkpoints.convert import convert_checkpoint
    from r21d_keras.zoo.weights_h5 import SUFFIX, card_path

    out = out.removesuffix(SUFFIX) + SUFFIX
    card = convert_checkpoint(positional[0], out, variant=variant, convention=convention)
    print(_converted(card, convention))
    print(f"weights: {out}\ncard:    {card_path(out)}")
    print(f"use:     zoo.{card['variant']}(weights={json.dumps(out)})")
    return DONE


def _converted(card: dict, told: str | None) -> str:
    """What was found in a checkpoint, a line for each fact."""
    if told:
        how = "as you say"
    elif card["convention_known"]:
        how = "the file tells"
    else:
        how = "assumed: the file does not tell. If it is VMZ's network, give --convention=paper"
    frames, *_, channels = card["input_shape"]
    clips = f"{frames or 'any number of'} frames, {channels} channels"
    return (
        f"{card['source']}: {card['variant']}, tensors named as in {card['naming']}\n"
        f"convention: {card['convention']} ({how})\n"
        f"clips: {clips}; classes: {card['num_classes'] or 'no classifier'}; "
        f"parameters: {card['num_params']:,}"
    )


def _define_mirror(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean("all", False, "every published checkpoint", flag_values=values)
    flags.DEFINE_string("out", None, "folder to fill; name it in R21D_MIRROR", flag_values=values)


def _mirror(values: flags.FlagValues, positional: list[str]) -> int:
    from r21d_keras.zoo import list_weights
    from r21d_keras.zoo.cache import fill_mirror
    from r21d_keras.zoo.errors import DownloadError

    out = required(values, "out", "the folder to fill")
    if values["all"].value == bool(positional):
        raise UsageError("expected either --all or names, as r2plus1d_18.kinetics400_16f.")
    rows = list_weights() if values["all"].value else [_row([name]) for name in positional]
    try:
        fill_mirror(rows, out)
    except DownloadError as error:  # each file's reason was logged as it came
        raise DownloadError(str(error).splitlines()[0]) from error
    print(f"{len(rows)} files are in {out}\nUse it:  R21D_MIRROR={shlex.quote(out)}")
    return DONE


def _define_plot(values: flags.FlagValues) -> None:
    flags.DEFINE_string("out", None, "PNG to draw", flag_values=values)


def _plot(values: flags.FlagValues, positional: list[str]) -> int:
    from r21d_keras.zoo.plot import accuracy_plot

    no_more(positional)
    out = required(values, "out", "the PNG to draw")
    figure = accuracy_plot()
    from ..pictures import save_picture

    save_picture(figure, out)
    print(f"picture: {out}")
    return DONE


def _row(words: list[str]):
    """The row that VARIANT.TAG, or VARIANT TAG, names."""
    from r21d_keras.variants import list_variants
    from r21d_keras.zoo.weights import weights_named

    name = (" " if len(words) > 2 else ".").join(words)
    if "." in name:
        _check_known("variant", name.partition(".")[0], list_variants(), "unknown variant {!r}")
    return _found(weights_named, name)


def _found(look_up, *names, **options):
    """What `look_up` finds; that it knows no such name is the command line's fault."""
    try:
        return look_up(*names, **options)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _check_known(flag: str, value, known, form: str = "") -> None:
    """Raise UsageError for a value, if there is one, that is not among those known."""
    if value is None or value in known:
        return
    names = sorted(map(str, known)) if isinstance(known, set) else list(map(str, known))
    near = difflib.get_close_matches(str(value), names, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names)}."
    raise UsageError(f"{form.format(value) or f'--{flag}={value} is unknown'}. {hint}")


ZOO_COMMANDS: dict[str, Command] = {
    "zoo list": Command(
        "list the published checkpoints",
        "[--variant=NAME] [--dataset=NAME] [--json]",
        _define_list,
        _list,
    ),
    "zoo show": Command(
        "say all that is known of a checkpoint, and whom to cite",
        "VARIANT.TAG",
        _define_none,
        _show,
    ),
    "zoo card": Command(
        "make a folder with model card and weights, to upload to a hub",
        "VARIANT.TAG --out=DIR",
        _define_card,
        _card,
    ),
    "zoo convert": Command(
        "convert a checkpoint of PyTorch or Caffe2 to Keras weights",
        "SOURCE --out=NAME.weights.h5",
        _define_convert,
        _convert,
    ),
    "zoo mirror": Command(
        "fill a folder with the authors' files, for R21D_MIRROR",
        "--all --out=DIR",
        _define_mirror,
        _mirror,
    ),
    "zoo plot": Command(
        "draw accuracy against multiply-adds and parameters",
        "--out=zoo.png",
        _define_plot,
        _plot,
    ),
    **FEATURE_COMMANDS,
}
"""Commands by name, in the order of `r21d --help`."""
