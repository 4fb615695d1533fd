"""Checkpoint files as PyTorch and Caffe2 write them, in a pickle or a minidb; without either."""

import collections
import struct
import zipfile

import numpy as np

from tests.pickle_writer import Call, Global, Persistent, pickled, write_pickle

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # torch/serialization.py
STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}


def write_torch_zip(path, arrays, wrapper=None, prefix=""):
    """A state dict as torch.save writes it since 1.6: `prefix` before all keys, under `wrapper`."""
    storages = {str(number): array for number, array in enumerate(arrays.values())}
    value = _state_dict(arrays, storages, wrapper, prefix, ())
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        archive.writestr("archive/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())
        archive.writestr("archive/version", "3\n")


def write_torch_legacy(path, arrays, wrapper=None, prefix=""):
    """The same as torch.save wrote it before 1.6."""
    first = 94_000_000_000_000  # keys were addresses
    storages = {str(first + 64 * number): array for number, array in enumerate(arrays.values())}
    value = _state_dict(arrays, storages, wrapper, prefix, (None,))
    sizes = {"short": 2, "int": 4, "long": 4}
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    with open(path, "wb") as file:
        for part in (MAGIC_NUMBER, 1001, machine, value, sorted(storages)):
            file.write(pickled(part))
        for key in sorted(storages):
            file.write(struct.pack("<q", storages[key].size))
            file.write(storages[key].tobytes())


def write_caffe2_pickle(path, blobs, extra=None):
    """{"blobs": blobs} as Python 2 pickled it; `extra`: blobs that are no arrays."""
    with open(path, "wb") as file:
        write_pickle(file, {"blobs": {**(extra or {}), **blobs}}, python2=True)


def write_minidb(path, blobs, chunk=1_000_000, scope="gpu_0/"):
    """A minidb as Caffe2's predictor exporter writes it: the nets' definition, then the blobs."""
    with open(path, "wb") as file:
        meta = _text(1, "!!META_NET_DEF") + _text(2, "std::string") + _text(4, "nets" * 5)
        file.write(minidb_record("!!META_NET_DEF", meta))
        for name, array in blobs.items():
            for number, begin in enumerate(range(0, max(array.size, 1), chunk)):
                blob = blob_proto(scope + name, array, begin, min(begin + chunk, array.size))
                file.write(minidb_record(f"{scope}{name}#%{number}", blob))


def minidb_record(key, value) -> bytes:
    """A key and a value with their lengths before them."""
    return struct.pack("<ii", len(key), len(value)) + key.encode() + value


def blob_proto(name, array, begin, end, dims=None) -> bytes:
    """A serialized BlobProto with the elements [begin, end) of a float32 or int64 array."""
    numbers = array.reshape(-1)[begin:end]
    dims = b"".join(_field(1, 0) + varint(size) for size in dims or array.shape)
    if array.dtype == np.int64:
        packed = b"".join(varint(int(number)) for number in numbers)
        kind, data = 10, protobuf_bytes(10, packed)
    else:
        kind, data = 1, protobuf_bytes(3, numbers.astype("<f4").tobytes())
    segment = _field(1, 0) + varint(begin) + _field(2, 0) + varint(end)
    parts = [dims, _field(2, 0) + varint(kind)]
    parts += [data, _text(7, name)] if kind == 1 else [_text(7, name), data]
    parts += [protobuf_bytes(11, segment)]
    return _text(1, name) + _text(2, "Tensor") + protobuf_bytes(3, b"".join(parts))


def protobuf_bytes(number, content) -> bytes:
    """A length-delimited field."""
    return _field(number, 2) + varint(len(content)) + content


def varint(value) -> bytes:
    """Protobuf's integer; negative ones as 64 bits."""
    value &= 0xFFFFFFFFFFFFFFFF
    octets = bytearray()
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def _text(number, text):
    return protobuf_bytes(number, text.encode())


def _field(number, wire):
    return varint(number << 3 | wire)


def _state_dict(arrays, storages, wrapper, prefix, view):
    keys = dict(zip(arrays, storages, strict=True))
    tensors = collections.OrderedDict(
        (prefix + name, tensor(array, keys[name], view)) for name, array in arrays.items()
    )
    return {"epoch": 3, wrapper: tensors} if wrapper else tensors


def tensor(array, key, view=(), offset=0) -> Call:
    """A pickled tensor of the storage `key`; `view`: what follows the number of elements there."""
    kind = Global("torch", STORAGES[array.dtype.name])
    storage = Persistent(("storage", kind, key, "cpu", array.size, *view))
    stride = tuple(step // array.itemsize for step in array.strides)
    hooks = Call(Global("collections", "OrderedDict"))
    rebuild = Global("torch._utils", "_rebuild_tensor_v2")
    return Call(rebuild, storage, offset, array.shape, stride, False, hooks)
