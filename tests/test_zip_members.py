"""Zip archives that are damaged, that grow, or that name things to confuse."""

import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from r21d_keras.zoo.checkpoints.checkpoint import read_checkpoint
from r21d_keras.zoo.checkpoints.zip_members import MAX_MEMBERS, Archive
from r21d_keras.zoo.errors import CheckpointError
from tests.checkpoint_files import tensor, write_torch_zip
from tests.pickle_writer import pickled

MB = 2**20


def write(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members:
            archive.writestr(name, content)


def assert_refused(path, match, limit=MB):
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=match):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


def checkpoint(array):
    return [("x/data.pkl", pickled({"a": tensor(array, "0")})), ("x/data/0", array.tobytes())]


def test_compressed_members_are_read(tmp_path):
    array = np.arange(50, dtype="f4")
    write(tmp_path / "x.pth", checkpoint(array), compression=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "x.pth")["a"], array)


def test_zip64(tmp_path):
    array = np.arange(50, dtype="f4")
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in checkpoint(array):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(content)
    data = path.read_bytes()
    np.testing.assert_array_equal(read_checkpoint(path)["a"], array)

    end = data.rfind(b"PK\5\6")  # and with a zip64 end and sizes, as of files over 4 GB
    count, size, start = struct.unpack_from("<HLL", data, end + 10)
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    narrow = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(data[:end] + wide + locator + narrow)
    np.testing.assert_array_equal(read_checkpoint(path)["a"], array)


def test_zip64_sizes_in_the_directory():
    content = b"content"
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"a" + content
    extra = struct.pack("<2H3Q", 1, 24, 7, 7, 0)
    directory = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, zlib.crc32(content), *[2**32 - 1] * 2,
        1, len(extra), 0, 0, 0, 0, 2**32 - 1,
    ) + b"a" + extra  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(directory), len(local), 0)
    assert bytes(Archive(local + directory + end).read("a")) == content


def test_zip_bomb(tmp_path):
    array = np.zeros(16 * MB, "f4")
    write(tmp_path / "x.pth", checkpoint(array), compression=zipfile.ZIP_DEFLATED)
    assert_refused(tmp_path / "x.pth", "more than 4 times the file's size")


def test_bomb_in_the_pickle(tmp_path):
    bomb = [("x/data.pkl", b"\x80\2" + b"]0" * 32 * MB)]
    write(tmp_path / "x.pth", bomb, compression=zipfile.ZIP_DEFLATED)
    assert_refused(tmp_path / "x.pth", "more than 4 times the file's size")


def edited(path, name, offset, layout, value):
    """Overwrite a field of a member's entry in the directory."""
    data = bytearray(path.read_bytes())
    entry = data.rfind(name.encode()) - 46
    assert data[entry : entry + 4] == b"PK\1\2"
    struct.pack_into(layout, data, entry + offset, value)
    path.write_bytes(data)


EDITS = {
    "size that lies": (24, "<L", 2**30, "claim more than"),
    "size less": (24, "<L", 3, "size and checksum"),
    "packed size that lies": (20, "<L", 2**30, "cut off"),
    "checksum": (16, "<L", 1, "size and checksum"),
    "encrypted": (8, "<H", 1, "encrypted"),
    "method": (10, "<H", 14, "method 14"),
    "place": (42, "<L", 7, "not where its directory says"),
    "place beyond": (42, "<L", 2**31, "not where its directory says"),
    "name longer": (28, "<H", 60000, "directory is damaged"),
    "missing zip64 sizes": (24, "<L", 2**32 - 1, "directory is damaged"),
}


@pytest.mark.parametrize("name", EDITS)
def test_directory_that_lies(name, tmp_path):
    write_torch_zip(tmp_path / "x.pth", {"a": np.arange(5, dtype="f4")})
    *edit, match = EDITS[name]
    edited(tmp_path / "x.pth", "archive/data/0", *edit)
    assert_refused(tmp_path / "x.pth", match)


def test_compressed_member_larger_than_it_says(tmp_path):
    array = np.zeros(MB, "f4")
    noise = np.random.default_rng(0).bytes(2 * MB)
    members = [*checkpoint(array), ("x/noise", noise)]
    write(tmp_path / "x.pth", members, compression=zipfile.ZIP_DEFLATED)
    edited(tmp_path / "x.pth", "x/data/0", 24, "<L", 4000)
    assert_refused(tmp_path / "x.pth", "size and checksum")


def test_damaged_compression(tmp_path):
    array = np.arange(500, dtype="f4")
    write(tmp_path / "x.pth", checkpoint(array), compression=zipfile.ZIP_DEFLATED)
    data = bytearray((tmp_path / "x.pth").read_bytes())
    start = data.find(b"x/data/0") + 8
    data[start : start + 40] = b"\xff" * 40
    (tmp_path / "x.pth").write_bytes(data)
    assert_refused(tmp_path / "x.pth", "damaged")


def test_members_that_overlap_are_read_four_times_at_most():
    content = bytes(MB)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 0, 0) + content
    entry = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 0, zlib.crc32(content), MB, MB,
        1, 0, 0, 0, 0, 0, 0,
    )  # fmt: skip
    directory = b"".join(entry + bytes([letter]) for letter in b"abcdefgh")
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 8, 8, len(directory), len(local), 0)
    archive = Archive(local + directory + end)
    with pytest.raises(CheckpointError, match="more than 4 times"):
        for name in "abcdefgh":
            archive.read(name)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("name", ["x/data.pkl", "x/data/0"])
def test_duplicate_members(name, tmp_path):
    write(tmp_path / "x.pth", [*checkpoint(np.ones(2, "f4")), (name, b"other")])
    assert_refused(tmp_path / "x.pth", "twice")


def test_too_many_members(tmp_path):
    path = tmp_path / "x.pth"
    write(path, checkpoint(np.ones(2, "f4")))
    data = bytearray(path.read_bytes())
    end = data.rfind(b"PK\5\6")
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 0, MAX_MEMBERS + 1, 0, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    path.write_bytes(bytes(data[:end]) + wide + locator + bytes(data[end:]))
    assert_refused(path, "100001 members")


OTHERS = {
    "nested": ([("weights.pth", b"PK\3\4")], "'weights.pth'.*unpack it first"),
    "two roots": ([("a/data.pkl", b""), ("b/data.pkl", b"")], "expected <name>/data.pkl"),
    "outside": ([("../data.pkl/data.pkl", b"")], "expected <name>/data.pkl"),
    "keras": ([("config.json", b""), ("model.weights.h5", b"")], "'config.json', 'model.weights"),
    "mxnet": ([("r2plus1d_resnet18_kinetics400-5a14d1f9.params", b"")], "params.*unpack"),
    "big-endian": ([("x/data.pkl", b""), ("x/byteorder", b"big")], "byte order.*little-endian"),
    "torchscript": ([("x/data.pkl", b""), ("x/constants.pkl", b"")], "TorchScript"),
    "no storage": (checkpoint(np.ones(2, "f4"))[:1], "without 'x/data/0'"),
    "long name": ([("n" * 60000, b"")], "expected <name>/data.pkl"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_archives(name, tmp_path):
    members, match = OTHERS[name]
    write(tmp_path / "x.pth", members)
    assert_refused(tmp_path / "x.pth", match)


def test_names_are_never_paths(tmp_path):
    array = np.arange(3, dtype="f4")
    members = [
        ("../data.pkl", pickled({"a": tensor(array, "../../outside")})),
        ("../data/../../outside", array.tobytes()),
    ]
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "x.pth", members)
    np.testing.assert_array_equal(read_checkpoint(tmp_path / "folder" / "x.pth")["a"], array)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "x.pth"]
