"""PyTorch's files in both formats: as PyTorch itself writes them, and damaged or hostile."""

import argparse
import collections
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from r21d_keras.zoo.checkpoints.checkpoint import read_checkpoint
from r21d_keras.zoo.checkpoints.read_torch import PREFIXES, state_dict
from r21d_keras.zoo.errors import CheckpointError
from tests.checkpoint_files import MAGIC_NUMBER, tensor, write_torch_legacy, write_torch_zip
from tests.pickle_writer import Call, Global, Persistent, pickled

MB = 2**20
DRAW = np.random.default_rng(0)
ARRAYS = {
    "stem.0.weight": DRAW.standard_normal((45, 3, 1, 7, 7)).astype("f4"),
    "stem.1.running_var": DRAW.uniform(size=45).astype("f4"),
    "stem.1.num_batches_tracked": np.array(12345, "i8"),
    "fc.weight": DRAW.standard_normal((8, 512)).astype("f4"),
    "half": DRAW.standard_normal((3, 4)).astype("f2"),
    "double": DRAW.standard_normal(3),
    "empty": np.zeros((0, 4), "f4"),
}
WRITERS = {"zip": write_torch_zip, "legacy": write_torch_legacy}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed on this stack")


@pytest.fixture(params=[True, False], ids=["zip", "legacy"])
def save(request, torch, tmp_path):
    """A function that saves with torch in either format, and says where."""

    def save(value, **options):
        torch.save(
            value, tmp_path / "x.pth", _use_new_zipfile_serialization=request.param, **options
        )
        return tmp_path / "x.pth"

    return save


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model_state", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "model.", "model.module."])
@pytest.mark.parametrize("writer", WRITERS)
def test_reads_both_formats(writer, wrapper, prefix, tmp_path):
    WRITERS[writer](tmp_path / "x.pth", ARRAYS, wrapper, prefix)
    assert_same(read_checkpoint(tmp_path / "x.pth"), ARRAYS)


@pytest.mark.parametrize("writer", WRITERS)
def test_pytorch_reads_what_the_tests_write(writer, torch, tmp_path):
    WRITERS[writer](tmp_path / "x.pth", ARRAYS)
    found = torch.load(tmp_path / "x.pth", weights_only=True)
    assert_same({name: value.numpy() for name, value in found.items()}, ARRAYS)


@pytest.mark.parametrize("writer", WRITERS)
def test_arrays_are_views_of_the_file(writer, tmp_path):
    WRITERS[writer](tmp_path / "x.pth", {"a": np.ones(4 * MB, "f4")})
    tracemalloc.start()
    arrays = read_checkpoint(tmp_path / "x.pth")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MB and not arrays["a"].flags.writeable


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_of_some_keys_stays(prefix, tmp_path):
    arrays = {f"{prefix}a": np.ones(2, "f4"), "b": np.ones(2, "f4")}
    write_torch_zip(tmp_path / "x.pth", arrays)
    assert list(read_checkpoint(tmp_path / "x.pth")) == list(arrays)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_state_dict_of_a_module(protocol, torch, save):
    module = torch.nn.Sequential(torch.nn.Conv3d(3, 4, 3), torch.nn.BatchNorm3d(4))
    path = save(module.state_dict(), pickle_protocol=protocol)
    assert_same(read_checkpoint(path), {k: v.numpy() for k, v in module.state_dict().items()})


def test_every_kind_of_tensor(torch, save):
    base = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4)
    tensors = {
        "parameter": torch.nn.Parameter(base.clone()),
        "transposed": base.permute(2, 0, 1),
        "strided": base[:, ::2, 1::2],
        "offset": base[1, 1:],
        "shared": base.view(-1),
        "scalar": torch.tensor(2.5),
        "counter": torch.tensor(7),
        "int32": torch.tensor([1, -2], dtype=torch.int32),
        "uint8": torch.tensor([1, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False]),
        "half": base.half(),
        "double": base.double(),
        "empty": torch.zeros(0, 3),
        "single": torch.ones(5)[2:3].view(1, 1),
    }
    expected = {key: value.detach().numpy() for key, value in tensors.items()}
    assert_same(read_checkpoint(save(tensors)), expected)


def test_bfloat16_becomes_float32(torch, save):
    values = torch.tensor([[1.0, -2.5], [3.140625, float("inf")]]).bfloat16()
    arrays = read_checkpoint(save({"a": values, "b": values[0]}))
    assert_same(arrays, {"a": values.float().numpy(), "b": values[0].float().numpy()})


def test_checkpoint_of_torchvisions_training_script(torch, save):
    """Its keys, and what other scripts keep beside them."""
    module = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    checkpoint = {
        "model": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": {"milestones": collections.Counter([20, 30])},
        "epoch": torch.tensor(44),
        "best": np.float64(67.5),
        "args": argparse.Namespace(device="cuda", lr=0.01, sizes=[1, (2, 3)]),
    }
    expected = {key: value.detach().numpy() for key, value in module.state_dict().items()}
    assert_same(read_checkpoint(save(checkpoint)), expected)


def test_whole_module_is_refused(torch, save):
    with pytest.raises(CheckpointError, match=r"'torch\.nn\..*torch\.save\(model\.state_dict\(\)"):
        read_checkpoint(save(torch.nn.Linear(3, 2)))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_is_refused(torch, tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), tmp_path / "x.pt")
    with pytest.raises(CheckpointError, match=r"TorchScript.*state_dict\(\)"):
        read_checkpoint(tmp_path / "x.pt")


def test_file_without_checksums_is_refused(torch, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({"a": torch.ones(3)}, tmp_path / "x.pth")
    finally:
        torch.serialization.set_crc32_options(True)
    with pytest.raises(CheckpointError, match=r"set_crc32_options\(False\)"):
        read_checkpoint(tmp_path / "x.pth")


def test_expanded_tensor_is_refused(torch, save):
    with pytest.raises(CheckpointError, match="12 elements .*storage of 3.*clone"):
        read_checkpoint(save({"a": torch.ones(3).expand(4, 3)}))


@pytest.mark.parametrize("value", [[1], {}, {"a": 1, "b": {"c": 2}}, None, "text"], ids=str)
def test_says_what_is_no_state_dict(value):
    with pytest.raises(CheckpointError, match="expected a state dict"):
        state_dict(value)


def write_zip(path, value, members=(), **options):
    """A zip file whose data.pkl is `value`."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        archive.writestr("archive/data.pkl", pickled(value))
        for name, content in members:
            archive.writestr(name, content)


ONES = np.ones(4, "f4")
FLOATS = Global("torch", "FloatStorage")


def storage(count=4, key="0", kind=FLOATS, name="storage"):
    return Persistent((name, kind, key, "cpu", count))


def rebuilt(part, offset=0, size=(4,), stride=(1,)):
    return Call(
        Global("torch._utils", "_rebuild_tensor_v2"), part, offset, size, stride, False, None
    )


BAD_TENSORS = {
    "more elements than the storage has": rebuilt(storage(), 0, (5,)),
    "beyond the storage": rebuilt(storage(), 1),
    "huge stride": rebuilt(storage(), 0, (2,), (2**62,)),
    "stride beyond": rebuilt(storage(), 0, (2,), (4,)),
    "negative stride": rebuilt(storage(), 3, (4,), (-1,)),
    "negative offset": rebuilt(storage(), -1),
    "negative size": rebuilt(storage(), 0, (-1,)),
    "two negative sizes": rebuilt(storage(), 0, (-2, -2), (1, 1)),
    "huge size": rebuilt(storage(), 0, (2**62, 2**62), (0, 0)),
    "huge size without elements": rebuilt(storage(), 0, (0, 2**62, 2**62), (1, 1, 1)),
    "many sizes without elements": rebuilt(storage(), 0, (0,) + (2**15,) * 31, (1,) * 32),
    "stride 0": rebuilt(storage(), 0, (2**40,), (0,)),
    "fewer strides": rebuilt(storage(), 0, (2, 2), (1,)),
    "65 axes": rebuilt(storage(), 0, (1,) * 65, (1,) * 65),
    "size as a list": rebuilt(storage(), 0, [4], (1,)),
    "size of text": rebuilt(storage(), 0, ("4",), (1,)),
    "size of floats": rebuilt(storage(), 0, (4.0,), (1,)),
    "no storage": rebuilt(None),
    "a storage that is a type": rebuilt(FLOATS),
    "negative storage": rebuilt(storage(-1)),
    "huge storage": rebuilt(storage(2**62)),
    "storage larger than its data": rebuilt(storage(5)),
    "storage smaller than its data": rebuilt(storage(3), 0, (3,)),
    "storage of text": rebuilt(storage("4")),
    "storage of no type": rebuilt(storage(kind=None)),
    "storage of another type": rebuilt(storage(kind=Global("torch", "DoubleStorage"))),
    "storage of a foreign type": rebuilt(storage(kind=Global("os", "system"))),
    "storage that is not there": rebuilt(storage(key="1")),
    "storage outside": rebuilt(storage(key="../../../etc/passwd")),
    "storage by number": rebuilt(storage(key=0)),
    "another persistent id": rebuilt(storage(name="module")),
    "a short persistent id": rebuilt(Persistent(("storage", FLOATS))),
    "an empty persistent id": rebuilt(Persistent(())),
    "two types of one storage": rebuilt(storage(), 0, (rebuilt(storage(2, kind="x")),)),
}


@pytest.mark.parametrize("name", BAD_TENSORS)
def test_refuses_tensors_beyond_their_storage(name, tmp_path):
    write_zip(tmp_path / "x.pth", {"a": BAD_TENSORS[name]}, [("archive/data/0", ONES.tobytes())])
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="x.pth: "):
            read_checkpoint(tmp_path / "x.pth")
        assert tracemalloc.get_traced_memory()[1] < MB
    finally:
        tracemalloc.stop()


ONE_STORAGE = ((4, ONES.tobytes()),)  # element count, bytes


def write_legacy(path, value, keys=("7",), storages=ONE_STORAGE, **changes):
    """A legacy file of parts that may contradict each other."""
    machine = {"little_endian": changes.pop("little_endian", True)}
    start = (changes.pop("magic", MAGIC_NUMBER), changes.pop("version", 1001), machine)
    with open(path, "wb") as file:
        for part in (*start, value, list(keys)):
            file.write(pickled(part))
        for count, content in storages:
            file.write(struct.pack("<q", count) + content)


LEGACY = tensor(ONES, "7", (None,))
BAD_LEGACY = {
    "version": {"version": 1002},
    "byte order": {"little_endian": False},
    "keys missing": {"keys": ()},
    "keys twice": {"keys": ("7", "7")},
    "key unknown": {"keys": ("8",)},
    "key by number": {"keys": (7,)},
    "key not text": {"keys": ({},)},
    "too few bytes": {"storages": ((4, ONES.tobytes()[:-1]),)},
    "no bytes": {"storages": ()},
    "other count": {"storages": ((3, ONES.tobytes()),)},
    "negative count": {"storages": ((-1, ONES.tobytes()),)},
    "bytes left over": {"storages": ((4, ONES.tobytes() + b"\0"),)},
    "view beyond": {"value": {"a": tensor(ONES, "7", (("8", 2, 4),))}},
    "view negative": {"value": {"a": tensor(ONES, "7", (("8", -2, 4),))}},
    "view of text": {"value": {"a": tensor(ONES, "7", ("abc",))}},
    "view by number": {"value": {"a": tensor(ONES, "7", (3,))}},
    "short id": {"value": {"a": tensor(ONES, "7")}},
}


@pytest.mark.parametrize("name", BAD_LEGACY)
def test_refuses_legacy_files_that_contradict_themselves(name, tmp_path):
    write_legacy(tmp_path / "x.pth", **{"value": {"a": LEGACY}, **BAD_LEGACY[name]})
    with pytest.raises(CheckpointError, match="x.pth: "):
        read_checkpoint(tmp_path / "x.pth")


def test_storage_views_of_the_legacy_format(tmp_path):
    numbers = np.arange(6, dtype="f4")
    view = rebuilt(Persistent(("storage", FLOATS, "7", "cpu", 6, ("8", 2, 3))), 1, (2,))
    write_legacy(tmp_path / "x.pth", {"a": view}, storages=((6, numbers.tobytes()),))
    assert_same(read_checkpoint(tmp_path / "x.pth"), {"a": numbers[3:5]})
