"""What a configuration takes over from where its weights come from, as options."""

import os
from collections.abc import Mapping

from r21d_keras.zoo.errors import UnknownWeightsError
from r21d_keras.zoo.origin import origin
from r21d_keras.zoo.published import Weights
from r21d_keras.zoo.table import CHANNELS
from r21d_keras.zoo.weights import BEST_KINETICS, get_weights, list_weights

from .config import FIELDS, ConfigError, TrainConfig, from_json
from .flow.streams import STREAMS, stream_of
from .remote.folders import folder_at

NETWORK = ("variant", "convention", "width_multiplier", "stream")
"""Options that say which network a run's weights are of."""
INPUT = ("clip_frames", "crop_size", "resize_height", "resize_width", "frame_rate", "mean", "std")
INPUT += ("flow_method",)
"""Options that say what a network has seen."""
CHECKPOINTS = "checkpoints"
"""Folder, in that of a run, of what it is continued from."""


def named(values: Mapping) -> str:
    """The tag of the weights that `values` have as "kinetics400"; other weights as they are.

    With a clip length that is asked for, it is kinetics400_<frames>f or, under stream="flow",
    kinetics400_<frames>f_flow, trained on Kinetics alone as the paper's; where the variant has none
    of this tag, the best of this length, and where it has none of this length either, the best of
    the first length of r21d_keras.zoo.weights.CLIP_LENGTHS that it has.

    Raises:
        ConfigError: there are none of the variant in this stream.
    """
    variant, weights, stream = (_value(values, name) for name in ("variant", "weights", "stream"))
    if weights != BEST_KINETICS or stream not in STREAMS:
        return weights
    frames = values.get("clip_frames")
    tag = f"{BEST_KINETICS}_{frames}f" + "_flow" * (stream == "flow")
    try:
        rows = list_weights(variant, dataset=BEST_KINETICS, channels=len(STREAMS[stream].mean))
        if any(row.tag == tag for row in rows):
            return tag
        of_length = [row for row in rows if row.input_shape[0] == frames]
        if of_length or stream != "rgb":
            return _best(of_length or rows, variant, stream).tag
        return get_weights(variant, BEST_KINETICS).tag
    except ValueError as error:
        raise refused(weights, error) from None


def numbers_of_weights(values: Mapping) -> dict:
    """What published weights saw in training; nothing of those of one's own.

    Raises:
        ConfigError: weights that are not known, or of another stream.
    """
    variant, weights = (_value(values, name) for name in ("variant", "weights"))
    if weights == "none":
        return {}
    try:
        row = origin(variant, weights)
    except ValueError as error:
        raise refused(weights, error) from None
    if row is None:
        return {}
    numbers = row.preprocessing
    stream = _value(values, "stream")
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


def refused(weights: str, error: Exception) -> ConfigError:
    """An error of `zoo` about --weights, with what else may be given."""
    unknown = isinstance(error, UnknownWeightsError)
    advice = " Use --weights=none for random ones, or the path of a file." if unknown else ""
    return ConfigError(f"weights={weights!r}: {error}{advice}")


def run_at(folder: str, model_dir: str = "") -> TrainConfig:
    """The configuration of the run in `folder`, for --init_from.

    Where `model_dir` holds a run that started from it and has finished an epoch, the configuration
    of that run, which took over what is asked for here: it may be continued when the first one has
    moved or gone.

    Raises:
        ConfigError: there is none.
    """
    own = begun_from(folder, model_dir)
    if own:
        return own
    place = folder_at(folder)
    try:
        text = place.text("config.json")
        if text is not None:
            return from_json(text)
    except (OSError, ValueError) as error:
        raise ConfigError(f"init_from={folder!r}: {place.path('config.json')}: {error}") from None
    raise ConfigError(
        f"init_from={folder!r} holds no training run: config.json is missing. Expected the "
        "--model_dir of `r21d train`."
    )


def begun_from(folder: str, model_dir: str) -> TrainConfig | None:
    """The configuration of the run in `model_dir`, if it can be continued and began from `folder`.

    A run that cannot be read is none: `check_resumable` says what is wrong with it.
    """
    if not model_dir:
        return None
    place = folder_at(model_dir)
    try:
        begun = place.text(f"{CHECKPOINTS}/checkpoint") is not None
        text = place.text("config.json") if begun else None
        config = from_json(text) if text is not None else None
    except (OSError, ValueError):
        return None
    if config is None:
        return None
    same = config.init_from and os.path.realpath(config.init_from) == os.path.realpath(folder)
    return config if same else None


def numbers_of_stream(values: Mapping) -> dict:
    """The mean and deviation of the stream; of an unknown one nothing."""
    numbers = STREAMS.get(_value(values, "stream"))
    return {"mean": numbers.mean, "std": numbers.std} if numbers else {}


def _best(rows: list[Weights], variant: str, stream: str) -> Weights:
    if not rows:
        raise ValueError(
            f"there are none of {variant} for stream={stream!r}. `r21d zoo list "
            f"--channels={len(STREAMS[stream].mean)}` names those there are."
        )
    return max(rows, key=lambda row: (row.video_top1 or 0.0, row.file_hash is not None))


def _value(values: Mapping, name: str):
    return values.get(name, FIELDS[name].default)
