"""A row of a small network, for tests of the cache: its file is whatever the test serves."""

import dataclasses
import functools
import hashlib
import pathlib
import tempfile

import numpy as np

from r21d_keras.zoo import cache
from r21d_keras.zoo.download import Patience
from r21d_keras.zoo.weights import WEIGHTS
from tests import checkpoint_files, named_checkpoints

VARIANT = "f_r2d_10"  # 5 million numbers: of the smallest
NUM_CLASSES = 5
NAME = "net.pkl"
QUICK = Patience(tries=2, backoff_s=0.001)


def row_of(**fields):
    """A row of that network, in VMZ's format, with these fields."""
    known = {"variant": VARIANT, "tag": "test_16f", "num_classes": NUM_CLASSES, "file_hash": None}
    (vmz,) = (row for row in WEIGHTS if row.name == "f_r2d_18.kinetics400_16f")
    return dataclasses.replace(vmz, **{**known, **fields})


@functools.cache
def arrays():
    """The network's arrays under PyTorch's names."""
    return named_checkpoints.seeded(
        named_checkpoints.torch_shapes(VARIANT, num_classes=NUM_CLASSES)
    )


@functools.cache
def checkpoint(in_order=True, with_classifier=True) -> bytes:
    """The file that VMZ's tools make of them; not `in_order`: another file of the same numbers."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net.pkl")
        blobs = named_checkpoints.caffe2_blobs(arrays())
        if not with_classifier:
            blobs = {name: blob for name, blob in blobs.items() if "last_out" not in name}
        names = list(blobs) if in_order else list(reversed(blobs))
        checkpoint_files.write_caffe2_pickle(path, {name: blobs[name] for name in names})
        return path.read_bytes()


@functools.cache
def sha256() -> str:
    """Hash of that file."""
    return hashlib.sha256(checkpoint()).hexdigest()


def small_file(seed) -> bytes:
    """A checkpoint of 100 kB of noise: of no network, but one."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "net.pkl")
        noise = np.random.default_rng(seed).standard_normal(25_000).astype("float32")
        checkpoint_files.write_caffe2_pickle(path, {"conv1_w": noise})
        return path.read_bytes()


BODY, OTHER = small_file(0), small_file(1)
SHA256, SHA256_OTHER = (hashlib.sha256(body).hexdigest() for body in (BODY, OTHER))


def get(row):
    """The original file of `row`, asked for without much patience."""
    return cache.original_file(row, patience=QUICK)


def assert_says(error, *parts):
    """The message of a raised error has each of the parts."""
    for part in parts:
        assert str(part) in str(error.value), (part, str(error.value))
