"""Keras video ResNets of "A Closer Look at Spatiotemporal Convolutions" (arXiv:1711.11248)."""

import importlib
import pathlib
from typing import TYPE_CHECKING

import wrapt

from ._version import __version__
from .variants import get_variant, list_variants

if TYPE_CHECKING:
    from .layers import Conv2Plus1D, FoldedConv3D
    from .macs import count_macs
    from .merged import merge_batch_norm
    from .resnet import VideoResNet

# zoo/ and training/ lie inside this folder in a wheel and beside it in a checkout; both import
# as r21d_keras.*.
_here = pathlib.Path(__file__).parent
if not (_here / "zoo").is_dir():
    __path__.append(str(_here.parent))

# What needs keras, and so a backend, is imported when it is asked for: `r21d --help` answers at
# once, and the command can quiet TensorFlow before it starts.
_NEEDS_KERAS = {
    "Conv2Plus1D": ".layers",
    "FoldedConv3D": ".layers",
    "VideoResNet": ".resnet",
    "count_macs": ".macs",
    "merge_batch_norm": ".merged",
}


def _import_after(imported, ours):
    """Imports `ours` as soon as a module is imported, at once where it already is."""
    wrapt.register_post_import_hook(lambda _: importlib.import_module(ours, __name__), imported)


# Keras 3 finds the classes in a file by their registered names alone. The layers register
# themselves as soon as Keras is there, whoever imports it and when; amid our own import of it
# `_keras` is not complete, which they need.
_import_after("keras", "._keras")
_import_after(f"{__name__}._keras", ".layers")

__all__ = [
    "Conv2Plus1D",
    "FoldedConv3D",
    "VideoResNet",
    "__version__",
    "count_macs",
    "get_variant",
    "list_variants",
    "merge_batch_norm",
]


def __getattr__(name):
    if name in _NEEDS_KERAS:
        return getattr(importlib.import_module(_NEEDS_KERAS[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return __all__
