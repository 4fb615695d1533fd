"""The names in pickled numpy arrays, and what they stand for here: views of the file's bytes."""

import math

import numpy as np

from r21d_keras.zoo.errors import CheckpointError

from .messages import shown
from .pickle_opcodes import MAX_TEXT, Buildable, Function

# Numbers and booleans; above all no objects, no text, no records.
DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
MAX_DIMS = 32  # numpy's own limit before 2.0


class Array(Buildable):
    """A pickled array: `array` is set by its state, and is a read-only view where it can be."""

    def __init__(self):
        self.array = None

    def build(self, state) -> None:
        """Takes (version 1, shape, dtype, Fortran order or not, bytes): ndarray.__reduce__."""
        version, shape, dtype, fortran, data = state
        if version != 1:
            raise CheckpointError(f"a numpy array of pickle version {shown(version)}; expected 1.")
        self.array = make_array(data, dtype, shape, "F" if fortran else "C").array


class Dtype(Buildable):
    """A pickled dtype: one of `DTYPES`, little-endian."""

    def __init__(self, code, *flags):
        if type(code) is not str or code not in DTYPES:
            raise CheckpointError(f"a numpy array of type {shown(code)}; expected one of {DTYPES}.")
        self.dtype = np.dtype(f"<{code}")

    def build(self, state) -> None:
        """Takes (version 3 or 4, byte order, subtype, names, fields, ...): dtype.__reduce__."""
        if state[1] not in ("<", "|") or any(part is not None for part in state[2:5]):
            raise CheckpointError(
                f"a numpy array of byte order {shown(state[1])} or of records; expected "
                "little-endian numbers."
            )


def make_array(data, dtype, shape, order="C") -> Array:
    """An array of exactly the bytes that are there.

    data: bytes, a view, or the text that Python 2's short strings become (latin1).
    """
    if isinstance(data, str) and len(data) <= MAX_TEXT:  # longer text goes through `encode`
        data = data.encode("latin1")
    if type(shape) is not tuple or len(shape) > MAX_DIMS or any(n < 0 for n in shape):
        raise CheckpointError("a numpy array whose shape is not one: the file is damaged.")
    expected = math.prod(shape) * dtype.dtype.itemsize
    if len(data) != expected:
        raise CheckpointError(
            f"a numpy array of {expected} bytes by its shape, with {len(data)} bytes of data: "
            "the file is damaged. Get it again."
        )
    result = Array()
    flat = np.frombuffer(data, dtype.dtype) if expected else np.empty(0, dtype.dtype)
    result.array = flat.reshape(shape, order=order)
    return result


def numpy_names(max_bytes: int) -> dict:
    """The names of `unpickler.unpickle` that numpy's arrays and scalars use.

    Args:
        max_bytes: how much text may be turned into bytes in all. Python 3 writes an array's
            bytes as text under pickle protocol 2, and a file could have one text turned often.
    """
    left = max_bytes

    def encode(text, encoding):
        nonlocal left
        left -= len(text)
        if type(text) is not str or encoding != "latin1" or left < 0:
            raise CheckpointError("its pickle encodes what is not an array's data: refused.")
        return text.encode("latin1")

    ndarray = object()  # a marker: `_reconstruct` takes it and nothing else

    def reconstruct(kind, shape, code):
        if kind is not ndarray:
            raise CheckpointError("its pickle makes a numpy array of a foreign type: refused.")
        return Array()

    names = {
        ("_codecs", "encode"): Function(encode),
        ("numpy", "ndarray"): ndarray,
        ("numpy", "dtype"): Function(Dtype),
    }
    for core in ("numpy.core", "numpy._core"):  # before numpy 2, and since
        names[f"{core}.multiarray", "_reconstruct"] = Function(reconstruct)
        names[f"{core}.multiarray", "scalar"] = Function(
            lambda dtype, data: make_array(data, dtype, ())
        )
        names[f"{core}.numeric", "_frombuffer"] = Function(make_array)  # pickle protocol 5
    return names
