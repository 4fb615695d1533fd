"""Writes pickles opcode by opcode: as Python 2 wrote them, and such as no pickler would write."""

import collections
import io
import struct
from typing import NamedTuple

import numpy as np


class Global(NamedTuple):
    """A name in a pickle."""

    module: str
    name: str


class Call:
    """A call in a pickle, and the state that its result gets."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


class Persistent(NamedTuple):
    """A reference to data outside of the pickle."""

    saved_id: tuple


class Raw(NamedTuple):
    """Opcodes."""

    opcodes: bytes


def pickled(value, python2=False) -> bytes:
    """`value` as the pickle of protocol 2 that Python's pickler writes; text as Python 2's str."""
    stream = io.BytesIO()
    write_pickle(stream, value, python2)
    return stream.getvalue()


def write_pickle(stream, value, python2=False):
    """`pickled`, into a file."""
    stream.write(b"\x80\x02")
    _Pickler(stream, python2).save(value)
    stream.write(b".")


class _Pickler:
    """Writes opcodes, each name and each repeated call once, as the real one does."""

    def __init__(self, stream, python2):
        self.stream, self.python2, self.memo, self.dtypes = stream, python2, {}, {}
        self.kept = []  # what is in the memo by its id, which no other object may get

    def save(self, value):
        write = self.stream.write
        if isinstance(value, np.ndarray):
            value = _numpy_array(value, self.dtypes)
        key = value if isinstance(value, Global) else id(value)
        if key in self.memo:
            write(_indexed(b"h", b"j", self.memo[key]))
        elif value is None or isinstance(value, bool):
            write({None: b"N", True: b"\x88", False: b"\x89"}[value])
        elif isinstance(value, int):
            self.integer(value)
        elif isinstance(value, float):
            write(b"G" + struct.pack(">d", value))
        elif isinstance(value, Raw):
            write(value.opcodes)
        elif isinstance(value, Persistent):
            self.save(value.saved_id)
            write(b"Q")
        else:
            self.compound(value)
            if isinstance(value, (Global, Call)):
                self.memo[key] = len(self.memo)
                self.kept.append(value)
                write(_indexed(b"q", b"r", self.memo[key]))
            self.state(value)

    def integer(self, value):
        if 0 <= value < 256:
            self.stream.write(b"K" + bytes([value]))
        elif -(2**31) <= value < 2**31:
            self.stream.write(b"J" + struct.pack("<i", value))
        else:
            octets = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.stream.write(b"\x8a" + bytes([len(octets)]) + octets)

    def compound(self, value):
        write = self.stream.write
        if isinstance(value, Global):
            write(f"c{value.module}\n{value.name}\n".encode())
        elif isinstance(value, (str, bytes)):
            octets = value.encode() if isinstance(value, str) else value
            if not self.python2:
                write(b"X" + struct.pack("<I", len(octets)))
            elif len(octets) < 256:
                write(b"U" + bytes([len(octets)]))
            else:
                write(b"T" + struct.pack("<i", len(octets)))
            write(octets)
        elif isinstance(value, Call):
            self.save(value.function)
            self.save(value.arguments)
            write(b"R")
        elif isinstance(value, collections.OrderedDict):
            write(b"ccollections\nOrderedDict\n)R")
            self.items(value)
        elif isinstance(value, dict):
            write(b"}")
            self.items(value)
        else:
            write(b"(" if isinstance(value, tuple) else b"](")
            for item in value:
                self.save(item)
            write(b"t" if isinstance(value, tuple) else b"e")

    def items(self, value):
        self.stream.write(b"(")
        for item in value.items():
            self.save(item[0])
            self.save(item[1])
        self.stream.write(b"u")

    def state(self, value):
        if isinstance(value, collections.OrderedDict):
            self.save({"_metadata": Call(Global("collections", "OrderedDict"))})
            self.stream.write(b"b")
        elif isinstance(value, Call) and value.state is not None:
            self.save(value.state)
            self.stream.write(b"b")


def _numpy_array(array, dtypes):
    """What ndarray.__reduce__ returned under Python 2."""
    dtype = dtypes.setdefault(
        array.dtype.str,
        Call(
            Global("numpy", "dtype"),
            array.dtype.str[1:], 0, 1,
            state=(3, array.dtype.str[0], None, None, None, -1, -1, 0),
        ),
    )  # fmt: skip
    return Call(
        Global("numpy.core.multiarray", "_reconstruct"),
        Global("numpy", "ndarray"), (0,), b"b",
        state=(1, array.shape, dtype, False, array.tobytes()),
    )  # fmt: skip


def _indexed(short, long, index):
    return short + bytes([index]) if index < 256 else long + struct.pack("<I", index)
