"""Keras video ResNets of "A Closer Look at Spatiotemporal Convolutions" (arXiv:1711.11248)."""

import pathlib

from ._version import __version__
from .layers import Conv2Plus1D, FoldedConv3D
from .macs import count_macs
from .resnet import VideoResNet
from .variants import get_variant, list_variants

# zoo/ and training/ lie inside this folder in a wheel and beside it in a checkout; both import
# as r21d_keras.*.
_here = pathlib.Path(__file__).parent
if not (_here / "zoo").is_dir():
    __path__.append(str(_here.parent))

__all__ = [
    "Conv2Plus1D",
    "FoldedConv3D",
    "VideoResNet",
    "__version__",
    "count_macs",
    "get_variant",
    "list_variants",
]
