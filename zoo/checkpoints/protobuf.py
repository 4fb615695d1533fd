"""Enough of protobuf's wire format to read tensors: https://protobuf.dev/programming-guides/encoding."""

from collections.abc import Iterator

import numpy as np

from r21d_keras.zoo.errors import CheckpointError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4, groups, are long out of use
MAX_VARINT = 10  # bytes
# Caffe2 cuts larger tensors into chunks (caffe2_tensor_chunk_size), and integers are counters.
MAX_INTEGERS = 1_000_000


def fields(message) -> Iterator[tuple[int, int, object]]:
    """(field number, wire type, value) of each field: an int of a varint, a view of all others.

    Raises:
        CheckpointError: if the message is cut off or is not one.
    """
    message = memoryview(message)
    position = 0
    while position < len(message):
        tag, position = varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, position = varint(message, position)
            yield number, wire, value
            continue
        if wire == BYTES:
            size, position = varint(message, position)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise CheckpointError(f"a protobuf with wire type {wire}: damaged. Get the file again.")
        if size > len(message) - position:
            raise CheckpointError(
                f"a protobuf field of {size} bytes with {len(message) - position} left: cut off "
                "or damaged. Get the file again."
            )
        yield number, wire, message[position : position + size]
        position += size


def varint(message, position: int) -> tuple[int, int]:
    """The varint at a position of a message, and the place after it.

    Raises:
        CheckpointError: if it has no end.
    """
    value = 0
    for shift, octet in enumerate(message[position : position + MAX_VARINT]):
        value |= (octet & 0x7F) << (7 * shift)
        if octet < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position + shift + 1
    raise CheckpointError("a protobuf number without an end: damaged. Get the file again.")


def signed(value: int) -> int:
    """The int64 that a varint of 64 bits stands for."""
    return value - (1 << 64) if value >> 63 else value


def integers(packed, dtype: np.dtype) -> np.ndarray:
    """The numbers of a packed integer field as an array of `dtype`; 16-bit floats are their bits.

    Raises:
        CheckpointError: if there are more than `MAX_INTEGERS`, or the last is cut off.
    """
    octets = np.frombuffer(packed, np.uint8)
    if len(octets) > MAX_INTEGERS * MAX_VARINT or np.count_nonzero(octets < 0x80) > MAX_INTEGERS:
        raise CheckpointError(
            f"a blob of more than {MAX_INTEGERS} integers; expected weights as floats."
        )
    (ends,) = np.nonzero(octets < 0x80)
    starts = np.concatenate([[0], ends + 1])[: len(ends)]
    lengths = ends - starts + 1
    if lengths.sum() != len(octets) or lengths.max(initial=0) > MAX_VARINT:
        raise CheckpointError("a protobuf number without an end: damaged. Get the file again.")
    bits = np.zeros(len(ends), np.uint64)
    for place in range(lengths.max(initial=0)):  # seven bits from each octet
        reaches = lengths > place
        septets = (octets[starts[reaches] + place] & 0x7F).astype(np.uint64)
        bits[reaches] |= septets << np.uint64(7 * place)
    if dtype.kind == "f":
        return bits.astype(f"<u{dtype.itemsize}").view(dtype)
    return bits.astype(dtype)
