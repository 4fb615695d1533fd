"""Reads pickles without running anything in them.

Python's unpickler imports and calls whatever a file names. This one is a machine of its own for
the opcodes that PyTorch, Python 2 and Python 3 write for dicts of tensors. It knows no names but
those of a table, each of which stands for a function or a marker of this package; a file that
names anything else is refused. Bytes of 256 and more stay views of the file, nothing is allocated
by a size that a file claims, and there are no loops to be caught in.
"""

import struct
from collections.abc import Mapping

from r21d_keras.zoo.errors import CheckpointError

from .messages import shown
from .pickle_opcodes import OPCODES, Function, to_dict

# An opcode makes one object of 200 bytes at most, so this bounds what a hostile pickle makes of
# few bytes to 100 MB. The 1,500 tensors of an R(2+1)D-152 and its optimizer's take 200,000.
MAX_OPCODES = 500_000
MAX_GLOBAL = 256  # bytes of a module's or type's name

# What decompressed, widened and shared arrays may take, as a multiple of the file. Widening
# bfloat16 to float32 doubles; compression saves a tenth on weights.
MAX_GROWTH = 4


def unpickle(
    data, names: Mapping[tuple[str, str], object], start: int = 0, persistent_load=None
) -> tuple[object, int]:
    """The value pickled in `data` from byte `start`, and the byte after it.

    Args:
        data: bytes, a memory map or a view of either. Long strings in the value are views of it.
        names: (module, name) -> `Function` or a marker: the only names a pickle may use.
        start: where the pickle begins.
        persistent_load: turns a persistent id (a tuple) into a value; None: there are none.

    Raises:
        CheckpointError: if the pickle is damaged, or names or calls what is not in `names`.
    """
    machine = _Machine(memoryview(data), names, start, persistent_load)
    try:
        return machine.run(), machine.position
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"its pickle is damaged at byte {machine.position} ({type(error).__name__}). "
            "Get the file again."
        ) from error


# Containers of checkpoints as PyTorch's examples and torchvision's training script write them;
# all become plain dicts, and a Namespace an empty one.
CONTAINERS = {
    ("collections", "OrderedDict"): Function(to_dict),
    ("collections", "Counter"): Function(to_dict),
    ("argparse", "Namespace"): Function(to_dict),
}


class _Machine:
    """A stack, a memo and a place in the data; the functions of OPCODES work on them."""

    def __init__(self, data, names, start, persistent_load):
        self.data, self.names, self.position = data, names, start
        self.persistent_load = persistent_load
        self.stack, self.marks, self.memo = [], [], {}

    def run(self):
        for _ in range(MAX_OPCODES):
            at = self.position
            opcode = self.take(1)[0]
            if opcode == ord("."):
                return self.stack.pop()
            if opcode not in OPCODES:
                raise CheckpointError(
                    f"its pickle has the opcode {opcode:#04x} at byte {at}, which no checkpoint "
                    "needs; nothing in it was run. Save a state dict of tensors alone."
                )
            OPCODES[opcode](self)
        raise CheckpointError(f"its pickle has more than {MAX_OPCODES} opcodes: no checkpoint's.")

    def take(self, size):
        """The next `size` bytes, not copied."""
        end = self.position + size
        if size < 0 or end > len(self.data):
            raise CheckpointError(
                f"its pickle asks for {size} bytes at byte {self.position} of {len(self.data)}: "
                "the file is cut off or damaged. Get it again."
            )
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def line(self):
        text = bytes(self.data[self.position : self.position + MAX_GLOBAL])
        self.position += text.index(b"\n") + 1
        return text[: text.index(b"\n")].decode()

    def to_mark(self):
        """What was pushed since the last mark."""
        items, self.stack = self.stack, self.marks.pop()
        return items

    def look_up(self, module, name):
        if (module, name) not in self.names:
            raise CheckpointError(
                f"its pickle names {shown(f'{module}.{name}')}, which no state dict needs; nothing "
                "in it was run. Load the file where it was made and save the state dict alone: "
                "torch.save(model.state_dict(), PATH) of a whole model, torch.save(dict[KEY], "
                "PATH) where it lies among other things."
            )
        self.stack.append(self.names[module, name])
