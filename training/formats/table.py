"""The formats of an export: what each takes, keeps and cannot do. Needs no TensorFlow."""

import importlib.util
from dataclasses import dataclass

from ..config import ConfigError
from ..serving import names

PRECISIONS = {
    "float32": "scores are those of Keras within 1e-4",
    "float16": "weights are kept in half the bytes; CPUs compute in float32",
    "int8": "weights and what flows between them are 8-bit integers, by ranges seen in given clips",
}
"""What numbers an export holds, and what that means."""


@dataclass(frozen=True)
class Format:
    """One row of FORMATS.

    files: of a version, the one that makes it complete first. runtime: what runs it. packages:
    that conversion needs, as Python imports them. for_int8: those that quantisation needs besides.
    extra: of this package, which installs them. precisions: of PRECISIONS. any_length: whether
    clips of any length are taken, where the network itself does. cannot: what the SavedModel of a
    network of RGB does and this does not.
    """

    files: tuple[str, ...]
    runtime: str
    packages: tuple[str, ...] = ()
    for_int8: tuple[str, ...] = ()
    extra: str = "cpu"
    precisions: tuple[str, ...] = tuple(PRECISIONS)
    any_length: bool = True
    cannot: tuple[str, ...] = ()


_PIXELS = "resize and crop frames: they come as the network sees them, normalised within"
_PREPARED = "take clips that are normalised already"
_BYTES = "decode JPEG or PNG: pixels alone"
_LABELS = "answer with labels: assets.extra/classes.txt has them, in the order of probabilities"
_REFUSE = "refuse a faulty request by name: the runtime says what it sees"

FORMATS = {
    "tf": Format((names.SAVED_MODEL,), "TensorFlow", precisions=("float32",)),
    "openvino": Format(
        (names.OPENVINO, names.OPENVINO_WEIGHTS),
        "OpenVINO",
        ("onnx", "openvino"),
        ("nncf",),
        "openvino",
        cannot=(_PIXELS, _PREPARED, _BYTES, _LABELS, _REFUSE),
    ),
    "litert": Format(
        (names.LITERT,),
        "LiteRT",
        ("ai_edge_litert",),
        (),
        "litert",
        any_length=False,
        cannot=(
            "take clips of another length than the network was trained with",
            "take several clips, until its input is resized",
            _PIXELS,
            _PREPARED,
            _BYTES,
            _LABELS,
            _REFUSE,
        ),
    ),
    "onnx": Format(
        (names.ONNX,),
        "ONNX Runtime",
        ("onnx", "onnxruntime"),
        (),
        "onnx",
        cannot=(_PIXELS, _PREPARED, _BYTES, _LABELS, _REFUSE),
    ),
}
"""By name. No CPU kernel of TensorFlow computes 3-D convolutions of 8-bit integers, and none
takes weights of 16 bits to compute in 32, so that its SavedModel has one precision."""


def check_format(name: str, precision: str) -> Format:
    """The row of a format that is to be written in this precision, here.

    Raises:
        ConfigError: an unknown name, a precision that the format does not have, packages that are
            not installed.
    """
    if name not in FORMATS:
        raise ConfigError(f"format={name!r}: expected one of {', '.join(FORMATS)}.")
    row = FORMATS[name]
    if precision not in PRECISIONS:
        raise ConfigError(f"precision={precision!r}: expected one of {', '.join(PRECISIONS)}.")
    if precision not in row.precisions:
        able = ", ".join(other for other in FORMATS if precision in FORMATS[other].precisions)
        raise ConfigError(
            f"format={name!r} has no precision={precision!r}; expected "
            f"{' or '.join(row.precisions)}. Formats that have it: {able}."
        )
    check_packages(row, precision)
    return row


def check_packages(row: Format, precision: str = "float32") -> None:
    """Raise ConfigError if what a format needs is not installed."""
    needed = (*row.packages, *(row.for_int8 if precision == "int8" else ()))
    absent = [name for name in needed if importlib.util.find_spec(name) is None]
    if absent:
        raise ConfigError(
            f"{row.runtime} needs {' and '.join(absent)}, not installed here. "
            f"pip install 'r21d_keras[{row.extra}]' brings all that it needs."
        )
