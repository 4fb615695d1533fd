"""Caffe2's minidb (VMZ's .mdl files): records of a key and a protobuf, as a dict of arrays.

A record (caffe2/core/db.cc) is the key's and the value's length (int32), the key, the value. The
value is a BlobProto (caffe2/proto/caffe2.proto). A tensor of more than a million numbers lies in
several records, with keys of "name#%0", "name#%1" ... in any order
(caffe2/core/blob_serialization.cc).
"""

import math
import struct
from typing import NamedTuple

import numpy as np

from r21d_keras.zoo.errors import CheckpointError

from .numpy_names import MAX_DIMS
from .protobuf import BYTES, VARINT, fields, integers, signed

CHUNK_SEPARATOR = "#%"  # kChunkIdSeparator in caffe2/core/blob_serialization.h
SCOPE = "gpu_0/"  # VMZ trains one network a GPU and saves the first
MAX_RECORDS = 100_000  # VMZ's largest network has 1,500 blobs

# Numbers of fields in BlobProto, TensorProto and TensorProto.Segment.
BLOB_TYPE, BLOB_TENSOR = 2, 3
DIMS, DATA_TYPE, BYTE_DATA, SEGMENT = 1, 2, 5, 11
SEGMENT_BEGIN = 1


class DataType(NamedTuple):
    """Which field of a TensorProto holds a data type's numbers, how, and what they are."""

    field: int
    packed: np.dtype | None  # None: varints, of `integers`
    dtype: np.dtype


# TensorProto.DataType -> where its numbers are. 16-bit floats are written as their bits.
DATA_TYPES = {
    1: DataType(3, np.dtype("<f4"), np.dtype("<f4")),  # FLOAT
    2: DataType(4, None, np.dtype("<i4")),  # INT32
    5: DataType(4, None, np.dtype("?")),  # BOOL
    6: DataType(4, None, np.dtype("<u1")),  # UINT8
    7: DataType(4, None, np.dtype("<i1")),  # INT8
    8: DataType(4, None, np.dtype("<u2")),  # UINT16
    9: DataType(4, None, np.dtype("<i2")),  # INT16
    10: DataType(10, None, np.dtype("<i8")),  # INT64
    12: DataType(4, None, np.dtype("<f2")),  # FLOAT16
    13: DataType(9, np.dtype("<f8"), np.dtype("<f8")),  # DOUBLE
}
NOT_NUMBERS = (0, 4)  # UNDEFINED, STRING


class Chunk(NamedTuple):
    """The elements of a tensor from `begin` on, and the whole tensor's shape."""

    begin: int
    shape: tuple[int, ...]
    numbers: np.ndarray


def read_minidb(data) -> dict:
    """{blob name: array} of a minidb; the scope "gpu_0/" is taken off the names.

    What is no tensor of numbers is passed over: the nets' definitions, readers, strings. Tensors
    in one record are read-only views of `data`.

    Raises:
        CheckpointError: if a record is cut off or damaged, chunks are missing or overlap, or
            there is no tensor.
    """
    blobs = {}
    try:
        for key, value in _records(memoryview(data)):
            chunk = _chunk(value)
            if chunk is not None:
                name = key.split(CHUNK_SEPARATOR)[0].removeprefix(SCOPE)
                blobs.setdefault(name, []).append(chunk)
        arrays = {name: _join(name, chunks) for name, chunks in blobs.items()}
    except (ArithmeticError, LookupError, struct.error, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError("a damaged minidb. Get the file again.") from error
    if not arrays:
        raise CheckpointError("a minidb without tensors; expected one that VMZ's training saved.")
    return arrays


def _records(data):
    """(key, value) of each record."""
    position = count = 0
    while position < len(data):
        lengths = data[position : position + 8].tobytes().ljust(8, b"\0")
        key_length, value_length = struct.unpack("<ii", lengths)
        start = position + 8
        middle, end = start + key_length, start + key_length + value_length
        count += 1
        if key_length <= 0 or value_length <= 0 or end > len(data) or count > MAX_RECORDS:
            raise CheckpointError(
                f"a minidb whose record {count} at byte {position} of {len(data)} claims a key of "
                f"{key_length} and a value of {value_length} bytes: cut off or damaged. Get the "
                "file again."
            )
        yield str(data[start:middle], "utf-8"), data[middle:end]
        position = end


def _chunk(blob):
    """The `Chunk` in a BlobProto; None where that is no tensor of numbers."""
    blob = _last(blob, {BLOB_TYPE: BYTES, BLOB_TENSOR: BYTES})
    if bytes(blob.get(BLOB_TYPE, b"")) != b"Tensor" or BLOB_TENSOR not in blob:
        return None
    tensor = blob[BLOB_TENSOR]
    single = _last(tensor, {DATA_TYPE: VARINT, BYTE_DATA: BYTES, SEGMENT: BYTES})
    code = single.get(DATA_TYPE, 1)  # FLOAT is the default
    if code in NOT_NUMBERS:
        return None
    if code not in DATA_TYPES:
        raise CheckpointError(f"a blob of Caffe2 data type {code}; expected {sorted(DATA_TYPES)}.")
    row = DATA_TYPES[code]
    if BYTE_DATA in single:
        numbers = np.frombuffer(single[BYTE_DATA], row.dtype)
    elif row.packed is not None:
        numbers = np.frombuffer(_repeated(tensor, row.field), row.packed)
    else:
        numbers = integers(_repeated(tensor, row.field), row.dtype)
    segment = _last(single.get(SEGMENT, b""), {SEGMENT_BEGIN: VARINT})
    return Chunk(segment.get(SEGMENT_BEGIN, 0), _shape(tensor), numbers)


def _last(message, wires):
    """{field number: value} of fields that occur once; the last counts, as protobuf has it."""
    return {number: value for number, wire, value in fields(message) if wires.get(number) == wire}


def _repeated(tensor, field):
    """The bytes of a repeated field: a view where it is packed into one piece."""
    data = None
    for number, wire, value in fields(tensor):
        if number != field:
            continue
        if wire == VARINT:
            raise CheckpointError("a blob of integers that are not packed, as Caffe2 packs them.")
        if data is None:
            data = value
        else:  # one buffer: a view for each number would take forty times its size
            data = data if isinstance(data, bytearray) else bytearray(data)
            data += value
    return b"" if data is None else data


def _shape(tensor):
    dims = [value for number, wire, value in fields(tensor) if (number, wire) == (DIMS, VARINT)]
    if len(dims) > MAX_DIMS:
        raise CheckpointError(f"a blob of {len(dims)} axes: the file is damaged. Get it again.")
    return tuple(map(signed, dims))


def _join(name, chunks):
    """One array of a tensor's chunks."""
    chunks = sorted(chunks, key=lambda chunk: chunk.begin)
    shape, dtype = chunks[0].shape, chunks[0].numbers.dtype
    begin = 0
    for chunk in chunks:
        if (chunk.begin, chunk.shape, chunk.numbers.dtype) != (begin, shape, dtype):
            break
        begin += len(chunk.numbers)
    else:
        if min(shape, default=0) >= 0 and begin == math.prod(shape):
            numbers = [chunk.numbers for chunk in chunks]
            whole = numbers[0] if len(numbers) == 1 else np.concatenate(numbers)
            return whole.reshape(shape)
    raise CheckpointError(
        f"blob {name[:100]!a} of shape {shape} has {begin} elements in its first chunks: some are "
        "missing, twice there or damaged. Get the file again."
    )
