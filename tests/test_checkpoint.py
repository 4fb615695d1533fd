"""Any checkpoint by its content; other files by what they are; damaged ones never as anything."""

import gzip
import io
import os
import pickle
import tarfile
import tempfile
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras.zoo.checkpoints.checkpoint import read_checkpoint
from r21d_keras.zoo.errors import CheckpointError
from tests.checkpoint_files import (
    write_caffe2_pickle,
    write_minidb,
    write_torch_legacy,
    write_torch_zip,
)

MB = 2**20
DRAW = np.random.default_rng(0)
ARRAYS = {
    "conv1.weight": DRAW.standard_normal((4, 3, 2)).astype("f4"),
    "bn.weight": DRAW.standard_normal(4).astype("f4"),
    "bn.num_batches_tracked": np.array(300, "i8"),
    "fc.weight": DRAW.standard_normal((9, 9)).astype("f4"),
}
WRITERS = {
    "torch zip": write_torch_zip,
    "torch legacy": write_torch_legacy,
    "caffe2 pickle": write_caffe2_pickle,
    "minidb": lambda path, arrays: write_minidb(path, arrays, chunk=20),
}


def content(writer):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        WRITERS[writer](path, ARRAYS)
        with open(path, "rb") as file:
            return file.read()


CONTENTS = {writer: content(writer) for writer in WRITERS}


def read_bytes(data):
    """`read_checkpoint` of a file with these bytes, with the arrays copied out of its map."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        with open(path, "wb") as file:
            file.write(data)
        return {name: array.copy() for name, array in read_checkpoint(path).items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.parametrize("name", ["x", "x.pth", "x.pkl", "x.mdl", "x.zip", "x.h5"])
@pytest.mark.parametrize("writer", WRITERS)
def test_the_name_does_not_matter(writer, name, tmp_path):
    WRITERS[writer](tmp_path / name, ARRAYS)
    assert_same(read_checkpoint(str(tmp_path / name)), ARRAYS)


@pytest.mark.parametrize("length", [60, 128])  # as bytes "<" of HTML and the first of a pickle
def test_first_blob_with_a_long_name(length):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x")
        write_minidb(path, ARRAYS)
        with open(path, "rb") as file:
            data = file.read()
    (old,) = np.frombuffer(data[:4], "<i4")
    longer = np.int32(length).tobytes() + data[4:8] + b"!" * (length - old) + data[8:]
    assert_same(read_bytes(longer), ARRAYS)


@given(st.data())
@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("writer", WRITERS)
def test_cut_off_anywhere(writer, data):
    whole = CONTENTS[writer]
    size = data.draw(st.integers(0, len(whole) - 1))
    if writer != "minidb":
        with pytest.raises(CheckpointError):
            read_bytes(whole[:size])
        return
    try:  # between two records nothing tells that there were more
        found = read_bytes(whole[:size])
    except CheckpointError:
        return
    assert_same(found, {name: ARRAYS[name] for name in found})


@given(st.data())
@settings(deadline=None, max_examples=250)
@pytest.mark.parametrize("writer", WRITERS)
def test_damaged_anywhere(writer, data):
    changed = bytearray(CONTENTS[writer])
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_bytes(bytes(changed))
    except CheckpointError as error:
        assert len(str(error)) < 600
        return
    assert sum(array.nbytes for array in found.values()) < 4 * len(changed) + MB
    if writer == "torch zip":  # which has checksums
        assert_same(found, ARRAYS)


@given(st.binary(max_size=200))
@settings(deadline=None, max_examples=100)
@pytest.mark.parametrize("start", [b"", b"PK\3\4", b"\x80\2", CONTENTS["torch legacy"][:12]])
def test_noise(start, noise):
    with pytest.raises(CheckpointError):
        read_bytes(start + noise)


@pytest.mark.parametrize("writer", WRITERS)
def test_one_byte_more(writer):
    for data in (CONTENTS[writer] + b"\1", b"\1" + CONTENTS[writer]):
        with pytest.raises(CheckpointError):
            read_bytes(data)


def hdf5():
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["a"] = np.ones(3)
    return stream.getvalue()


def saved(save, *arguments):
    stream = io.BytesIO()
    save(stream, *arguments)
    return stream.getvalue()


def tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pth"))
    return stream.getvalue()


OTHERS = {
    "empty": (b"", "is empty"),
    "hdf5": (hdf5(), "an HDF5 file.*load_weights"),
    "mxnet": (b"\x12\x01\0\0\0\0\0\0" + bytes(20), "MXNet .params.*PyTorch file of the same"),
    "html": (b"\n <!DOCTYPE html><html><body>Sign in", "an HTML or XML page.*dead or asks"),
    "html with a mark": (b"\xef\xbb\xbf<html>", "an HTML or XML page"),
    "xml": (b'<?xml version="1.0"?><Error/>', "an HTML or XML page"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
    "gzip": (gzip.compress(CONTENTS["torch zip"]), "a gzip file.*Unpack it"),
    "tar": (tar(), "a tar archive.*Unpack it"),
    "npy": (saved(np.save, np.ones(3)), ".npy file"),
    "npz": (saved(np.savez, np.ones(3)), r"a zip archive of 'arr_0\.npy'; expected <name>/data"),
    "safetensors": (b"\x40\0\0\0\0\0\0\0{\"a\": {}}", "a safetensors file.*torch.save"),
    "old pickle": (pickle.dumps({"a": 1}, 0), "begins with"),
    "text": (b"404: Not Found", "begins with b'404: Not Found'.*Get the file again"),
    "one byte": (b"\x80", "begins with"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_says_what_another_file_is_and_what_was_expected(name, tmp_path):
    data, match = OTHERS[name]
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match=match) as error:
        read_checkpoint(tmp_path / "x.pth")
    assert str(error.value).startswith(str(tmp_path / "x.pth"))
    assert "expected" in str(error.value)


def test_folder(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder; expected a checkpoint"):
        read_checkpoint(tmp_path)


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "x.pth")


@pytest.mark.parametrize("writer", ["torch zip", "torch legacy", "caffe2 pickle"])
def test_reading_allocates_next_to_nothing(writer, tmp_path):
    WRITERS[writer](tmp_path / "x", {f"{n}": np.ones(MB, "f4") for n in range(8)})
    tracemalloc.start()
    arrays = read_checkpoint(tmp_path / "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(arrays) == 8 and peak < MB


def test_chunks_of_a_minidb_are_joined_once(tmp_path):
    write_minidb(tmp_path / "x", {"a": np.ones(4 * MB, "f4")})
    tracemalloc.start()
    read_checkpoint(tmp_path / "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.1 * os.path.getsize(tmp_path / "x")
