"""tf.train.SequenceExample written and read without TensorFlow, the same bytes every time.

The message is in tensorflow/core/example/example.proto and feature.proto; its wire format in
https://protobuf.dev/programming-guides/encoding. Protobuf itself promises no stable bytes.
"""

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from r21d_keras.zoo.checkpoints.protobuf import (
    BYTES,
    MAX_VARINT,
    VARINT,
    fields,
    signed,
    varint,
)
from r21d_keras.zoo.errors import CheckpointError

from .tfrecord import RecordError

Value = bytes | float | int
Values = Sequence[Value]
"""All of one kind: bytes, floats (kept as float32) or integers (int64)."""
_CUT, _OTHER = "the record is cut off or damaged", "the record is no SequenceExample"


def encode(context: Mapping[str, Values], lists: Mapping[str, Sequence[Values]]) -> bytes:
    """A serialised SequenceExample.

    Args:
        context: features of the whole: {"clip/label/index": [3]}.
        lists: feature lists, a feature for each step: {"image/encoded": [[jpeg0], [jpeg1]]}.
    """
    features = b"".join(_entry(key, _feature(context[key])) for key in sorted(context))
    feature_lists = b"".join(
        _entry(key, b"".join(_field(1, _feature(step)) for step in lists[key]))
        for key in sorted(lists)
    )
    return _field(1, features) + _field(2, feature_lists)


class SequenceExample:
    """A serialised SequenceExample, of which only what is asked for is decoded."""

    def __init__(self, record: bytes):
        """Finds the keys.

        Raises:
            RecordError: no SequenceExample.
        """
        self._context, self._lists = {}, {}
        for number, features in _fields(record):
            kept = {1: self._context, 2: self._lists}.get(number)
            if kept is None:
                raise RecordError(_OTHER)
            for _, entry in _fields(features):
                parts = dict(_fields(entry))
                kept[bytes(parts.get(1, b"")).decode("utf-8", "replace")] = parts.get(2, b"")

    def context(self, key: str) -> list[Value]:
        """The values of a feature; empty where there is none."""
        return _values(self._context.get(key, b""))

    def steps(self, key: str) -> list[memoryview]:
        """The features of a feature list, undecoded; `values` decodes one. Empty: no such list."""
        return [step for _, step in _fields(self._lists.get(key, b""))]

    @property
    def keys(self) -> tuple[set[str], set[str]]:
        """Keys of the context, and of the feature lists."""
        return set(self._context), set(self._lists)


def find_steps(
    file: BinaryIO, start: int, length: int, keys: Collection[str]
) -> dict[str, np.ndarray]:
    """Where in a file the features of feature lists lie, found without reading them.

    Args:
        file: open for reading, best unbuffered: a few bytes are read before each feature.
        start, length: bytes; where the record lies in it.
        keys: of the lists.

    Returns:
        For each key int64 (n, 2): of each of `SequenceExample.steps` the first byte, and that
        after the last. n is 0 where there is no such list.

    Raises:
        RecordError: no SequenceExample.
    """
    found = dict.fromkeys(keys, ())
    lists = [place for number, *place in _places(file, start, start + length) if number == 2]
    for entry in (entry for place in lists for _, *entry in _places(file, *place)):
        parts = {number: place for number, *place in _places(file, *entry)}
        key = read_between(file, *parts.get(1, (0, 0))).decode("utf-8", "replace")
        if key in found:
            found[key] = [step for _, *step in _places(file, *parts.get(2, (0, 0)))]
    return {key: np.array(steps, np.int64).reshape(-1, 2) for key, steps in found.items()}


def read_between(file: BinaryIO, start: int, end: int) -> bytes:
    """The bytes of a file from `start` to before `end`.

    Raises:
        RecordError: the file ends before.
    """
    file.seek(start)
    octets = file.read(end - start)
    if len(octets) < end - start:
        raise RecordError(_CUT)
    return octets


def values(step: memoryview) -> list[Value]:
    """The values of one feature of `SequenceExample.steps`.

    Raises:
        RecordError: damaged.
    """
    return _values(step)


def _entry(key: str, value: bytes) -> bytes:
    return _field(1, _field(1, key.encode()) + _field(2, value))


def _feature(values: Values) -> bytes:
    """BytesList is field 1 of a Feature, FloatList 2, Int64List 3; numbers are packed."""
    first = values[0] if values else b""
    if isinstance(first, bytes):
        return _field(1, b"".join(_field(1, value) for value in values))
    if isinstance(first, float):
        return _field(2, _field(1, struct.pack(f"<{len(values)}f", *values)))
    return _field(3, _field(1, b"".join(_varint(value % (1 << 64)) for value in values)))


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    octets = bytearray()
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    octets.append(value)
    return bytes(octets)


def _places(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(number, first byte, that after the last) of each field of a message, as `_fields` has it."""
    while start < end:
        head = read_between(file, start, min(start + 2 * MAX_VARINT, end))
        try:
            tag, place = varint(head, 0)
            size, place = varint(head, place)
        except CheckpointError:
            raise RecordError(_CUT) from None
        if tag & 7 != BYTES:
            raise RecordError(_OTHER)
        first, start = start + place, start + place + size
        if start > end:
            raise RecordError(_CUT)
        yield tag >> 3, first, start


def _fields(message) -> list[tuple[int, memoryview]]:
    """(number, value) of each field of a message all of whose fields are messages or bytes."""
    try:
        found = list(fields(message))
    except CheckpointError:
        raise RecordError(_CUT) from None
    if any(wire != BYTES for _, wire, _ in found):
        raise RecordError(_OTHER)
    return [(number, value) for number, _, value in found]


def _values(feature) -> list[Value]:
    for number, kind in _fields(feature):
        if number == 1:
            return [bytes(value) for _, value in _fields(kind)]
        try:  # numbers may be packed, or a field each
            return [value for field in fields(kind) for value in _numbers(number, *field[1:])]
        except CheckpointError:
            raise RecordError(_CUT) from None
    return []


def _numbers(number: int, wire: int, value) -> list[Value]:
    if wire == VARINT and number == 3:
        return [signed(value)]
    if wire == VARINT or (number == 2 and len(value) % 4) or number not in (2, 3):
        raise RecordError(_OTHER)
    if number == 2:
        return list(struct.unpack(f"<{len(value) // 4}f", value))
    # A packed field is varints end to end; with a tag before each it is a message of them.
    ends = [place + 1 for place, octet in enumerate(value) if octet < 0x80]
    starts = [0, *ends[:-1]]
    tagged = (b"\x08" + bytes(value[a:b]) for a, b in zip(starts, ends, strict=True))
    return [signed(found) for varint in tagged for _, _, found in fields(varint)]
