"""What a builder's `weights=` can mean: nothing, a published tag, or a file."""

import logging
import os
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras

from r21d_keras import VideoResNet, get_variant

from .cache import weights_file
from .checkpoints.convert import load_arrays, read_network
from .errors import CheckpointError
from .origin import find_row
from .published import Weights
from .table import CHANNELS
from .weights_h5 import SUFFIX, load_h5, read_card, read_contents

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a network's weights come from, and what they say of it.

    name: for messages. num_classes: of their classifier; None without one. convention: of their
    numbers. clip: (T, H, W, C) that they were trained on; None: unknown. load: puts them into the
    network they fit.
    """

    name: str
    num_classes: int | None
    convention: str
    clip: tuple[int | None, ...] | None
    load: Callable[[keras.Model], None]

    def default_shape(self, usual: tuple[int, ...]) -> tuple[int, ...]:
        """The clip (T, H, W, C) that the weights were trained on, with what is unknown as usual."""
        known = self.clip or (None,) * len(usual)
        return tuple(b if a is None else a for a, b in zip(known, usual, strict=True))

    def check_shape(self, variant: str, shape: Sequence[int | None]) -> None:
        """Raise ValueError if these weights do not take clips (T, H, W, C) of this `shape`."""
        if self.clip is None or not isinstance(shape, Sequence) or len(shape) != 4:
            return  # loading the weights, or building the network, will tell
        shape = tuple(shape)
        frames, _, _, channels = self.clip
        if shape[3] != channels:
            raise ValueError(
                f"{self.name} takes {channels} channels ({CHANNELS.get(channels, 'its own')}); got "
                f"input_shape={shape}. Pass input_shape={(*shape[:3], channels)}."
            )
        if get_variant(variant).fixes_clip_length and shape[0] != frames:
            raise ValueError(
                f"{self.name} takes clips of {frames} frames, which are the channels of its first "
                f"convolution; got input_shape={shape}. Pass input_shape={(frames, *shape[1:])}, "
                "or other weights."
            )

    def network(self, variant: str, shape: Sequence[int | None], **options) -> keras.Model:
        """The network that these weights fit, for clips of `shape`, with random weights yet.

        It has a classifier where the weights have one. `options` are further ones of VideoResNet.

        Raises:
            ValueError: as `check_shape` and VideoResNet.
        """
        self.check_shape(variant, shape)
        return VideoResNet(
            variant,
            num_classes=self.num_classes or 1,
            input_shape=shape,
            include_top=self.num_classes is not None,
            convention=self.convention,
            **options,
        )


def find_source(
    variant: str, weights: str | os.PathLike | Weights, convention: str | None
) -> Source:
    """The source that `weights` is: a row, tag or VARIANT.TAG, or a file. Nothing is loaded yet.

    Raises:
        ValueError: an unknown tag, a file that is no weights file or of another network, or a
            `convention` that is not the weights'.
    """
    row = find_row(variant, weights)
    path = pathlib.Path("" if row else weights)
    if row:
        source = _of_row(row)
    elif not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}. Expected an existing one, or a tag of {variant} or a name, "
            "VARIANT.TAG, that `r21d zoo list` has."
        )
    elif path.name.endswith(SUFFIX):
        source = _of_h5(variant, path, convention)
    else:
        source = _of_checkpoint(variant, path, convention)
    if convention not in (None, source.convention):
        raise ValueError(
            f"convention={convention!r}: {source.name} has {source.convention!r}. Give that one."
        )
    return source


def _of_row(row: Weights) -> Source:
    return Source(
        name=row.name,
        num_classes=row.num_classes,
        convention=row.convention,
        clip=row.input_shape,
        load=lambda model: load_h5(model, weights_file(row)),
    )


def _of_h5(variant: str, path: pathlib.Path, convention: str | None) -> Source:
    card, contents = read_card(path), read_contents(path)
    if card.get("variant", variant) != variant:
        raise CheckpointError(
            f"{path} holds weights of {card['variant']}; expected {variant}. Take the network "
            f"{card['variant']}, or another file."
        )
    told = card.get("convention_known", "convention" in card)
    assumed = card.get("convention", "paper")
    # Those of the other convention's (2+1)D convolutions would not fit: loading them would tell.
    if not told and convention is None and get_variant(variant).kinds[0] != "2+1d":
        _say_assumed(path, assumed)
    return Source(
        name=path.name,
        num_classes=contents.num_classes,
        convention=card["convention"] if told else convention or assumed,
        clip=tuple(card["input_shape"]) if "input_shape" in card else None,
        load=lambda model: load_h5(model, path),
    )


def _of_checkpoint(variant: str, path: pathlib.Path, convention: str | None) -> Source:
    network, arrays = read_network(path, variant, convention)
    if not network.convention_known:
        _say_assumed(path, network.convention)
    return Source(
        name=path.name,
        num_classes=network.num_classes,
        convention=network.convention,
        clip=(network.frames, None, None, network.input_channels),
        load=lambda model: load_arrays(model, arrays),
    )


def _say_assumed(path: pathlib.Path, convention: str) -> None:
    _log.warning(
        "%s does not tell its convention, on which the networks' numbers depend: %r is assumed. "
        "Give the convention, that or the other, if you know it.",
        path.name,
        convention,
    )
