"""The members of a zip archive as views of it: stored ones not copied, compressed ones bounded.

Format: PKWARE's APPNOTE.TXT, sections 4.3.7 (local header), 4.3.12 (directory), 4.3.14 to 4.3.16
(zip64 and ordinary end of directory), 4.5.3 (zip64 extra field).
"""

import struct
import zlib
from typing import NamedTuple

from r21d_keras.zoo.errors import CheckpointError

from .messages import shown
from .unpickler import MAX_GROWTH

MAX_MEMBERS = 100_000  # a checkpoint has one for each tensor and a few more
END_SIZE, MAX_COMMENT = 22, 65535
IN_ZIP64 = 0xFFFFFFFF
STORED, DEFLATED = 0, 8


class Member(NamedTuple):
    """One entry of the directory: flags, method, checksum, both sizes, and its header's place."""

    flags: int
    method: int
    crc: int
    packed_size: int
    size: int
    header: int


class Archive:
    """A zip archive in memory.

    Args:
        data: a view of the whole file.

    Attributes:
        members: name -> `Member`. Names are only ever compared, never used as paths.

    Raises:
        CheckpointError: if the directory is cut off, damaged or names a member twice.
    """

    def __init__(self, data):
        self._data = memoryview(data)
        self._left = MAX_GROWTH * len(
            self._data
        )  # bytes that may still be read: members can overlap
        try:
            self.members = self._directory()
        except (struct.error, LookupError, UnicodeDecodeError) as error:
            raise CheckpointError("its zip directory is damaged. Get the file again.") from error

    def read(self, name: str) -> memoryview:
        """The bytes of a member, checked against its checksum.

        Raises:
            CheckpointError: if it is not there, damaged, encrypted or too large decompressed.
        """
        member = self.members.get(name)
        if member is None:
            raise CheckpointError(f"a zip archive without {shown(name)}: the file is damaged.")
        if member.flags & 1 or member.method not in (STORED, DEFLATED):
            raise CheckpointError(
                f"{shown(name)} in it is encrypted or compressed by method {member.method}; "
                "expected it stored, as torch.save does."
            )
        self._left -= member.size
        if self._left < 0:
            raise CheckpointError(
                f"its members claim more than {MAX_GROWTH} times the file's size: refused. Weights "
                "hardly compress; expected them stored, as torch.save does."
            )
        content = self._packed(name, member)
        if member.method == DEFLATED:
            content = _inflate(name, member, content)
        if len(content) != member.size or zlib.crc32(content) != member.crc:
            raise CheckpointError(
                f"{shown(name)} in it does not have the size and checksum that its directory "
                "says: damaged (get the file again), or saved after torch.serialization."
                "set_crc32_options(False) (save it again without)."
            )
        return content

    def _packed(self, name, member):
        """What lies behind the member's own header."""
        header = self._data[member.header : member.header + 30]
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise CheckpointError(
                f"{shown(name)} in it is not where its directory says. Get it again."
            )
        start = member.header + 30 + sum(struct.unpack("<HH", header[26:]))
        packed = self._data[start : start + member.packed_size]
        if len(packed) != member.packed_size:
            raise CheckpointError(f"{shown(name)} in it is cut off. Get the file again.")
        return packed

    def _directory(self):
        """name -> `Member`, from the central directory."""
        count, position = self._directory_place()
        if count > MAX_MEMBERS:
            raise CheckpointError(f"a zip archive of {count} members: not a checkpoint's.")
        members = {}
        for _ in range(count):
            fields = struct.unpack("<4s6H3L5H2L", self._data[position : position + 46])
            if fields[0] != b"PK\1\2":
                raise CheckpointError("its zip directory is damaged. Get the file again.")
            flags, method, (crc, *sizes) = fields[3], fields[4], fields[7:10]
            ends = _ends(position + 46, fields[10:13])  # of name, extra field, comment
            name = str(self._data[position + 46 : ends[0]], "utf-8")
            extra = self._data[ends[0] : ends[1]]
            if name in members:
                raise CheckpointError(f"its zip directory names {shown(name)} twice: refused.")
            members[name] = Member(flags, method, crc, *_zip64([*sizes, fields[16]], extra))
            position = ends[2]
        return members

    def _directory_place(self):
        """How many members there are, and where the directory begins."""
        tail_start = max(0, len(self._data) - END_SIZE - MAX_COMMENT)
        tail = bytes(self._data[tail_start:])
        end = tail.rfind(b"PK\5\6")
        if end < 0:
            raise CheckpointError(
                "the beginning of a zip archive without its end: cut off. Get the file again."
            )
        count, _, start, comment = struct.unpack_from("<HLLH", tail, end + 10)
        if end + END_SIZE + comment != len(tail):
            raise CheckpointError("a zip archive that is cut off or damaged. Get the file again.")
        if end >= 20 and tail[end - 20 : end - 16] == b"PK\6\7":
            place = struct.unpack_from("<Q", tail, end - 12)[0]
            fields = struct.unpack("<4sQ2H2L4Q", self._data[place : place + 56])
            count, start = fields[7], fields[9]
        return count, start


def _inflate(name, member, packed):
    try:
        return memoryview(zlib.decompressobj(-15).decompress(packed, member.size + 1))
    except zlib.error as error:
        raise CheckpointError(f"{shown(name)} in it is damaged. Get the file again.") from error


def _ends(start, lengths):
    ends = []
    for length in lengths:
        start += length
        ends.append(start)
    return ends


def _zip64(values, extra):
    """(packed size, size, header) with those that do not fit 32 bits taken from the extra field."""
    packed_size, size, header = values
    wide = b""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == 1:
            wide = extra[4 : 4 + length]
        extra = extra[4 + length :]
    order = [size, packed_size, header]  # as the extra field has them
    for index, value in enumerate(order):
        if value == IN_ZIP64:
            order[index], wide = struct.unpack("<Q", wide[:8])[0], wide[8:]
    size, packed_size, header = order
    return packed_size, size, header
