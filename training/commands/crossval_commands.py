"""The command of all official splits: crossval."""

from absl import flags

from ..state.interruption import ending_at_once
from .command import DONE, Command, UsageError, no_more, starting_quietly


def _define_crossval(values: flags.FlagValues) -> None:
    from ..recipes import define_flags

    define_flags(values)


@ending_at_once()
def _crossval(values: flags.FlagValues, positional: list[str]) -> int:
    from ..config import ConfigError
    from ..recipes import given_flags
    from ..remote.urls import is_remote

    no_more(positional)
    with starting_quietly():
        from ..crossval import RESULT, crossval, split_configs, summary

    try:
        given = given_flags(values)
        root = given.pop("model_dir", "")
        if not root:
            raise UsageError("--model_dir is missing: the folder for the runs of all splits.")
        if is_remote(root):
            raise UsageError(
                f"--model_dir={root}: expected a folder of this machine; copy it when it is done."
            )
        configs = split_configs(root, values["recipe"].value, values["config_file"].value, given)
    except ConfigError as error:  # found before any work: as much the command line as a wrong flag
        raise UsageError(str(error)) from None
    print(summary(crossval(root, configs)))
    print(f"{RESULT} and a run for each split are in {root}")
    return DONE


CROSSVAL_COMMANDS = {
    "crossval": Command(
        "train and evaluate every official split of a data set, or go on with it",
        "--dataset=hmdb51 --model_dir=DIR [--recipe=NAME] ...",
        _define_crossval,
        _crossval,
    ),
}
"""By name."""
