"""What is to be served: a network with all that its answers need."""

import os
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from r21d_keras import get_variant, list_variants
from r21d_keras.merged import merge_batch_norm
from r21d_keras.zoo.builders import BUILDERS
from r21d_keras.zoo.labels import class_names
from r21d_keras.zoo.preprocessing import Preprocessing
from r21d_keras.zoo.published import Weights
from r21d_keras.zoo.weights import weights_named

from ..config import WEIGHTS, ConfigError
from ..flow.streams import PUBLISHED_METHOD
from ..model_dir import load_run
from .limits import Limits, limits_of


@dataclass(frozen=True)
class Servable:
    """A network that answers, and what is said of it.

    model: float32 clips (B, T, S, S, C), normalised, in; probabilities (B, K) out; T free where
    the variant allows it. clip_frames: that it was trained with. flow_method: by which its input
    is computed, "" for RGB.
    """

    model: keras.Model
    variant: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    clip_frames: int
    short_video: str
    flow_method: str

    @property
    def stream(self) -> str:
        """What it takes, "rgb" or "flow"."""
        return "flow" if self.preprocessing.takes_flow else "rgb"

    @property
    def length(self) -> int | None:
        """Frames of its clips; None: any number."""
        return self.clip_frames if get_variant(self.variant).fixes_clip_length else None

    @property
    def crop(self) -> tuple[int, int, int]:
        """(S, S, C) of its clips."""
        side = self.preprocessing.crop_size
        return side, side, len(self.preprocessing.mean)

    def with_embedding(self) -> keras.Model:
        """The network with two outputs: features before the classifier (B, F), probabilities."""
        pooled = self.model.get_layer("avgpool").output
        return keras.Model(self.model.input, [pooled, self.model.output])

    @property
    def limits(self) -> Limits:
        """Of a request."""
        return limits_of(self.clip_frames, self.preprocessing.crop_size)


def load_servable(source: str | os.PathLike, weights: str | None = None) -> Servable:
    """The network of a run, or of published weights, with its normalisation merged.

    Args:
        source: the folder of a run, here or at a URL, or VARIANT.TAG of `r21d zoo list`.
        weights: one of config.WEIGHTS, for a run alone; None: the first of them.

    Raises:
        ConfigError: no run with these weights, or one of them is not finite.
        DownloadError: published weights that cannot be got.
        RemoteError: a server that does not give the run.
    """
    if not Path(source).exists() and str(source).partition(".")[0] in list_variants():
        if weights is not None:
            raise ConfigError(
                f"weights={weights!r} is for the folder of a run alone; {source} names published "
                "ones. Leave it out."
            )
        return servable_of_row(weights_named(str(source)))
    return servable_of_run(source, weights or WEIGHTS[0])


def servable_of_run(model_dir: str | os.PathLike, weights: str = WEIGHTS[0]) -> Servable:
    """As `load_servable`, of the folder of a run."""
    config, classes, model = load_run(model_dir, weights, any_length=True)
    _check_finite(
        model,
        f"{model_dir}: the {weights} weights",
        "Train it again, with a smaller --base_learning_rate.",
    )
    return Servable(
        model=merge_batch_norm(model),
        variant=config.variant,
        classes=classes,
        preprocessing=config.preprocessing,
        clip_frames=config.clip_frames,
        short_video=config.short_video,
        flow_method=config.flow_method if config.stream == "flow" else "",
    )


def servable_of_row(row: Weights) -> Servable:
    """As `load_servable`, of published weights."""
    frames, *frame = row.input_shape
    free = None if not get_variant(row.variant).fixes_clip_length else frames
    model = BUILDERS[row.variant](weights=row.tag, input_shape=(free, *frame))
    _check_finite(model, row.name, "Remove its file from the cache.")
    return Servable(
        model=merge_batch_norm(model),
        variant=row.variant,
        classes=class_names(row),
        preprocessing=row.preprocessing,
        clip_frames=frames,
        short_video="loop",
        flow_method=PUBLISHED_METHOD if row.preprocessing.takes_flow else "",
    )


def _check_finite(model: keras.Model, what: str, advice: str) -> None:
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ConfigError(f"{what} are not all finite; that network answers nothing. {advice}")
