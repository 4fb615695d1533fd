"""Arrays as TensorFlow's messages hold them, and as signatures describe them."""

from dataclasses import dataclass

import numpy as np

from .messages import MESSAGES

# tensorflow/core/framework/types.proto: DataType by number and name, and the field of a tensor
# that has its values where they are not in tensor_content.
_TYPES = {
    "float32": (1, "DT_FLOAT", "float_val"),
    "int32": (3, "DT_INT32", "int_val"),
    "uint8": (4, "DT_UINT8", "int_val"),
    "string": (7, "DT_STRING", "string_val"),
    "int64": (9, "DT_INT64", "int64_val"),
}
_BY_NUMBER = {number: (kind, field) for kind, (number, _, field) in _TYPES.items()}
_BY_NAME = {name: kind for kind, (_, name, _) in _TYPES.items()}


@dataclass(frozen=True)
class Spec:
    """What a signature says of an input or output. kind: "uint8". shape: -1 is any size."""

    kind: str
    shape: tuple[int, ...] | None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.kind} of any shape"
        return f"{self.kind} ({', '.join('any' if n < 0 else str(n) for n in self.shape)})"


def to_message(array: np.ndarray):
    """A Tensor message of numbers, or of bytes in an array of objects.

    Raises:
        ValueError: numbers of a type that no signature here takes.
    """
    kind = "string" if array.dtype == object else array.dtype.name
    if kind not in _TYPES:
        raise ValueError(f"Arrays of {kind} are not sent; expected one of {', '.join(_TYPES)}.")
    tensor = MESSAGES["Tensor"](dtype=_TYPES[kind][0])
    tensor.tensor_shape.SetInParent()  # there also where it has no dimensions
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if kind == "string":
        tensor.string_val.extend(array.ravel().tolist())
    else:
        tensor.tensor_content = np.ascontiguousarray(array).tobytes()
    return tensor


def from_message(tensor) -> np.ndarray:
    """The array in a Tensor message; bytes are an array of objects.

    Raises:
        ValueError: a type that no signature here has, or values that do not fill the shape.
    """
    if tensor.dtype not in _BY_NUMBER:
        raise ValueError(f"a tensor of TensorFlow's type {tensor.dtype}, which is not known here")
    kind, field = _BY_NUMBER[tensor.dtype]
    shape = tuple(dim.size for dim in tensor.tensor_shape.dim)
    dtype = object if kind == "string" else kind
    if tensor.tensor_content and kind != "string":
        return np.frombuffer(tensor.tensor_content, dtype).reshape(shape)
    values = np.array(list(getattr(tensor, field)), dtype)
    size = int(np.prod(shape))
    if 0 < len(values) < size:  # TensorFlow leaves out what repeats the last value
        values = np.concatenate([values, np.repeat(values[-1:], size - len(values))])
    return values.reshape(shape)


def spec_of_message(info) -> Spec:
    """The Spec that a TensorInfo message tells."""
    kind = _BY_NUMBER.get(info.dtype, (f"type {info.dtype}",))[0]
    shape = tuple(dim.size for dim in info.tensor_shape.dim)
    return Spec(kind, None if info.tensor_shape.unknown_rank else shape)


def spec_of_json(info: dict) -> Spec:
    """The Spec that TensorFlow Serving's JSON tells of an input or output."""
    name = info.get("dtype", "DT_INVALID")  # of the operation that initialises the model
    kind = _BY_NAME.get(name, name)
    shape = info.get("tensor_shape", {})
    sizes = tuple(int(dim["size"]) for dim in shape.get("dim", []))
    return Spec(kind, None if shape.get("unknown_rank") else sizes)
