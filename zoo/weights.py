"""Which checkpoints are published, and how to find one."""

import difflib
import re

from r21d_keras.variants import get_variant

from . import published_others, published_vmz, published_zoo
from .errors import UnknownWeightsError
from .published import Weights

WEIGHTS: tuple[Weights, ...] = published_vmz.ROWS + published_zoo.ROWS + published_others.ROWS

# The tag that names a variant's best Kinetics-400 row of the first of these clip lengths it has.
BEST_KINETICS = "kinetics400"
CLIP_LENGTHS = (16, 32, 8)


def list_weights(
    variant: str | None = None,
    *,
    dataset: str | None = None,
    frames: int | None = None,
    channels: int | None = None,
) -> list[Weights]:
    """Rows of all published checkpoints, or of those with this variant, data set and clip.

    >>> [row.tag for row in list_weights("mc3_18", frames=16)]
    ['kinetics400_16f', 'kinetics400_16f_torchvision']

    Args:
        variant: a name of `r21d_keras.list_variants()`.
        dataset: what the classifier was trained on, "Kinetics-400" or "kinetics400".
        frames: length of the clips in training.
        channels: 3 for video, 2 for optical flow.

    Raises:
        ValueError: for an unknown variant or data set.
    """
    if variant is not None:
        get_variant(variant)
    if dataset is not None:
        _check_dataset(dataset)
    return [
        row
        for row in WEIGHTS
        if variant in (None, row.variant)
        and (dataset is None or _plain(dataset) == _plain(row.dataset))
        and frames in (None, row.input_shape[0])
        and channels in (None, row.input_shape[3])
    ]


def get_weights(variant: str, tag: str) -> Weights:
    """The row of `variant` with this tag.

    The tag "kinetics400" names the variant's RGB row for Kinetics-400 with the best published
    accuracy on videos: of its 16-frame rows, else of its 32-frame rows, else of its 8-frame rows.

    Raises:
        ValueError: for an unknown variant.
        UnknownWeightsError: for a tag that it does not have.
    """
    rows = list_weights(variant)
    if tag == BEST_KINETICS:
        best = _best_kinetics(rows)
        if best:
            return best
    for row in rows:
        if row.tag == tag:
            return row
    raise UnknownWeightsError(_unknown(variant, tag, rows))


def weights_named(name: str) -> Weights:
    """The row called VARIANT.TAG: `Weights.name`, or with "kinetics400" for the tag.

    Raises:
        ValueError: `name` is no such name, or there is no such row.
    """
    variant, dot, tag = name.partition(".")
    if dot:
        return get_weights(variant, tag)
    tags = [row.tag for row in WEIGHTS if row.variant == variant]
    raise ValueError(
        f"expected a checkpoint as VARIANT.TAG; got {name or 'nothing'}. "
        + (f"Tags of {name}: {', '.join(tags)}." if tags else "`r21d zoo list` has all.")
    )


def is_tag(text: str) -> bool:
    """Whether some variant has weights of this tag."""
    return text == BEST_KINETICS or any(row.tag == text for row in WEIGHTS)


def _best_kinetics(rows) -> Weights | None:
    rows = [row for row in rows if row.dataset == "Kinetics-400" and row.input_shape[3] == 3]
    for frames in CLIP_LENGTHS:
        found = [row for row in rows if row.input_shape[0] == frames]
        if found:
            return max(found, key=lambda row: row.video_top1 or 0.0)
    return None


def _unknown(variant, tag, rows) -> str:
    if not rows:
        variants = ", ".join(dict.fromkeys(row.variant for row in WEIGHTS))
        return (
            f"Unknown weights {tag!r} for {variant}: there are none of {variant} here, but some of "
            f"{variants}."
        )
    tags = [row.tag for row in rows]
    tags += [BEST_KINETICS] if _best_kinetics(rows) else []
    near = difflib.get_close_matches(str(tag), tags, n=1)
    return (
        f"Unknown weights {tag!r} for {variant}. "
        + (f"Did you mean {near[0]!r}? " if near else "")
        + f"Known: {', '.join(tags)}."
    )


def _check_dataset(dataset) -> None:
    known = dict.fromkeys(row.dataset for row in WEIGHTS)
    if _plain(dataset) not in map(_plain, known):
        raise ValueError(f"Unknown dataset {dataset!r}. Expected one of {', '.join(known)}.")


def _plain(name) -> str:
    return re.sub("[^a-z0-9]", "", str(name).lower())
