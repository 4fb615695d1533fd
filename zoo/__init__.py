"""Weights for the networks of `r21d_keras`: builders, preprocessing, labels and converters.

>>> from r21d_keras import zoo
>>> model = zoo.r2plus1d_18(weights="kinetics400")
"""

import importlib
from typing import Any

from r21d_keras.variants import list_variants

# Imported when asked for: the names need keras, or libraries that `r21d --help` can do without.
_HOMES = {
    "accuracy_plot": ".plot",
    "crop_frames": ".preprocessing",
    "decode_predictions": ".labels",
    "feature_extractor": ".features",
    "get_weights": ".weights",
    "list_weights": ".weights",
    "load_labels": ".labels",
    "preprocess_input": ".preprocessing",
}

__all__ = sorted([*_HOMES, *list_variants()])


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name], __name__), name)
    if name in __all__:
        return importlib.import_module(".builders", __name__).BUILDERS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
