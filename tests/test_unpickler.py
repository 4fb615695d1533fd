"""Pickles that try to run something, or to fill the memory: refused before either."""

import argparse
import collections
import contextlib
import pickle
import struct
import tracemalloc

import pytest

from r21d_keras.zoo.checkpoints import unpickler
from r21d_keras.zoo.checkpoints.numpy_names import numpy_names
from r21d_keras.zoo.checkpoints.torch_tensors import TORCH_NAMES
from r21d_keras.zoo.checkpoints.unpickler import CONTAINERS, unpickle
from r21d_keras.zoo.errors import CheckpointError
from tests.pickle_writer import Call, Global, Persistent, Raw, pickled

MB = 2**20
SYSTEM = Global("os", "system")


def read(data):
    """With every name that any of the readers admits."""
    return unpickle(data, CONTAINERS | numpy_names(len(data)) | TORCH_NAMES)[0]


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def hostile(command):
    """Pickles that run the shell command when Python's unpickler reads them."""
    imported = Call(Global("builtins", "__import__"), "os")
    shell = Raw(b"(cos\nsystem\n" + text(command))
    return {
        "os.system": Call(SYSTEM, command),
        "posix": Call(Global("posix", "system"), command),
        "eval": Call(Global("builtins", "eval"), f"__import__('os').system({command!r})"),
        "exec": Call(Global("__builtin__", "execfile"), "/dev/null", Call(SYSTEM, command)),
        "nested": Call(Call(Global("builtins", "getattr"), imported, "system"), command),
        "partial": Call(Call(Global("functools", "partial"), SYSTEM, command)),
        "map": Call(Global("builtins", "list"), Call(Global("builtins", "map"), SYSTEM, [command])),
        "stack_global": Raw(
            b"\x8c\x02osq\x01\x8c\x06systemq\x02h\x01h\x02\x93" + text(command) + b"\x85R"
        ),
        "memo": Raw(b"cos\nsystem\nr\xff\xff\0\0j\xff\xff\0\0" + text(command) + b"\x85R"),
        "inst": Raw(b"(" + text(command) + b"ios\nsystem\n"),
        "obj": Raw(shell.opcodes + b"o"),
        "newobj": Raw(b"csubprocess\nPopen\n" + text(command) + b"\x85\x81"),
        "newobj_ex": Raw(
            b"csubprocess\nPopen\n" + text(command) + b"\x85}" + text("shell") + b"\x88s\x92"
        ),
        "dotted": Raw(b"\x8c\x0bcollections\x8c\x13_sys.modules.__class__\x93"),
        "in a dict": {"state_dict": {"fc.weight": Call(SYSTEM, command)}},
        "as state": Call(Global("collections", "OrderedDict"), state=Call(SYSTEM, command)),
        "as argument": Call(Global("torch._utils", "_rebuild_parameter"), Call(SYSTEM, command)),
        "as persistent id": Persistent((Call(SYSTEM, command),)),
        "popped": Raw(b"(cos\nsystem\n" + text(command) + b"\x85R1N"),
    }  # fmt: skip


RUNS_UNDER_PICKLE = [
    "os.system", "posix", "eval", "nested", "partial", "map", "stack_global", "memo", "inst", "obj",
    "in a dict", "as state", "popped",
]  # fmt: skip


@pytest.mark.parametrize("name", hostile(""))
def test_refuses_and_runs_nothing(name, tmp_path):
    marker = tmp_path / "it_ran"
    with pytest.raises(CheckpointError):
        read(pickled(hostile(f"echo > {marker}")[name]))
    assert not marker.exists()


@pytest.mark.parametrize("name", RUNS_UNDER_PICKLE)
def test_those_would_run_in_pythons_unpickler(name, tmp_path):
    marker = tmp_path / "it_ran"
    with contextlib.suppress(pickle.UnpicklingError):  # of what comes after
        pickle.loads(pickled(hostile(f"echo > {marker}")[name]))
    assert marker.exists()


NAMES = [  # what is callable in modules that some names of checkpoints come from, and near misses
    "torch.storage _load_from_bytes", "torch.hub load", "torch._utils _import_dotted_name",
    "torch.jit load", "torch load", "torch._utils _rebuild_tensor_v2.__globals__",
    "torch.nn.modules.container Sequential", "numpy load", "numpy.core.multiarray fromfile",
    "numpy.core.multiarray _reconstruct.__self__", "numpy ndarray.tofile", "numpy core.multiarray",
    "collections namedtuple", "collections OrderedDict.fromkeys", "_codecs lookup",
    "codecs encode", "copy_reg _reconstructor", "copyreg __newobj__", "builtins getattr",
    "argparse FileType", "argparse Namespace.__class__", "__main__ main", " ", "os\0 system",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_refuses_every_other_name(name):
    module, _, function = name.partition(" ")
    with pytest.raises(CheckpointError, match="names|nothing in it was run"):
        read(pickled(Global(module, function)))


def test_says_what_the_pickle_names_and_what_to_do():
    with pytest.raises(CheckpointError, match=r"'os\.system'.*torch\.save\(model\.state_dict\(\)"):
        read(pickled(Call(SYSTEM, "true")))


BESIDE_TENSORS = {
    "torch.device": Call(Global("torch", "device"), "cpu"),
    "torch.float32": Global("torch", "float32"),
    "collections.defaultdict": collections.defaultdict(int),
    "pathlib.PosixPath": Call(Global("pathlib", "PosixPath"), "runs"),
    "__builtin__.set": Call(Global("__builtin__", "set"), [1]),
}


@pytest.mark.parametrize("name", BESIDE_TENSORS)
def test_says_what_lies_beside_the_tensors_and_how_to_save_them_alone(name):
    value = BESIDE_TENSORS[name]
    if isinstance(value, dict):
        data = pickle.dumps({"model": {}, "extra": value}, 2)
    else:
        data = pickled({"model": {}, "extra": value})
    with pytest.raises(CheckpointError, match=rf"names '{name}', .* state dict alone: .*\[KEY\]"):
        read(data)


RECONSTRUCT = Global("numpy.core.multiarray", "_reconstruct")
NDARRAY = Global("numpy", "ndarray")
DTYPE = Global("numpy", "dtype")
FLOAT = Call(DTYPE, "f4", 0, 1, state=(3, "<", None, None, None, -1, -1, 0))
ORDERED = Global("collections", "OrderedDict")
REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def array(state, kind=NDARRAY):
    return Call(RECONSTRUCT, kind, (0,), "b", state=state)


DAMAGED = {
    "call of a dict": Raw(b"}q\0h\0)R"),
    "call of text": Raw(text("os.system") + b")R"),
    "call of a marker": Call(Global("torch", "FloatStorage"), 3),
    "call without a tuple": Raw(b"ccollections\nOrderedDict\n]R"),
    "state of text": Raw(text("x") + b"}b"),
    "state of a function": Raw(b"ccollections\nOrderedDict\n}b"),
    "state of a tuple": Raw(b")}b"),
    "array of a foreign type": array((1, (0,), FLOAT, False, ""), Global("torch", "FloatStorage")),
    "array of objects": array((1, (1,), Call(DTYPE, "O8", 0, 1), False, [None])),
    "array of text": array((1, (1,), Call(DTYPE, "S4", 0, 1), False, "abcd")),
    "array of records": array((1, (1,), Call(DTYPE, "V4", 0, 1), False, "abcd")),
    "dtype by a list": Call(DTYPE, [("a", "O")], 0, 1),
    "dtype with a subtype": Call(DTYPE, "f4", 0, 1, state=(3, "|", FLOAT, (2,), None, -1, -1, 0)),
    "big-endian dtype": Call(DTYPE, "f4", 0, 1, state=(3, ">", None, None, None, -1, -1, 0)),
    "array too short": array((1, (2,), FLOAT, False, "abcd")),
    "array of negative shape": array((1, (-1, -1), FLOAT, False, "abcd")),
    "array of huge shape": array((1, (2**60, 2**60), FLOAT, False, "abcd")),
    "array of no version": array(((1,), FLOAT, False, "abcd")),
    "array without a dtype": array((1, (1,), None, False, "abcd")),
    "encode to utf-7": Call(Global("_codecs", "encode"), "abc", "utf-7"),
    "encode of a number": Call(Global("_codecs", "encode"), 3, "latin1"),
    "encode beyond the file": Raw(
        b"c_codecs\nencode\nq\1" + text("a" * 999) + b"q\2" + text("latin1") + b"q\3"
        + b"h\1h\2h\3\x86R" * 9
    ),
    "too many arguments": Call(ORDERED, [], []),
    "dict of numbers": Call(ORDERED, [1, 2]),
    "dict of text": Call(ORDERED, "ab"),
    "key that is a list": Raw(b"}]Ns"),
    "item of a list": Raw(b"]" + text("a") + b"Ns"),
    "append to a dict": Raw(b"}Na"),
    "extension code": Raw(b"\x82\x01"),
    "extension code of 4 bytes": Raw(b"\x84\x01\0\0\0"),
    "persistent id of protocol 0": Raw(b"Pstorage\n"),
    "persistent id": Persistent(("storage", Global("torch", "FloatStorage"), "0", "cpu", 1)),
    "empty stack": Raw(b""),
    "no mark": Raw(b"t"),
    "no such memo": Raw(b"h\7"),
    "unknown opcode": Raw(b"\xff"),
    "odd items": Raw(b"}(" + text("a") + b"u"),
    "too short a stack": Raw(b"N\x87"),
    "text that is not UTF-8": Raw(b"X\1\0\0\0\xff"),
    "name without an end": Raw(b"c" + b"a" * 10_000),
    "name by number": Raw(b"K\1K\2\x93"),
    "out-of-band buffer": Raw(b"\x97"),
    "set": Raw(b"\x8f(K\1\x90"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_refuses_damaged_and_foreign_pickles(name):
    with pytest.raises(CheckpointError) as error:
        read(pickled(DAMAGED[name]))
    assert len(str(error.value)) < 400


def doubling(times):
    """A tuple of a tuple ..., each twice in the next: 2 ** times leaves when walked."""
    return b")" + b"".join(b"q\0h\0\x86" for _ in range(times))


def many(piece, times=100_000):
    return Raw(piece * times + b"N")


BOMBS = {
    "huge text": Raw(b"X\xff\xff\xff\x7f"),
    "huge text of protocol 4": Raw(b"\x8d" + b"\xff" * 7 + b"\x3f"),
    "huge bytes": Raw(b"B\xff\xff\xff\xff"),
    "huge bytes of protocol 4": Raw(b"\x8e" + b"\xff" * 8),
    "huge bytearray": Raw(b"\x96" + b"\xff" * 7 + b"\x0f"),
    "negative string": Raw(b"T\xff\xff\xff\xff"),
    "huge long": Raw(b"\x8b\xff\xff\xff\x7f"),
    "huge memo": Raw(b"Nr\xff\xff\xff\xffNr\xff\xff\xff\x7f\xff"),
    "huge frame": Raw(b"\x95" + b"\xff" * 8),
    "doubling key": Raw(b"}" + doubling(60) + b"Ns"),
    "doubling name": Raw(doubling(60) + b"q\1h\1\x93"),
    "doubling dtype": Raw(b"cnumpy\ndtype\n" + doubling(60) + b"\x85R"),
    "doubling version": Raw(
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + text("b") + text("b")
        + b"\x87R(" + doubling(60) + b"))))tb"
    ),
    "deep lists": many(b"]"),
    "deep marks": many(b"("),
    "deep tuples": Raw(b")" + b"\x85" * 100_000 + b"q\0\xff"),
    "scalar without end": Call(Global("numpy.core.multiarray", "scalar"), FLOAT, "a" * 5000),
    "copied dict": Raw(
        b"ccollections\nOrderedDict\nq\0](" + b"".join(text(f"{n}") + b"N\x86" for n in range(9999))
        + b"e\x85q\1" + b"h\0h\1R" * 9999 + b"\xff"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_memory_stays_small(name):
    data = pickled(BOMBS[name])
    tracemalloc.start()
    try:
        with contextlib.nullcontext() if name == "deep lists" else pytest.raises(CheckpointError):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "piece", [b"}", b"]", b"(t", b"C\0", b"X\0\0\0\0", b"Nq\0", b")\x85"], ids=repr
)
def test_no_more_objects_than_a_checkpoint_has(piece):
    data = pickled(many(piece, unpickler.MAX_OPCODES))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="more than 500000 opcodes"):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 100 * MB
    finally:
        tracemalloc.stop()


VALUES = [
    None, True, False, 0, 255, 256, 65535, -1, 2**31 - 1, -(2**31), 2**80, -(2**80), 1.5, "", "é",
    "a" * 300, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], [1, [2, (3,)]], {}, {"a": 1},
    {"a": {1: None}, 2.5: [], None: "b"}, ["same", "same"],
]  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_plain_values_are_what_python_reads(value, protocol):
    data = pickle.dumps(value, protocol)
    assert unpickle(b"xyz" + data + b"rest", {}, start=3) == (value, 3 + len(data))
    assert unpickle(memoryview(data), {})[0] == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_containers_become_plain_dicts(protocol):
    value = [
        collections.OrderedDict(a=1, b=2),
        collections.Counter([5, 5]),
        argparse.Namespace(device="cuda"),
    ]
    assert unpickle(pickle.dumps(value, protocol), CONTAINERS)[0] == [{"a": 1, "b": 2}, {5: 2}, {}]


def test_ordered_dict_of_python_2():
    assert read(pickled(Call(ORDERED, [["a", 1], ["b", 2]]), python2=True)) == {"a": 1, "b": 2}


def test_long_strings_are_views():
    data = pickled([b"a" * 255, b"b" * 256], python2=True)
    short, long = read(data)
    assert short == "a" * 255 and isinstance(long, memoryview) and long.obj is data
