"""Where a configuration comes from: a named recipe, then a file, then flags."""

import json
import pathlib
import tomllib
from collections.abc import Mapping

from absl import flags

from r21d_keras.zoo.origin import origin
from r21d_keras.zoo.table import CHANNELS

from .config import FIELDS, ConfigError, TrainConfig, typed, validate
from .flow.streams import STREAMS, stream_of

RECIPES = {
    "default": {},
    # A narrow network that learns the eight motions from scratch in minutes on two CPU cores.
    "demo": {
        "dataset": "motion",
        "variant": "r2plus1d_10",
        "width_multiplier": 0.125,
        "clip_frames": 8,
        "crop_size": 32,
        "resize_height": 32,
        "resize_width": 32,
        "random_flip": False,
        "epochs": 12,
        "clips_per_epoch": 1280,
        "base_learning_rate": 0.1,
        "warmup_epochs": 1.0,
        "schedule": "cosine",
        "num_cpu_replicas": 2,
    },
    # A few classes of UCF101 from scratch within half an hour on two CPU cores. A few hundred
    # videos are soon known by heart: hence jitter, dropout and smoothing. At 7.5 Hz eight frames
    # show a second of the action.
    "ucf101_small_cpu": {
        "dataset": "ucf101",
        "variant": "r2plus1d_10",
        "width_multiplier": 0.25,
        "clip_frames": 8,
        "frame_rate": 7.5,
        "crop_size": 56,
        "resize_height": 64,
        "resize_width": 86,
        "jitter_scale": 1.5,
        "jitter_color": 0.3,
        "dropout": 0.5,
        "label_smoothing": 0.1,
        "weight_decay": 5e-4,
        "clips_per_epoch": 1080,
        "epochs": 80,
        "global_batch_size": 16,
        "base_learning_rate": 0.05,
        "warmup_epochs": 2.0,
        "schedule": "cosine",
        "validate_every": 10,
    },
}
"""Named rows of values that differ from TrainConfig's defaults."""


def resolve(
    recipe: str = "default", config_file: str = "", overrides: Mapping | None = None
) -> TrainConfig:
    """A checked configuration: the recipe, over it the file's values, over those `overrides`.

    Under them all are the stream's own mean and deviation and, over these, the numbers of published
    weights, if `weights` are some or a file that was converted from them: convention, clip length,
    size, frame rate and normalisation.

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
    if config_file:
        values |= typed(_read_values(pathlib.Path(config_file)), config_file)
    values |= typed(overrides or {})
    config = TrainConfig(**(_numbers_of_stream(values) | _numbers_of_weights(values) | values))
    validate(config)
    return config


def define_flags(flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines --recipe, --config_file and a flag for each field of TrainConfig.

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


def given_flags(flag_values: flags.FlagValues = flags.FLAGS) -> dict:
    """The options that were given on the command line, by name, for `resolve`.

    Raises:
        ConfigError: a list of numbers that holds something else.
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
    return given


def _numbers_of_stream(values: Mapping) -> dict:
    """The mean and deviation of the stream, as options; of an unknown one nothing."""
    stream = values.get("stream", FIELDS["stream"].default)
    numbers = STREAMS.get(stream)
    return {"mean": numbers.mean, "std": numbers.std} if numbers else {}


def _numbers_of_weights(values: Mapping) -> dict:
    """What published weights saw in training, as options; nothing of those of one's own."""
    variant, weights = (values.get(name, FIELDS[name].default) for name in ("variant", "weights"))
    if weights == "none":
        return {}
    try:
        row = origin(variant, weights)
    except ValueError as error:
        raise ConfigError(f"weights={weights!r}: {error}") from None
    if row is None:
        return {}
    numbers = row.preprocessing
    stream = values.get("stream", FIELDS["stream"].default)
    if stream in STREAMS and stream_of(numbers) != stream:
        what, channels = CHANNELS[len(numbers.mean)], len(STREAMS[stream].mean)
        raise ConfigError(
            f"weights={weights!r} of {variant} take {what}, and stream={stream!r}. Give "
            f"--stream={stream_of(numbers)}, or other weights: `r21d zoo list "
            f"--channels={channels}` names them."
        )
    # A shorter side with the aspect kept becomes the paper's 4:3 frame of that height.
    height, width = numbers.resized(3, 4)
    return {
        "convention": row.convention,
        "clip_frames": row.input_shape[0],
        "crop_size": numbers.crop_size,
        "resize_height": height,
        "resize_width": width,
        "frame_rate": numbers.frame_rate,
        "mean": numbers.mean,
        "std": numbers.std,
    }


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
