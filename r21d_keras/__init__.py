"""Video ResNets of "A Closer Look at Spatiotemporal Convolutions for Action Recognition" in Keras."""

import pathlib

from ._version import __version__
from .variants import get_variant, list_variants

# zoo/ and training/ lie inside this folder in a wheel and beside it in a checkout; both are r21d_keras.*.
_here = pathlib.Path(__file__).parent
if not (_here / "zoo").is_dir():
    __path__.append(str(_here.parent))

__all__ = ["__version__", "get_variant", "list_variants"]
