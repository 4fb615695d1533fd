"""What each opcode of a pickle does to the machine of `unpickler`, as a table of functions."""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from r21d_keras.zoo.errors import CheckpointError

from .messages import shown

MAX_MARKS = 1000  # lists and tuples open at once; a state dict has three
MAX_TEXT = 255  # bytes of an 8-bit string that is text; longer ones are an array's data
# Keys that are numbers: optimizers count their parameters, and before torch 1.6 kept them by
# address, of 48 bits. Larger integers repeat the hashes of smaller ones.
MAX_KEY = sys.hash_info.modulus
MAX_NUMBERED = 10_000  # entries; an R(2+1)D-152 has 1,500 tensors


@dataclass(frozen=True)
class Function:
    """What a name of the table stands for when a pickle may call it."""

    make: Callable


class Buildable:
    """What a pickle may complete with a state: `build(state)` checks and takes it."""

    def build(self, state) -> None:
        """Take the state of a BUILD opcode."""
        raise NotImplementedError


def to_dict(items=None) -> dict:
    """A plain dict of a dict, which it is, or of a list of (key, value) pairs, which it empties.

    So that a file cannot have one long list copied often.
    """
    if type(items) is dict:
        return items
    result = {}
    if type(items) is list:
        for key, value in items:
            _set(result, key, value)
        items.clear()
    elif items is not None:
        raise CheckpointError(f"its pickle makes a dict of a {type(items).__name__}: refused.")
    return result


def _set(target, key, value):  # a tuple of tuples as key could take exponential time to hash
    if type(target) is not dict or type(key) not in (str, int, float, bool, type(None)):
        raise CheckpointError(
            f"its pickle sets a {type(key).__name__} in a {type(target).__name__}; expected "
            "dicts whose keys are text or numbers."
        )
    if type(key) is not str:  # whose hashes are drawn anew in each process
        _check_number(key, target)
    target[key] = value


def _check_number(key, target):
    """Numbers hash as themselves: a file could choose them so that each meets all before it."""
    if type(key) is int and abs(key) >= MAX_KEY or len(target) >= MAX_NUMBERED:
        raise CheckpointError(
            f"its pickle has a dict of {len(target)} entries and the key {shown(key)}; expected "
            f"numbers below {MAX_KEY}, and text as the keys of a dict of more than {MAX_NUMBERED}."
        )


def _set_items(machine):
    items = machine.to_mark()
    for key, value in zip(items[::2], items[1::2], strict=True):
        _set(machine.stack[-1], key, value)


def _set_item(machine):
    value, key = machine.stack.pop(), machine.stack.pop()
    _set(machine.stack[-1], key, value)


def _extend(machine, items):
    if type(machine.stack[-1]) is not list:
        raise CheckpointError("its pickle appends to what is not a list: it is damaged.")
    machine.stack[-1].extend(items)


def _mark(machine):
    if len(machine.marks) == MAX_MARKS:
        raise CheckpointError(f"its pickle is nested deeper than {MAX_MARKS}: no checkpoint's.")
    machine.marks.append(machine.stack)
    machine.stack = []


def _tuple(size):
    def make(machine):
        if size > len(machine.stack):
            raise CheckpointError("its pickle makes a tuple of what is not there: it is damaged.")
        machine.stack[len(machine.stack) - size :] = [tuple(machine.stack[-size:])]

    return make


def _call(machine):
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if not isinstance(function, Function) or type(arguments) is not tuple:
        raise CheckpointError(
            f"its pickle calls a {type(function).__name__}; only names that a checkpoint holds "
            "are called. Nothing in it was run."
        )
    machine.stack.append(function.make(*arguments))


def _build(machine):
    state, target = machine.stack.pop(), machine.stack[-1]
    if isinstance(target, Buildable):
        target.build(state)
    elif type(target) is not dict:  # attributes of an OrderedDict are of no use: _metadata
        raise CheckpointError(f"its pickle gives a {type(target).__name__} a state: refused.")


def _persistent(machine):
    if machine.persistent_load is None or type(machine.stack[-1]) is not tuple:
        raise CheckpointError("its pickle refers to data outside of it that cannot be there.")
    machine.stack.append(machine.persistent_load(machine.stack.pop()))


def _stack_global(machine):
    name, module = machine.stack.pop(), machine.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise CheckpointError("its pickle names a type by what is not text: it is damaged.")
    machine.look_up(module, name)


def _eight_bit(view):
    return str(view, "latin1") if len(view) <= MAX_TEXT else view


def _bytes(view):
    return bytes(view) if len(view) <= MAX_TEXT else view  # a view of few takes more than they do


def _put(layout):
    def put(machine):
        machine.memo[machine.number(layout)] = machine.stack[-1]

    return put


def _push(make):
    def push(machine):
        value = make(machine)  # first: it may end the stack of a tuple
        machine.stack.append(value)

    return push


def _sized(layout, convert):
    return _push(lambda machine: convert(machine.take(machine.number(layout))))


def _text(view):
    return str(view, "utf-8")


# Python's Lib/pickletools.py says what each does.
OPCODES = {
    0x80: lambda machine: machine.take(1),  # PROTO
    0x95: lambda machine: machine.take(8),  # FRAME: a hint for reading ahead
    ord("N"): _push(lambda machine: None),
    0x88: _push(lambda machine: True),
    0x89: _push(lambda machine: False),
    ord("J"): _push(lambda machine: machine.number("<i")),
    ord("K"): _push(lambda machine: machine.number("<B")),
    ord("M"): _push(lambda machine: machine.number("<H")),
    ord("G"): _push(lambda machine: machine.number(">d")),
    0x8A: _sized("<B", lambda view: int.from_bytes(view, "little", signed=True)),  # LONG1
    ord("X"): _sized("<I", _text),
    0x8C: _sized("<B", _text),
    0x8D: _sized("<Q", _text),
    ord("U"): _sized("<B", _eight_bit),  # a str of Python 2
    ord("T"): _sized("<i", _eight_bit),
    ord("C"): _sized("<B", _bytes),
    ord("B"): _sized("<I", _bytes),
    0x8E: _sized("<Q", _bytes),
    0x96: _sized("<Q", _bytes),  # BYTEARRAY8
    ord(")"): _push(lambda machine: ()),
    0x85: _tuple(1),
    0x86: _tuple(2),
    0x87: _tuple(3),
    ord("t"): _push(lambda machine: tuple(machine.to_mark())),
    ord("("): _mark,
    ord("]"): _push(lambda machine: []),
    ord("a"): lambda machine: _extend(machine, [machine.stack.pop()]),
    ord("e"): lambda machine: _extend(machine, machine.to_mark()),
    ord("}"): _push(lambda machine: {}),
    ord("s"): _set_item,
    ord("u"): _set_items,
    ord("q"): _put("<B"),
    ord("r"): _put("<I"),
    0x94: lambda machine: machine.memo.update({len(machine.memo): machine.stack[-1]}),  # MEMOIZE
    ord("h"): _push(lambda machine: machine.memo[machine.number("<B")]),
    ord("j"): _push(lambda machine: machine.memo[machine.number("<I")]),
    ord("c"): lambda machine: machine.look_up(machine.line(), machine.line()),
    0x93: _stack_global,
    ord("R"): _call,
    0x81: _call,  # NEWOBJ: a Namespace
    ord("b"): _build,
    ord("Q"): _persistent,
}
