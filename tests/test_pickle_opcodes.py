"""The opcodes that are known, and keys by which a dict could be made to take minutes."""

import pickletools

import pytest

from r21d_keras.zoo.checkpoints import pickle_opcodes
from r21d_keras.zoo.checkpoints.unpickler import CONTAINERS, unpickle
from r21d_keras.zoo.errors import CheckpointError
from tests.pickle_writer import Call, Global, pickled

REPEATED = {"first": 2**61 - 1, "least": 1 - 2**61, "next": 2 * (2**61 - 1), "large": 2**2000}


def read(value):
    return unpickle(pickled(value), CONTAINERS)[0]


@pytest.mark.parametrize("key", REPEATED.values(), ids=REPEATED)
def test_refuses_integer_keys_whose_hashes_repeat(key):
    """A hundred thousand multiples of 2**61 - 1, which all hash as 0, would take minutes."""
    with pytest.raises(CheckpointError, match="a dict of 1 entries and the key .* below 2305843"):
        read({"a": 1, key: None})


@pytest.mark.parametrize("number", [int, float])
def test_refuses_many_keys_that_are_numbers(number):
    """Those that do not hash alike could still be chosen to meet in a dict's table."""
    keys = [number(key) for key in range(pickle_opcodes.MAX_NUMBERED + 1)]
    assert read(dict.fromkeys(keys[:-1])) == dict.fromkeys(keys[:-1])
    pairs = Call(Global("collections", "OrderedDict"), [(key, None) for key in keys])
    for value in (dict.fromkeys(keys), pairs):
        with pytest.raises(CheckpointError, match="a dict of 10000 entries and the key"):
            read(value)


def test_reads_many_keys_that_are_text_and_addresses():
    """Before torch 1.6 optimizers kept their parameters' state by address."""
    value = {94_000_000_000_000 + 64 * n: n for n in range(2000)}
    value |= {f"layer.{n}": n for n in range(12_000)}
    assert read(value) == value


def test_every_opcode_is_in_some_pickle_of_pythons():
    known = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
    assert set(pickle_opcodes.OPCODES) <= set(known)
    refused = {known[code] for code in set(known) - set(pickle_opcodes.OPCODES)}
    assert {"INST", "OBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "LONG4"} <= refused
