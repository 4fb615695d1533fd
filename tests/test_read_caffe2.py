"""Caffe2's files: pickles by Python 2 and by 3, and minidb, as written, damaged and hostile."""

import pickle
import struct
import tracemalloc

import numpy as np
import pytest

from r21d_keras.zoo.checkpoints import protobuf
from r21d_keras.zoo.checkpoints.checkpoint import read_checkpoint
from r21d_keras.zoo.checkpoints.read_caffe2 import read_caffe2_pickle
from r21d_keras.zoo.checkpoints.read_minidb import MAX_RECORDS, read_minidb
from r21d_keras.zoo.errors import CheckpointError
from tests.checkpoint_files import (
    blob_proto,
    minidb_record,
    protobuf_bytes,
    varint,
    write_caffe2_pickle,
    write_minidb,
)
from tests.pickle_writer import Call, Global, Raw, pickled

MB = 2**20
DRAW = np.random.default_rng(0)
BLOBS = {
    "conv1_middle_w": DRAW.standard_normal((45, 3, 1, 7, 7)).astype("f4"),
    "conv1_spatbn_relu_rm": DRAW.standard_normal(45).astype("f4"),
    "last_out_L400_w": DRAW.standard_normal((40, 51)).astype("f4"),
    "last_out_L400_b": np.zeros(40, "f4"),
    "optimizer_iteration": np.array([3000000000], "i8"),
    "gpu_0/conv1_w_momentum": np.ones((2, 2), "f4"),
}
EXTRA = {"epoch": 45, "best_metric": 0.685, "lr": None, "note": "text"}


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def test_pickle_of_python_2(tmp_path):
    write_caffe2_pickle(tmp_path / "x.pkl", BLOBS, EXTRA)
    assert_same(read_checkpoint(tmp_path / "x.pkl"), BLOBS)
    with open(tmp_path / "x.pkl", "rb") as file:  # the writer's file is one to Python as well
        found = pickle.load(file, encoding="latin1")["blobs"]
    assert {name: found.pop(name) for name in EXTRA} == EXTRA
    assert_same(found, BLOBS)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("wrapped", [True, False])
def test_pickle_of_python_3(protocol, wrapped):
    fortran = {**BLOBS, "fortran": np.asfortranarray(BLOBS["last_out_L400_w"])}
    scalar = {**fortran, "lr": np.float32(0.5)}
    data = pickle.dumps({"blobs": scalar} if wrapped else scalar, protocol)
    assert_same(read_caffe2_pickle(data), {**fortran, "lr": np.array(0.5, "f4")})


def test_arrays_are_views_of_the_file(tmp_path):
    write_caffe2_pickle(tmp_path / "x.pkl", {"a": np.ones(4 * MB, "f4")})
    tracemalloc.start()
    arrays = read_checkpoint(tmp_path / "x.pkl")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MB and not arrays["a"].flags.writeable


RECONSTRUCT = Global("numpy.core.multiarray", "_reconstruct")
BAD_PICKLES = {
    "list": [1, 2],
    "number": 3,
    "no arrays": {"blobs": {"epoch": 3}},
    "empty": {},
    "blobs that are a list": {"blobs": [1]},
    "call": {"blobs": {"a": Call(Global("os", "system"), "true")}},
    "array without data": {"a": Call(RECONSTRUCT, Global("numpy", "ndarray"), (0,), b"b")},
    "persistent id": {"a": Raw(b")Q")},
    "more after it": Raw(b"}.N"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PICKLES)
def test_refuses_other_pickles(name, tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickled(BAD_PICKLES[name], python2=True))
    with pytest.raises(CheckpointError, match="x.pkl: "):
        read_checkpoint(tmp_path / "x.pkl")


def test_one_array_named_often_is_refused(tmp_path):
    once = np.ones(MB, "f4")
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({f"{n}": once for n in range(9)}, 4))
    with pytest.raises(CheckpointError, match="arrays of 37748736 bytes in a file of 419"):
        read_checkpoint(tmp_path / "x.pkl")


@pytest.mark.parametrize("chunk", [1, 7, 1000, 1_000_000])
@pytest.mark.parametrize("scope", ["", "gpu_0/"])
def test_minidb(chunk, scope, tmp_path):
    blobs = {name.replace("gpu_0/", ""): array for name, array in BLOBS.items()}
    blobs["empty"] = np.zeros((0, 3), "f4")
    blobs["scalar"] = np.array(2.5, "f4")
    if chunk == 1:
        blobs = {name: array for name, array in blobs.items() if array.size < 50}
    write_minidb(tmp_path / "x.mdl", blobs, chunk, scope)
    assert_same(read_checkpoint(tmp_path / "x.mdl"), blobs)


def test_other_gpus_keep_their_scope():
    data = b"".join(
        minidb_record(f"gpu_{gpu}/a#%0", blob_proto(f"gpu_{gpu}/a", np.ones(1, "f4"), 0, 1))
        for gpu in (0, 1)
    )
    assert list(read_minidb(data)) == ["a", "gpu_1/a"]


def test_chunks_come_in_any_order():
    array = np.arange(10, dtype="f4").reshape(2, 5)
    chunks = [blob_proto("a", array, begin, min(begin + 3, 10)) for begin in (9, 3, 0, 6)]
    data = b"".join(minidb_record(f"a#%{n}", chunk) for n, chunk in enumerate(chunks))
    assert_same(read_minidb(data), {"a": array})


def tensor_blob(code, dims, *data):
    """A BlobProto of a data type, with its data fields."""
    shape = b"".join(b"\x08" + varint(size) for size in dims)
    content = shape + b"\x10" + varint(code) + b"".join(data)
    return protobuf_bytes(2, b"Tensor") + protobuf_bytes(3, content)


def packed(number, values):
    return protobuf_bytes(number, b"".join(varint(value) for value in values))


HALVES = np.array([1.5, -2.0], "f2")
KINDS = {
    "int32": (2, packed(4, [1, -2]), np.array([1, -2], "i4")),
    "bool": (5, packed(4, [1, 0]), np.array([True, False])),
    "uint8": (6, packed(4, [1, 255]), np.array([1, 255], "u1")),
    "int8": (7, packed(4, [1, -1]), np.array([1, -1], "i1")),
    "uint16": (8, packed(4, [1, 65535]), np.array([1, 65535], "u2")),
    "int16": (9, packed(4, [1, -3]), np.array([1, -3], "i2")),
    "int64": (10, packed(10, [2**40, -1]), np.array([2**40, -1], "i8")),
    "float16": (12, packed(4, HALVES.view("u2").tolist()), HALVES),
    "float16 as bytes": (12, protobuf_bytes(5, HALVES.tobytes()), HALVES),
    "double": (13, protobuf_bytes(9, struct.pack("<2d", 1.5, -2)), np.array([1.5, -2])),
    "float, not packed": (1, b"\x1d" + struct.pack("<f", 1) + b"\x1d" + struct.pack("<f", 2),
                          np.array([1, 2], "f4")),
    "float in pieces": (1, protobuf_bytes(3, struct.pack("<f", 1)) * 2, np.array([1, 1], "f4")),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_data_type(name):
    code, data, expected = KINDS[name]
    found = read_minidb(minidb_record("a", tensor_blob(code, [2], data)))
    assert_same(found, {"a": expected})


GOOD = minidb_record("b", tensor_blob(1, [1], protobuf_bytes(3, bytes(4))))
PASSED_OVER = {
    "string": protobuf_bytes(2, b"std::string") + protobuf_bytes(4, b"content"),
    "no type": protobuf_bytes(1, b"a"),
    "no tensor": protobuf_bytes(2, b"Tensor"),
    "tensor of strings": tensor_blob(4, [1], protobuf_bytes(6, b"text")),
    "tensor of nothing": tensor_blob(0, [0]),
}


@pytest.mark.parametrize("name", PASSED_OVER)
def test_passes_over_what_is_no_tensor_of_numbers(name):
    assert list(read_minidb(minidb_record("a", PASSED_OVER[name]) + GOOD)) == ["b"]
    with pytest.raises(CheckpointError, match="a minidb without tensors"):
        read_minidb(minidb_record("a", PASSED_OVER[name]))


FOUR = protobuf_bytes(3, bytes(4))
BAD_RECORDS = {
    "no length": GOOD[:3],
    "no value": GOOD[:9],
    "cut off": GOOD[:-1],
    "huge key": struct.pack("<ii", 2**31 - 1, 1) + b"ab",
    "huge value": struct.pack("<ii", 1, 2**31 - 1) + b"ab",
    "negative key": struct.pack("<ii", -1, 3) + b"ab",
    "negative value": struct.pack("<ii", 1, -1) + b"ab",
    "no key": struct.pack("<ii", 0, 1) + b"a",
    "key that is no text": struct.pack("<ii", 1, 2) + b"\xff\x10\x01",
    "unknown data type": minidb_record("a", tensor_blob(99, [1], FOUR)),
    "shape too large": minidb_record("a", tensor_blob(1, [2], FOUR)),
    "shape too small": minidb_record("a", tensor_blob(1, [0], FOUR)),
    "huge shape": minidb_record("a", tensor_blob(1, [2**62, 2**62], FOUR)),
    "negative shape": minidb_record("a", tensor_blob(1, [-1, -1], FOUR)),
    "many axes": minidb_record("a", tensor_blob(1, [1] * 200, FOUR)),
    "shape without elements": minidb_record("a", tensor_blob(1, [0, 2**62, 2**62])),
    "part of a number": minidb_record("a", tensor_blob(1, [1], protobuf_bytes(3, bytes(3)))),
    "floats that are varints": minidb_record("a", tensor_blob(1, [1], b"\x18\x01")),
    "integers not packed": minidb_record("a", tensor_blob(2, [1], b"\x20\x01")),
    "integer without end": minidb_record("a", tensor_blob(2, [1], protobuf_bytes(4, b"\xff"))),
    "integer of 11 bytes": minidb_record("a", tensor_blob(2, [1], protobuf_bytes(4, b"\xff" * 11))),
    "too many integers": minidb_record("a", tensor_blob(2, [1], protobuf_bytes(4, bytes(MB)))),
    "far too many": minidb_record("a", tensor_blob(2, [1], protobuf_bytes(4, bytes(16 * MB)))),
    "type that is a number": minidb_record("a", b"\x10" + varint(2**62)),
    "tensor that is a number": minidb_record("a", protobuf_bytes(2, b"Tensor") + b"\x18\x01"),
    "group": minidb_record("a", b"\x0b\x0c"),
    "field longer than its message": minidb_record("a", b"\x0a\x7f\x00"),
    "huge field": minidb_record("a", b"\x0a" + varint(2**63)),
    "short fixed field": minidb_record("a", b"\x0d\x00"),
    "chunk missing": minidb_record("a", blob_proto("a", np.ones(5, "f4"), 3, 5)),
    "chunk twice": minidb_record("a", blob_proto("a", np.ones(5, "f4"), 0, 5)) * 2,
    "chunks of two shapes": minidb_record("a", blob_proto("a", np.ones(4, "f4"), 0, 2))
    + minidb_record("a", blob_proto("a", np.ones((2, 2), "f4"), 2, 4)),
    "huge segment": minidb_record(
        "a", tensor_blob(1, [1], FOUR, protobuf_bytes(11, b"\x08" + varint(2**63)))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_refuses_damaged_minidbs(name):
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as error:
            read_minidb(BAD_RECORDS[name])
        assert len(str(error.value)) < 400
        assert tracemalloc.get_traced_memory()[1] < 100 * MB
    finally:
        tracemalloc.stop()


def test_unpacked_floats_do_not_grow():
    count = 10_000
    data = minidb_record("a", tensor_blob(1, [count], b"\x1d\0\0\x80\x3f" * count))
    tracemalloc.start()
    array = read_minidb(data)["a"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * len(data)
    np.testing.assert_array_equal(array, np.ones(count, "f4"))


def test_more_records_than_a_network_has():
    record = minidb_record("a", protobuf_bytes(2, b"x"))
    with pytest.raises(CheckpointError, match=f"record {MAX_RECORDS + 1}"):
        read_minidb(record * (MAX_RECORDS + 1))


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**32, 2**63 - 1, -1, -(2**63)])
def test_varints(value):
    message = b"\x08" + varint(value)
    (field,) = protobuf.fields(message)
    assert (field[0], protobuf.signed(field[2])) == (1, value)
    numbers = [5, value, -1, value, 300]
    packed = b"".join(map(varint, numbers))
    assert protobuf.integers(packed, np.dtype("<i8")).tolist() == numbers
