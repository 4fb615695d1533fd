"""Where a configuration comes from: a named recipe, then a file, then flags."""

import json
import pathlib
import tomllib
from collections.abc import Mapping

from absl import flags

from .config import FIELDS, ConfigError, TrainConfig, typed, validate
from .flow.kept import numbers_of_records
from .origins import INPUT, NETWORK, named, numbers_of_stream, numbers_of_weights, run_at
from .recipe_rows import RECIPES
from .records.manifest import NAME as MANIFEST
from .remote.urls import is_remote


def resolve(
    recipe: str = "default", config_file: str = "", overrides: Mapping | None = None
) -> TrainConfig:
    """A checked configuration: the recipe, over it the file's values, over those `overrides`.

    Under them all are the stream's own mean and deviation and the method of `records` of flow, and
    over these the numbers of published weights, if `weights` are some or a file that was converted
    from them, or those of the run that `init_from` names: convention, clip length, size, frame rate
    and normalisation. The network of such a run, and its weights, are taken over those of the
    recipe.

    Args:
        recipe: a name of RECIPES.
        config_file: a .json or .toml file of option names and values; a run's config.json is one.
        overrides: option names and values, as `given_flags` returns them.

    Raises:
        ConfigError: unknown recipe or option, an unreadable file, a wrong type or value.
    """
    if recipe not in RECIPES:
        raise ConfigError(f"Unknown recipe {recipe!r}. Known: {', '.join(RECIPES)}.")
    values = typed(RECIPES[recipe], f"recipe {recipe!r}")
    given = given_values(config_file, overrides)
    numbers = {}
    if given.get("init_from"):
        run = run_at(given["init_from"], given.get("model_dir", ""))
        numbers = {name: getattr(run, name) for name in INPUT}
        values |= {"weights": "none"} | {name: getattr(run, name) for name in NETWORK}
        if given.get("stream", run.stream) != run.stream:
            numbers = {}  # of another kind of input: `find_start` says so
    values |= given
    values["weights"] = named(values)
    own = numbers_of_stream(values) | numbers_of_records(values)
    numbers = own | numbers | numbers_of_weights(values)
    config = TrainConfig(**(numbers | values))
    validate(config)
    return config


def given_values(config_file: str = "", overrides: Mapping | None = None) -> dict:
    """What a file and, over it, `overrides` say, as for `resolve`, which the recipe does not.

    Raises:
        ConfigError: an unreadable file, an unknown option, a wrong type.
    """
    given = typed(_read_values(pathlib.Path(config_file)), config_file) if config_file else {}
    return given | typed(overrides or {})


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines --recipe, --config_file, --data and a flag for each field of TrainConfig.

    The fields' flags default to None, so that only those given override the recipe and the file.
    """
    flags.DEFINE_enum(
        "recipe", "default", list(RECIPES), "named values to start from", flag_values=flag_values
    )
    flags.DEFINE_string(
        "config_file",
        "",
        "a .json or .toml file of options, over the recipe",
        flag_values=flag_values,
    )
    define_data(flag_values)
    for name, field in FIELDS.items():
        text = f"{field.metadata['help']} (default {field.default!r})"
        if "choices" in field.metadata:
            choices = list(field.metadata["choices"])
            flags.DEFINE_enum(name, None, choices, text, flag_values=flag_values)
        else:
            _DEFINE[type(field.default)](name, None, text, flag_values=flag_values)


_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}


def define_data(flag_values: flags.FlagValues) -> None:
    """Defines --data, which `place_of_data` makes options of."""
    flags.DEFINE_string(
        "data",
        None,
        "folder or URL (s3://, gs://, https:// ...): --records where it has a manifest.json, else "
        "--videos; at a URL records alone",
        flag_values=flag_values,
    )


def place_of_data(data: str | None, given: Mapping) -> dict:
    """`data` as an option, records or videos; {} for None. `given` are those of other flags.

    Raises:
        ConfigError: one of these says where the data is, too.
    """
    if data is None:
        return {}
    twice = [name for name in ("records", "videos") if given.get(name)]
    if twice:
        other = f"--{twice[0]}={given[twice[0]]}"
        raise ConfigError(f"--data={data} and {other}: expected one of them.")
    has_records = is_remote(data) or pathlib.Path(data, MANIFEST).is_file()
    return {"records" if has_records else "videos": data}


def given_flags(flag_values: flags.FlagValues = flags.FLAGS) -> dict:
    """The options that were given on the command line, by name, for `resolve`.

    Raises:
        ConfigError: a list of numbers that holds something else; data in two places.
    """
    given = {
        name: flag_values[name].value for name in FIELDS if flag_values[name].value is not None
    }
    for name, value in given.items():
        if isinstance(value, list):
            try:
                given[name] = [float(part) for part in value]
            except ValueError:
                raise ConfigError(
                    f"--{name}={','.join(value)}: expected 2 or 3 numbers with commas between them."
                ) from None
    return given | place_of_data(flag_values["data"].value, given)


def _read_values(path: pathlib.Path) -> dict:
    parsers = {".json": json.loads, ".toml": tomllib.loads}
    if path.suffix not in parsers:
        raise ConfigError(f"{path}: expected a configuration file ending in .json or .toml.")
    try:
        values = parsers[path.suffix](path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as a configuration: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: expected option names with values, got {type(values).__name__}."
        )
    return values
