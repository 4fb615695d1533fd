"""KServe's own model server with an export in it: its V1 protocol is TensorFlow Serving's REST.

python -m tests.kserve_server NAME VERSION_FOLDER PORT
"""

import base64
import sys

import kserve
import numpy as np
import tensorflow as tf
from kserve.errors import InvalidInput


class Exported(kserve.Model):
    """A SavedModel of `r21d export`, by all its signatures."""

    def __init__(self, name, folder):
        super().__init__(name)
        self._folder = folder

    def load(self):
        self._loaded = tf.saved_model.load(self._folder)
        self.ready = True
        return True

    def predict(self, payload, headers=None, response_headers=None):
        name = payload.get("signature_name", "serving_default")
        if name not in self._loaded.signatures:
            raise InvalidInput(f'Serving signature name: "{name}" not found in signature def')
        function = self._loaded.signatures[name]
        ((key, spec),) = function.structured_input_signature[1].items()
        try:
            rows = [row[key] for row in payload["instances"]]
            answer = function(**{key: tf.constant(_read(rows, spec.dtype), spec.dtype)})
        except (tf.errors.OpError, KeyError, TypeError, ValueError) as error:
            raise InvalidInput(str(error)) from None
        columns = {name: _written(tensor.numpy()) for name, tensor in answer.items()}
        if len(columns) == 1:
            return {"predictions": next(iter(columns.values()))}
        rows = zip(*columns.values(), strict=True)
        return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _read(value, dtype):
    if isinstance(value, list):
        return [_read(part, dtype) for part in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return value


def _written(array):
    if array.dtype == object:
        array = np.vectorize(bytes.decode, otypes=[object])(array)
    return array.tolist()


if __name__ == "__main__":
    model = Exported(*sys.argv[1:3])
    model.load()
    kserve.ModelServer(http_port=int(sys.argv[3]), enable_grpc=False, workers=1).start([model])
