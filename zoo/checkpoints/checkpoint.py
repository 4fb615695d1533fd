"""Any of the authors' checkpoint files as a dict of numpy arrays, by content and not by name."""

import mmap
import pathlib
import struct

from r21d_keras.zoo.errors import CheckpointError

from .read_caffe2 import read_caffe2_pickle
from .read_minidb import read_minidb
from .read_torch import read_torch_legacy, read_torch_zip
from .unpickler import MAX_GROWTH

EXPECTED = (
    "expected a checkpoint of PyTorch (.pth, a zip file or the format before torch 1.6) or of "
    "Caffe2 (.pkl, .mdl)"
)
HEAD_SIZE = 512  # bytes that tell the format
MAX_KEY = 1024  # bytes of a blob's name
SMALL = 65536  # bytes; below, the growth of a file is not looked at

# The magic number as pickled: a LONG1 of ten bytes.
TORCH_LEGACY = b"\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little")

PICKLES = (b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")  # PROTO, and which

# What a file may be mistaken for: where, which bytes, what it is, what to do.
FOREIGN = (
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", "Pass Keras weights (.weights.h5) to load_weights."),
    (0, b"\x12\x01\0\0\0\0\0\0", "MXNet .params", "Get the PyTorch file of the same network."),
    (0, b"version https://git-lfs", "a Git LFS pointer", "Run `git lfs pull` where it lies."),
    (0, b"<", "an HTML or XML page", "Open its address in a browser: the link is dead or asks."),
    (0, b"\x1f\x8b", "a gzip file", "Unpack it."),
    (0, b"BZh", "a bzip2 file", "Unpack it."),
    (0, b"\xfd7zXZ\0", "an xz file", "Unpack it."),
    (0, b"\x93NUMPY", "a .npy file of one array", "Get the authors' file."),
    (8, b'{"', "a safetensors file", "Save the state dict with torch.save."),
    (257, b"ustar", "a tar archive", "Unpack it; of torch before 0.2, save it again with a later."),
)


def read_checkpoint(path) -> dict:
    """{name: numpy array} of a checkpoint file, with the names in the file.

    PyTorch's zip and legacy formats, Caffe2's pickles and minidb. Wrappers such as "state_dict"
    and a "module." before all names are taken off. Nothing in the file is run, and memory stays
    a small multiple of its size, mostly none: arrays are read-only views of a map of the file,
    which must not be changed while they are used.

    Raises:
        CheckpointError: if it is not one of these, damaged, cut off, or holds more than arrays.
        FileNotFoundError: if it is not there.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder; {EXPECTED}.")
    with path.open("rb") as file:
        size = path.stat().st_size
        if size == 0:
            raise CheckpointError(f"{path} is empty; {EXPECTED}. Get it again.")
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    try:
        arrays = _reader(data)(data)
        claimed = sum(array.nbytes for array in arrays.values())
        if claimed > MAX_GROWTH * size + SMALL:
            raise CheckpointError(f"arrays of {claimed} bytes in a file of {size}: refused.")
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return arrays


def _reader(data):
    """The function that reads this format."""
    head = bytes(data[:HEAD_SIZE])
    if head.startswith(b"PK\3\4"):
        return read_torch_zip
    if TORCH_LEGACY in head[:32]:
        return read_torch_legacy
    if head[:2] in PICKLES:
        return read_caffe2_pickle
    if _is_minidb(head):
        return read_minidb
    for start, magic, what, advice in FOREIGN:
        if head[start:].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(magic):
            raise CheckpointError(f"this is {what}; {EXPECTED}. {advice}")
    raise CheckpointError(f"begins with {head[:16]}; {EXPECTED}. Get the file again.")


def _is_minidb(head):
    """Whether the first record has a name that is text, and a value."""
    if len(head) < 8:
        return False
    key_length, value_length = struct.unpack("<ii", head[:8])
    key = head[8 : 8 + key_length]
    return 0 < key_length <= MAX_KEY and value_length > 0 and key.decode("latin1").isprintable()
