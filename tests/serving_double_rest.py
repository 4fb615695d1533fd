"""The REST side of the test double: rows of JSON in and out, as TensorFlow Serving's.

Paths are those of model_servers/http_rest_api_util.cc, formats those of util/json_tensor.cc.
"""

import base64
import binascii
import http.server
import json
import re
import threading

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, model_pb2, predict_pb2

from tests import serving_double

# model_servers/http_server.cc
STATUS = {"OK": 200, "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "NOT_FOUND": 404}
STATUS |= {"RESOURCE_EXHAUSTED": 429, "UNAVAILABLE": 503, "UNIMPLEMENTED": 501}
PATH = re.compile(r"/v1/models/([^/:]+)(?:/versions/(\d+))?(:predict|/metadata)?")


class RestServer(http.server.ThreadingHTTPServer):
    """Answers for a Core of the test double until it is closed."""

    daemon_threads = True

    def __init__(self, core):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.core, self.url = core, f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """Clients that go away are no news here."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        self._reply(self._get)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._reply(lambda: self._post(body))

    def log_message(self, format, *args):
        """Silent: the tests' output is their own."""

    def _reply(self, answer):
        status, text = "OK", ""
        try:
            text = answer()
        except serving_double.Refused as error:
            status, text = error.code, json.dumps({"error": error.message})
        octets = text.encode()
        self.send_response_only(STATUS.get(status, 500))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def _asked(self, kinds):
        found = PATH.fullmatch(self.path)
        if not found or (found[3] or "") not in kinds:
            text = f"Malformed request: {self.command} {self.path}"
            raise serving_double.Refused("INVALID_ARGUMENT", text)
        spec = model_pb2.ModelSpec(name=found[1])
        if found[2]:
            spec.version.value = int(found[2])
        return spec, found[3]

    def _get(self):
        spec, kind = self._asked(("", "/metadata"))
        if not kind:
            return json_format.MessageToJson(
                self.server.core.status(spec), preserving_proto_field_name=True
            )
        answer = self.server.core.metadata(spec)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        as_dict = json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        spec = json_format.MessageToDict(answer.model_spec)
        return json.dumps({"model_spec": spec, "metadata": {"signature_def": as_dict}})

    def _post(self, body):
        spec, _ = self._asked((":predict",))
        request = predict_pb2.PredictRequest(model_spec=spec)
        try:
            asked = json.loads(body)
        except ValueError as error:
            raise _invalid(f"JSON Parse error: {error}") from None
        if not isinstance(asked, dict) or not isinstance(asked.get("instances"), list):
            raise _invalid("Missing 'inputs' or 'instances' key")
        name = asked.get("signature_name", "serving_default")
        request.model_spec.signature_name = name
        signatures = self.server.core.servable(spec)[1].signatures
        if name not in signatures:
            raise _invalid(f'Serving signature name: "{name}" not found in signature def')
        _fill(request, asked["instances"], signatures[name].inputs)
        return json.dumps({"predictions": _rows(self.server.core.predict(request))})


def _invalid(message):
    return serving_double.Refused("INVALID_ARGUMENT", message)


def _fill(request, instances, inputs):
    """Puts rows of JSON into a request, as the types that the signature has."""
    if not instances:
        raise _invalid("No values in 'instances' array")
    if not isinstance(instances[0], dict) or "b64" in instances[0]:
        (only,) = inputs
        instances = [{only: row} for row in instances]
    if any(not isinstance(row, dict) or set(row) != set(inputs) for row in instances):
        raise _invalid(f"Failed to process element: keys must be equal to: {','.join(inputs)}")
    for name, info in inputs.items():
        dtype = tf.dtypes.as_dtype(info.dtype)
        rows = [_octets(row[name]) for row in instances]
        try:
            array = np.array(rows)  # rows of other lengths are an error
            if dtype != tf.string:
                fits = array.dtype.kind in ("iu" if dtype.is_integer else "iuf")
                exact = fits and (array == array.astype(dtype.as_numpy_dtype)).all()
                if not (exact or dtype.is_floating and fits):
                    number = array.flat[0]
                    raise ValueError(f"{number} Type: Number is not of expected type: {dtype.name}")
            elif array.dtype.kind != "S":
                raise ValueError("Type: Number is not of expected type: string")
        except (ValueError, OverflowError) as error:
            raise _invalid(
                f"Failed to process element: 0 key: {name} of 'instances' list. Error: "
                f"INVALID_ARGUMENT: JSON Value: {error}"
            ) from None
        value = np.array(rows, object) if dtype == tf.string else array
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, dtype, array.shape))


def _octets(value):
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (KeyError, TypeError, binascii.Error):
            raise _invalid("Unable to base64 decode") from None
    if isinstance(value, list):
        return [_octets(part) for part in value]
    return value.encode() if isinstance(value, str) else value


def _rows(answer):
    """Outputs as rows; one that is alone comes without its name."""
    columns = {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}
    texts = {
        name: np.vectorize(bytes.decode, otypes=[object])(column).tolist()
        if column.dtype == object
        else column.tolist()
        for name, column in columns.items()
    }
    rows = [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]
    return rows if len(columns) > 1 else [value for row in rows for value in row.values()]
