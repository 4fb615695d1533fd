"""Which published row weights are: by row, by name, or by the file that they come from."""

import os
import pathlib

from r21d_keras.variants import list_variants

from .hashes import may_be
from .published import Weights
from .weights import get_weights, is_tag, list_weights, weights_named
from .weights_h5 import SUFFIX, read_card


def find_row(variant: str, weights) -> Weights | None:
    """The row that `weights` of a builder names: a row, a tag, or VARIANT.TAG.

    Returns:
        None where `weights` can only be the path of a file.

    Raises:
        ValueError: a tag that is unknown, or a row of another variant.
    """
    if isinstance(weights, Weights):
        row = weights
    else:
        text = os.fspath(weights)
        path = pathlib.Path(text)
        if is_tag(text):
            row = get_weights(variant, text)
        elif path.exists():
            return None
        elif text.partition(".")[0] in list_variants():
            row = weights_named(text)
        elif path.suffix or path.name != text:
            return None
        else:
            row = get_weights(variant, text)  # an error that names those there are
    if row.variant != variant:
        raise ValueError(
            f"{row.name} are weights of {row.variant}; expected some of {variant}. Take the "
            f"network {row.variant}, or another tag."
        )
    return row


def origin(variant: str, weights) -> Weights | None:
    """As `find_row`, and for a published file, or one converted from it, the row that it is of.

    A file is known by its name, or that in its card, and by the hash in the card where one is
    published. None: a file of somebody's own, or none at all.

    Raises:
        ValueError: as `find_row`; a card that cannot be read.
    """
    row = find_row(variant, weights)
    if row is not None:
        return row
    path = pathlib.Path(weights)
    card = read_card(path) if path.name.endswith(SUFFIX) else {}
    name, sha256 = card.get("source", path.name), card.get("source_sha256", "")
    for row in list_weights(variant):
        if row.file_name == name and (not sha256 or may_be(sha256, row.file_hash)):
            return row
    return None
