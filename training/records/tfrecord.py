"""TFRecord files, https://www.tensorflow.org/tutorials/load_data/tfrecord, without TensorFlow.

A process that prepares videos need not load TensorFlow, and a record can be read from its place.
"""

import struct
from typing import BinaryIO

import google_crc32c

# Each record: its length, a checksum of the length, its bytes, a checksum of the bytes.
HEAD, TAIL = struct.Struct("<QI"), struct.Struct("<I")
OVERHEAD_BYTES = HEAD.size + TAIL.size
"""What a record takes in a file beside its own bytes."""
PIECE_BYTES = 1 << 20  # read at once of a record that is only looked over
_CUT = "the file ends within a record of {} bytes"
_CHANGED = "the record's checksum does not fit its bytes"


class RecordError(ValueError):
    """A record that is not as it was written: cut off or changed. The message says what is seen."""


def write_record(file: BinaryIO, record: bytes) -> None:
    """Appends one record to a file that is open for writing."""
    length = struct.pack("<Q", len(record))
    file.write(length + TAIL.pack(_masked_crc(length)))
    file.write(record)
    file.write(TAIL.pack(_masked_crc(record)))


def read_record(file: BinaryIO, offset: int | None = None) -> bytes | None:
    """The record at byte `offset`, or where the file stands; None at the file's end.

    Raises:
        RecordError: no whole record is there, or its checksum does not fit.
    """
    length = read_length(file, offset)
    if length is None:
        return None
    body = file.read(length + TAIL.size)
    if len(body) < length + TAIL.size:
        raise RecordError(_CUT.format(length))
    record = body[:length]
    if TAIL.unpack(body[length:])[0] != _masked_crc(record):
        raise RecordError(_CHANGED)
    return record


def check_record(file: BinaryIO, offset: int, length: int) -> None:
    """Checks that a record of `length` bytes is at `offset`, whose checksums fit.

    Memory holds a piece of it, however long it is. Its first byte is at `offset` + HEAD.size.

    Raises:
        RecordError: as `read_record`; a record of another length.
    """
    if read_length(file, offset) != length:
        raise RecordError("the file is not the one that the manifest describes")
    crc, left = 0, length
    while left and (piece := file.read(min(left, PIECE_BYTES))):
        crc, left = google_crc32c.extend(crc, piece), left - len(piece)
    tail = file.read(TAIL.size)
    if left or len(tail) < TAIL.size:
        raise RecordError(_CUT.format(length))
    if TAIL.unpack(tail)[0] != _mask(crc):
        raise RecordError(_CHANGED)


def is_whole(file: BinaryIO, offset: int, length: int) -> bool:
    """Whether a record is as `check_record` wants it."""
    try:
        check_record(file, offset, length)
    except RecordError:
        return False
    return True


def read_length(file: BinaryIO, offset: int | None = None) -> int | None:
    """Bytes in the record at `offset`, after which the file stands on its first one.

    Raises:
        RecordError: no record begins there.
    """
    if offset is not None:
        file.seek(offset)
    head = file.read(HEAD.size)
    if not head:
        return None
    if len(head) < HEAD.size or HEAD.unpack(head)[1] != _masked_crc(head[:8]):
        raise RecordError("no record begins where one should")
    return HEAD.unpack(head)[0]


def _masked_crc(octets: bytes) -> int:
    return _mask(google_crc32c.value(octets))


def _mask(crc: int) -> int:
    """As TensorFlow has it, so that a checksum of bytes that hold checksums is still a good one."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
