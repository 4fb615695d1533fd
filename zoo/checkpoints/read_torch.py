"""PyTorch checkpoints without PyTorch: the zip format (1.6 and later) and the one before it."""

import struct

from r21d_keras.zoo.errors import CheckpointError

from .messages import listed, shown
from .numpy_names import numpy_names
from .torch_tensors import TORCH_NAMES, Part, Storage, Tensor
from .unpickler import CONTAINERS, unpickle
from .zip_members import Archive

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # torch/serialization.py
PROTOCOL_VERSION = 1001

# Under which key training scripts keep the weights: torchvision's references "model", GluonCV and
# kenshohara "state_dict", PyTorchVideo "model_state".
WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
# Of DistributedDataParallel, torch.compile, and a Lightning module with the network in `model`.
PREFIXES = ("module.", "_orig_mod.", "model.")


def read_torch_zip(data) -> dict:
    """{key: array} of the state dict in a zip file by torch.save (torch 1.6 and later).

    A wrapper (`WRAPPERS`) and a prefix of all keys (`PREFIXES`) are taken off. The arrays are
    read-only views of `data`; bfloat16 becomes float32.

    Raises:
        CheckpointError: if it is another kind of zip, damaged, or holds no state dict.
    """
    archive = Archive(data)
    root = _root(archive)
    if f"{root}/byteorder" in archive.members:
        order = bytes(archive.read(f"{root}/byteorder"))
        if order != b"little":
            raise CheckpointError(f"saved with byte order {order[:10]}; expected little-endian.")
    storages = {}

    def persistent_load(saved_id):
        _, kind, key, _, count = _checked_id(saved_id, 5)
        if key not in storages:
            storages[key] = Storage(kind, count)
            storages[key].fill(archive.read(f"{root}/data/{key}"))
        return _whole(storages[key], kind, count)

    names = _names(data)
    value, _ = unpickle(archive.read(f"{root}/data.pkl"), names, persistent_load=persistent_load)
    return state_dict(value)


def read_torch_legacy(data) -> dict:
    """{key: array} of the state dict in a file by torch.save before torch 1.6.

    Such a file is five pickles (magic number, protocol version, facts about the machine, the
    object, the storages' keys), then each storage's element count (int64) and bytes. Else as
    `read_torch_zip`.
    """
    data = memoryview(data)
    magic, position = unpickle(data, {})
    version, position = unpickle(data, {}, position)
    if magic != MAGIC_NUMBER or version != PROTOCOL_VERSION:
        raise CheckpointError(
            f"a PyTorch file of version {shown(version)}; expected {PROTOCOL_VERSION}."
        )
    machine, position = unpickle(data, {}, position)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise CheckpointError("saved on a big-endian machine; expected little-endian numbers.")
    storages = {}

    def persistent_load(saved_id):
        _, kind, key, _, count, view = _checked_id(saved_id, 6)
        storage = storages.setdefault(key, Storage(kind, count))
        whole = _whole(storage, kind, count)
        return whole if view is None else Part(storage, *view[1:])

    names = _names(data)
    value, position = unpickle(data, names, position, persistent_load)
    keys, position = unpickle(data, {}, position)
    _fill(storages, keys, data, position)
    return state_dict(value)


def state_dict(value) -> dict:
    """{key: array} of what torch.save was given: a state dict, or one in a wrapper.

    Raises:
        CheckpointError: if there is no dict of tensors in it.
    """
    if not isinstance(value, dict):
        raise CheckpointError(
            f"torch.save was given a {type(value).__name__.lower()}; expected a state dict. "
            "Save model.state_dict()."
        )
    for wrapper in WRAPPERS:
        if isinstance(value.get(wrapper), dict):
            value = value[wrapper]
            break
    tensors = {
        key: tensor
        for key, tensor in value.items()
        if isinstance(tensor, Tensor) and type(key) is str
    }
    if not tensors:
        raise CheckpointError(
            f"a dict without tensors (its keys: {listed(value)}); expected a state dict, or one "
            f"under {', '.join(WRAPPERS)}. Save model.state_dict()."
        )
    prefix = _shared_prefix(tensors)
    return {key.removeprefix(prefix): tensor.to_array() for key, tensor in tensors.items()}


def _shared_prefix(keys) -> str:
    """What all keys begin with: `PREFIXES` in any order."""
    shared = ""
    for _ in PREFIXES:  # not for as long as there are any: a file could have a million
        for prefix in PREFIXES:
            if all(key.startswith(shared + prefix) for key in keys):
                shared += prefix
    return shared


def _names(data):
    """numpy's as well: training scripts keep the best accuracy so far as a numpy number."""
    return CONTAINERS | numpy_names(len(data)) | TORCH_NAMES


def _root(archive):
    """The folder of data.pkl, which torch.save names after the file."""
    roots = [
        name.removesuffix("/data.pkl")
        for name in archive.members
        if name.endswith("/data.pkl") and name.count("/") == 1
    ]
    if len(roots) == 1:
        if f"{roots[0]}/constants.pkl" in archive.members:
            raise CheckpointError(
                "a TorchScript archive; expected a state dict. Save model.state_dict()."
            )
        return roots[0]
    raise CheckpointError(
        f"a zip archive of {listed(archive.members, 4)}; expected <name>/data.pkl as torch.save "
        "writes it. If the checkpoint lies in the archive, unpack it first."
    )


def _checked_id(saved_id, length):
    if len(saved_id) != length or saved_id[0] != "storage" or type(saved_id[2]) is not str:
        raise CheckpointError(
            "its pickle refers to what is not a storage: a whole model, or damaged. Save "
            "model.state_dict()."
        )
    return saved_id


def _whole(storage, kind, count):
    if storage.kind is not kind or storage.count != count:
        raise CheckpointError("two tensors disagree on their storage: the file is damaged.")
    return Part(storage, 0, count)


def _fill(storages, keys, data, position):
    """Give the storages their bytes, which lie in the order of `keys` to the end of the file."""
    is_list = type(keys) is list and all(type(key) is str for key in keys)
    if not is_list or sorted(keys) != sorted(storages):
        raise CheckpointError("its list of storages is not that of its tensors: it is damaged.")
    for key in keys:
        storage = storages[key]
        count = struct.unpack("<q", data[position : position + 8].tobytes().ljust(8, b"\xff"))[0]
        end = position + 8 + storage.num_bytes
        if count != storage.count or end > len(data):
            raise CheckpointError(
                f"storage {shown(key)} has {count} elements at byte {position} of {len(data)}; "
                f"expected {storage.count}: cut off or damaged. Get the file again."
            )
        storage.fill(data[position + 8 : end])
        position = end
    if position != len(data):
        raise CheckpointError(f"{len(data) - position} bytes after its end. Get the file again.")
