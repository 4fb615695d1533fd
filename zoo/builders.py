"""A builder for every network: `zoo.r2plus1d_18(weights="kinetics400")` and its 71 siblings.

They are one function, `build`, with the variant's name filled in.
"""

import functools
import inspect
import logging
import os
from collections.abc import Callable, Sequence

import keras

from r21d_keras import VideoResNet, list_variants
from r21d_keras.heads import check_head, with_head

from .errors import UnknownWeightsError
from .published import Weights
from .sources import Source, find_source

CLIP = (16, 112, 112, 3)
"""The clip of section 4.1 of the paper, for networks with random weights."""
NUM_CLASSES = 400
"""Classes of Kinetics-400, for networks with random weights."""

_log = logging.getLogger(__name__)


def build(
    variant: str,
    weights: str | os.PathLike | Weights | None = None,
    include_top: bool = True,
    input_shape: Sequence[int | None] | None = None,
    pooling: str | None = None,
    num_classes: int | None = None,
    classifier_activation: str | None = "softmax",
    convention: str | None = None,
    name: str | None = None,
) -> keras.Model:
    """A network, with pretrained weights where `weights` names them. Clips in, probabilities out.

    >>> model = zoo.r2plus1d_18(weights="kinetics400")
    >>> clips = zoo.preprocess_input(frames, weights="r2plus1d_18.kinetics400")
    >>> zoo.decode_predictions(model.predict(clips))

    Args:
        variant: family and depth; `zoo.r2plus1d_18` is `build` with "r2plus1d_18".
        weights: None for random ones; a row of `zoo.list_weights(variant)`, its tag, or its name
            VARIANT.TAG, downloaded and converted on first use; or a path: a .weights.h5 file, or
            a checkpoint of PyTorch or Caffe2 in one of the known namings, converted in memory.
        include_top: whether to end with pooling and classifier.
        input_shape: (frames, height, width, channels) of a clip; any of the first three may be
            None (R2D needs its number of frames). Default: the clip that the weights were trained
            on, else (16, 112, 112, 3).
        pooling: without the top, None for features (B, T', H', W', C), "avg" or "max" for (B, C).
        num_classes: outputs of the classifier. Default: those of the weights, else 400. With
            another number than the weights' the body is loaded, the classifier starts at random,
            and a warning is logged that says so.
        classifier_activation: "softmax", or None for logits.
        convention: "paper" or "torchvision"; by default that of the weights, else "paper". Only
            a PyTorch file that does not tell it needs this.
        name: of the model; the variant's by default.

    Returns:
        A `keras.Model`. Its input is float32 (B, T, H, W, C), as `zoo.preprocess_input` makes it.

    Raises:
        ValueError: an unknown tag, a file that does not fit, or an argument that contradicts the
            weights.
        DownloadError: the weights' file cannot be got; the message says where to put it by hand.
    """
    check_head(1 if num_classes is None else num_classes, include_top, pooling, 0.0)
    head = {
        "include_top": include_top,
        "pooling": pooling,
        "num_classes": num_classes,
        "classifier_activation": classifier_activation,
        "name": name or variant,
    }
    if weights is not None:
        return _pretrained(variant, _found(variant, weights, convention), input_shape, head)
    head["num_classes"] = num_classes or NUM_CLASSES
    shape = CLIP if input_shape is None else input_shape
    return VideoResNet(variant, input_shape=shape, convention=convention or "paper", **head)


def _found(variant: str, weights, convention: str | None) -> Source:
    try:
        return find_source(variant, weights, convention)
    except UnknownWeightsError as error:
        raise UnknownWeightsError(
            f"{error} Use weights=None for random ones, or the path of a file."
        ) from None


def _pretrained(variant: str, source: Source, input_shape, head: dict) -> keras.Model:
    """The network as its weights have it, then with the end that was asked for."""
    shape = source.default_shape(CLIP) if input_shape is None else input_shape
    num_classes = head["num_classes"] or source.num_classes or NUM_CLASSES
    keeps_head = head["include_top"] and num_classes == source.num_classes
    activation = head["classifier_activation"] if keeps_head else None
    model = source.network(variant, shape, classifier_activation=activation, name=head["name"])
    source.load(model)
    if keeps_head:
        return model
    if head["include_top"]:
        _log.warning(
            "%s %s; that of these %d starts at random.",
            source.name,
            f"has a classifier of {source.num_classes} classes, which is left out"
            if source.num_classes
            else "has no classifier",
            num_classes,
        )
    return with_head(model, **(head | {"num_classes": num_classes}))


def _builder(variant: str) -> Callable[..., keras.Model]:
    """`build` for one variant, which says so in help() and in tracebacks."""

    def builder(*args, **options) -> keras.Model:
        return build(variant, *args, **options)

    builder.__name__ = builder.__qualname__ = variant
    builder.__doc__ = build.__doc__
    builder.__signature__ = inspect.signature(functools.partial(build, variant))
    return builder


BUILDERS = {variant: _builder(variant) for variant in list_variants()}
"""Variant -> its builder, with `build`'s arguments but the first."""
