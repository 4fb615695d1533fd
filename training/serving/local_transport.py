"""A SavedModel of this machine, asked as a server is: what servers are compared with."""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import error_codes_pb2

from ..config import ConfigError
from .tensors import Spec
from .transport import ServerError
from .versions import number_of


def load_saved_model(folder: Path):
    """The SavedModel in a folder, as TensorFlow has it.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # OSError, IndexError and others, by what is damaged
        problem = str(error).strip().splitlines()
        raise ConfigError(
            f"TensorFlow does not read {folder}: {problem[0] if problem else error!r}. Expected a "
            "model of `r21d export`; export it again."
        ) from error


class LocalTransport:
    """A Transport without a server between.

    Args:
        folder: of the version, named by its number.

    Raises:
        ConfigError: as `load_saved_model`.
    """

    sends_pixels = True

    def __init__(self, folder: Path):
        self._version = number_of(folder)
        self._loaded = load_saved_model(folder)

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], timeout_s: float
    ) -> dict[str, np.ndarray]:
        """As Transport says; what Python itself refuses to hand over is INVALID_ARGUMENT too."""
        if signature not in self._loaded.signatures:
            raise ServerError("NOT_FOUND", f"no signature {signature}")
        try:
            answer = self._loaded.signatures[signature](
                **{name: tf.constant(_plain(array)) for name, array in inputs.items()}
            )
        except tf.errors.OpError as error:
            code = error_codes_pb2.Code.Name(error.error_code)
            raise ServerError(code, error.message) from None
        except (TypeError, ValueError) as error:
            raise ServerError("INVALID_ARGUMENT", str(error)) from None
        return {name: tensor.numpy() for name, tensor in answer.items()}

    def signatures(self, timeout_s: float) -> dict[str, tuple[dict[str, Spec], dict[str, Spec]]]:
        """As Transport says."""
        found = {}
        for name, function in self._loaded.signatures.items():
            inputs = {
                key: _spec(spec.dtype, spec.shape)
                for key, spec in function.structured_input_signature[1].items()
            }
            outputs = {
                key: _spec(tensor.dtype, tensor.shape)
                for key, tensor in function.structured_outputs.items()
            }
            found[name] = (inputs, outputs)
        return found

    def versions(self, timeout_s: float, model: str | None = None) -> dict[int | None, str]:
        """As Transport says."""
        return {self._version: "AVAILABLE"}

    def close(self) -> None:
        """As Transport says."""


def _plain(array: np.ndarray):
    """Bytes objects as lists, which TensorFlow takes for strings."""
    return array if array.dtype != object or not array.size else array.tolist()


def _spec(dtype: tf.DType, shape: tf.TensorShape) -> Spec:
    return Spec(dtype.name, tuple(-1 if size is None else size for size in shape.as_list()))
