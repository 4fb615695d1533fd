"""Keras' .weights.h5 files: what one holds, and loading it where it fits."""

import json
import os
import pathlib
from dataclasses import dataclass

import h5py
import numpy as np

from r21d_keras.variants import CONVENTIONS

from .errors import CheckpointError

# What h5py raises of a damaged file, by where it is damaged.
_DAMAGED = (OSError, RuntimeError, KeyError, TypeError, UnicodeDecodeError)

SUFFIX = ".weights.h5"
"""How Keras wants the names of such files to end."""

# What the values of a card are that are read from it: how to tell, and in words.
_CARD = {
    "variant": (lambda value: isinstance(value, str), "a name of `list_variants()`"),
    "convention": (lambda value: value in list(CONVENTIONS), " or ".join(map(repr, CONVENTIONS))),
    "convention_known": (lambda value: isinstance(value, bool), "true or false"),
    "input_shape": (
        lambda value: isinstance(value, list) and len(value) == 4 and all(map(_is_size, value)),
        "[frames, height, width, channels], each a whole number from 1 on or null",
    ),
    "source": (lambda value: isinstance(value, str), "a file name"),
    "source_sha256": (lambda value: isinstance(value, str), "hexadecimal digits"),
}

OF_TRAINING = ("optimizer", "metrics")  # groups of a compiled model's file; metrics: Keras 2 alone


@dataclass(frozen=True)
class Contents:
    """What a .weights.h5 file says of its network without being loaded.

    num_classes: of the classifier; None without one. num_values: numbers in all weights.
    """

    num_classes: int | None
    num_values: int


def card_path(path: str | os.PathLike) -> pathlib.Path:
    """Where the card of a .weights.h5 file lies: NAME.json beside NAME.weights.h5."""
    path = pathlib.Path(path)
    return path.with_name(path.name.removesuffix(SUFFIX) + ".json")


def read_card(path: str | os.PathLike) -> dict:
    """The card beside a .weights.h5 file; empty where there is none.

    Raises:
        CheckpointError: the card is no JSON object, or what it says is not of the expected kind.
    """
    card = card_path(path)
    if not card.is_file():
        return {}
    try:
        found = json.loads(card.read_text("utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{card}: expected the card of {path} as JSON: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{card}: expected a JSON object; got {type(found).__name__}.")
    for name, (fits, expected) in _CARD.items():
        if name in found and not fits(found[name]):
            raise CheckpointError(
                f"{card}: {name} is {json.dumps(found[name])}; expected {expected}. Correct the "
                "card, or delete it: weights load without one."
            )
    return found


def _is_size(value) -> bool:
    return value is None or (type(value) is int and value > 0)


def read_contents(path: str | os.PathLike) -> Contents:
    """What the file holds.

    Raises:
        CheckpointError: it is no HDF5 file, a damaged one, or its name does not end in .weights.h5.
    """
    path = pathlib.Path(path)
    if not path.name.endswith(SUFFIX) or not h5py.is_hdf5(path):
        raise CheckpointError(f"{path}: expected a file in Keras' {SUFFIX} format.")
    shapes = []

    def note(name, item):
        # Not what training keeps beside the weights, nor the integer state of random layers.
        if isinstance(item, h5py.Dataset) and name.split("/")[0] not in OF_TRAINING:
            if np.issubdtype(item.dtype, np.floating):
                shapes.append(item.shape)

    try:
        with h5py.File(path) as file:
            file.visititems(note)
    except _DAMAGED as error:
        raise CheckpointError(
            f"{path} is damaged or cut off ({error}). Delete it and get it again; published "
            "weights in the cache are made again when they are used next."
        ) from error
    # The classifier's kernel alone has two axes, whatever the layout of the file.
    classes = [shape[1] for shape in shapes if len(shape) == 2]
    return Contents(classes[0] if classes else None, sum(int(np.prod(shape)) for shape in shapes))


def load_h5(model, path: str | os.PathLike) -> None:
    """Load a .weights.h5 file into the `keras.Model` that it was saved from.

    Raises:
        CheckpointError: it is damaged, or holds another network; the message says how many values
            either has.
    """
    num_values = read_contents(path).num_values
    # load_weights does not mind values in the file that the network has no place for.
    fits = num_values == model.count_params()
    try:
        if fits:
            model.load_weights(str(path))
    except ValueError:
        fits = False
    if not fits:
        raise CheckpointError(
            f"{path} holds {num_values:,} values that do not fit {model.name} with "
            f"{model.count_params():,}. Expected the weights of this very network: check variant, "
            "convention and width_multiplier."
        )
