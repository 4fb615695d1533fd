"""What a pickle of PyTorch's holds: storages of numbers, and tensors that view them."""

import math
from typing import NamedTuple

import numpy as np

from r21d_keras.zoo.errors import CheckpointError

from .messages import shown
from .numpy_names import MAX_DIMS
from .pickle_opcodes import Function

MAX_EMPTY = 2**31  # product of the other axes of a tensor without elements, which numpy checks


class StorageType(NamedTuple):
    """A marker for torch.FloatStorage and its kin: the numbers' type in the file."""

    dtype: np.dtype
    is_bfloat16: bool = False


STORAGE_TYPES = {
    "DoubleStorage": StorageType(np.dtype("<f8")),
    "FloatStorage": StorageType(np.dtype("<f4")),
    "HalfStorage": StorageType(np.dtype("<f2")),
    "BFloat16Storage": StorageType(np.dtype("<u2"), is_bfloat16=True),
    "LongStorage": StorageType(np.dtype("<i8")),
    "IntStorage": StorageType(np.dtype("<i4")),
    "ShortStorage": StorageType(np.dtype("<i2")),
    "CharStorage": StorageType(np.dtype("<i1")),
    "ByteStorage": StorageType(np.dtype("<u1")),
    "BoolStorage": StorageType(np.dtype("?")),
}


class Storage:
    """`count` numbers that tensors view; `array`, 1-D, once their place in the file is known."""

    def __init__(self, kind: StorageType, count: int):
        if not isinstance(kind, StorageType) or type(count) is not int or count < 0:
            raise CheckpointError(
                f"a storage of {shown(count)} elements of {type(kind).__name__}: the file is "
                "damaged. Get it again."
            )
        self.kind, self.count, self.array = kind, count, None

    @property
    def num_bytes(self) -> int:
        """How many bytes of the file it takes."""
        return self.count * self.kind.dtype.itemsize

    def fill(self, data) -> None:
        """Take the storage's bytes, without a copy but for bfloat16, which becomes float32."""
        if len(data) != self.num_bytes:
            raise CheckpointError(
                f"a storage of {self.num_bytes} bytes by the pickle, of {len(data)} by the data: "
                "the file is damaged. Get it again."
            )
        kind = self.kind
        self.array = np.frombuffer(data, kind.dtype) if self.count else np.empty(0, kind.dtype)
        if kind.is_bfloat16:  # bfloat16 is the upper half of a float32
            wide = self.array.astype("<u4")
            wide <<= 16
            self.array = wide.view("<f4")


class Part(NamedTuple):
    """Elements [start, start + count) of a storage."""

    storage: Storage
    start: int
    count: int


class Tensor(NamedTuple):
    """The arguments of torch._utils._rebuild_tensor; offset and stride count elements."""

    part: Part
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def to_array(self) -> np.ndarray:
        """A read-only view of the storage.

        Raises:
            CheckpointError: if it goes beyond the storage or has more elements than that.
        """
        part, offset, size, stride = self
        if not isinstance(part, Part) or part.storage.array is None or not self._are_counts():
            raise CheckpointError("a tensor whose storage or shape is not one: it is damaged.")
        numbers = part.storage.array[part.start : part.start + part.count]
        count = math.prod(size)
        steps = [step if length > 1 else 0 for length, step in zip(size, stride, strict=True)]
        last = sum((length - 1) * step for length, step in zip(size, steps, strict=True))
        others = math.prod(length for length in size if length)
        inside = offset + last < len(numbers) if count else others <= MAX_EMPTY
        if len(numbers) != part.count or count > len(numbers) or not inside:
            raise CheckpointError(
                f"a tensor of {count} elements that goes beyond its storage of {len(numbers)}, or "
                "repeats some of them: damaged, or saved from an expanded tensor (clone it first)."
            )
        if count == 0:
            return np.empty(0, numbers.dtype).reshape(size)
        strides = [step * numbers.itemsize for step in steps]
        return np.lib.stride_tricks.as_strided(numbers[offset:], size, strides, writeable=False)

    def _are_counts(self):
        if type(self.size) is not tuple or type(self.stride) is not tuple:
            return False
        numbers = (self.part.start, self.part.count, self.offset, *self.size, *self.stride)
        return (
            len(self.size) == len(self.stride) <= MAX_DIMS
            and all(type(number) is int for number in numbers)
            and min(numbers) >= 0
        )


def _rebuild(part, offset, size, stride, *_):
    """_rebuild_tensor and _rebuild_tensor_v2: requires_grad, hooks and metadata are of no use."""
    return Tensor(part, offset, size, stride)


def _first(value, *_):
    """A Parameter is its tensor, a torch.Size its tuple."""
    return value


TORCH_NAMES = {
    ("torch._utils", "_rebuild_tensor"): Function(_rebuild),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild),
    ("torch._utils", "_rebuild_parameter"): Function(_first),
    ("torch._utils", "_rebuild_parameter_with_state"): Function(_first),
    ("torch", "Size"): Function(_first),
    **{("torch", name): kind for name, kind in STORAGE_TYPES.items()},
}
