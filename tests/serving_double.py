"""A test double of TensorFlow Serving: its gRPC and REST interfaces on its own definitions.

Not TensorFlow Serving, of which no binary can be installed where these tests run. Messages and
services are those of tensorflow-serving-api, models run in TensorFlow's C++ session without
Python's checks before it, and codes and texts of errors are those of TensorFlow Serving's sources
(servables/tensorflow/predict_util.cc, model_servers/get_model_status_impl.cc, core/). It watches
folders for versions, and replays the warm-up file of each before it answers.

    python -m tests.serving_double NAME=FOLDER [GRPC_PORT]    # until standard input ends
"""

import contextlib
import json
import math
import os
import pathlib
import sys
import threading
from concurrent import futures

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

from r21d_keras.training.records.tfrecord import read_record
from r21d_keras.training.serving.deployment import batching_parameters
from r21d_keras.training.serving.names import BATCHING, SAVED_MODEL, WARMUP

STATES = get_model_status_pb2.ModelVersionStatus.State
CODES = {code.value[0]: code.name for code in grpc.StatusCode}
NUMBERS = {name: number for number, name in CODES.items()}
POLL_S = 0.05
NUM_THREADS = 8
MOST_VALUES = 1 << 25  # of a tensor that says fewer; TensorFlow itself asks its allocator
for _name in ("NO_PROXY", "no_proxy"):  # its clients find it, whatever proxy is set
    os.environ.setdefault(_name, "127.0.0.1")


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code, self.message = code, message


class Servable:
    """One version of a model, in a session of TensorFlow's."""

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._session = tf.compat.v1.Session(graph=tf.Graph())
        with self._session.graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(folder))
        self.signatures = dict(loaded.signature_def)
        self._calls, self._lock = {}, threading.Lock()

    def replay_warmup(self):
        """How many requests of the warm-up file were answered."""
        with contextlib.suppress(FileNotFoundError), open(self._folder / WARMUP, "rb") as file:
            for count in range(1001):  # one more than TensorFlow Serving takes
                record = read_record(file)
                if record is None:
                    return count
                log = prediction_log_pb2.PredictionLog.FromString(record)
                self.predict(log.predict_log.request)
            raise Refused("INVALID_ARGUMENT", "Number of warmup records exceeds the maximum")
        return 0

    def predict(self, request):
        name = request.model_spec.signature_name or "serving_default"
        if name not in self.signatures:
            raise Refused("FAILED_PRECONDITION", f'Serving signature key "{name}" not found.')
        expected, given = set(self.signatures[name].inputs), set(request.inputs)
        if expected != given:
            raise Refused(
                "INVALID_ARGUMENT",
                f"input size does not match signature. Sent extra: {given - expected}. Missing but "
                f"required: {expected - given}.",
            )
        feeds, outputs, call = self._call(name)
        try:
            values = call(*(_array(request.inputs[key]) for key in feeds))
        except tf.errors.OpError as error:
            raise Refused(CODES[error.error_code], error.message) from None
        except (ValueError, TypeError) as error:  # a tensor that contradicts itself
            raise Refused("INVALID_ARGUMENT", str(error)) from None
        answer = predict_pb2.PredictResponse()
        for key, value in zip(outputs, values, strict=True):
            # As fields, not as bytes: so does TensorFlow Serving.
            proto = tf.make_tensor_proto(value.tolist(), value.dtype, value.shape)
            answer.outputs[key].CopyFrom(proto)
        return answer

    def close(self):
        self._session.close()

    def _call(self, name):
        """Names of inputs and outputs, and the session's function, which looks at nothing."""
        with self._lock:
            if name not in self._calls:
                signature = self.signatures[name]
                options = config_pb2.CallableOptions(
                    feed=[info.name for info in signature.inputs.values()],
                    fetch=[info.name for info in signature.outputs.values()],
                )
                call = self._session._make_callable_from_options(options)
                self._calls[name] = (list(signature.inputs), list(signature.outputs), call)
            return self._calls[name]


def _array(proto):
    """The array of a tensor, if it is one: a few bytes may say that they are a terabyte."""
    shape = [dim.size for dim in proto.tensor_shape.dim]
    filled = math.prod(shape) > MOST_VALUES and not proto.tensor_content
    if min(shape, default=0) < 0 or filled:
        raise ValueError(f"tensor parsing error: shape {shape}")
    return tf.make_ndarray(proto)


class Core:
    """Models by name, each a folder that is watched; the latest versions are served.

    num_versions: how many of the latest. warmed: requests replayed of each (name, version).
    """

    def __init__(self, models, num_versions=1, wrap=lambda servable: servable):
        self._folders = {name: pathlib.Path(folder) for name, folder in models.items()}
        self._num_versions, self._wrap = num_versions, wrap
        self._served, self._status, self.warmed = {}, {}, {}
        self._lock, self._closing = threading.Lock(), threading.Event()
        self.poll()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def servable(self, spec):
        """(version, Servable) that a ModelSpec means."""
        with self._lock:
            there = [key for key in self._served if key[0] == spec.name]
            if spec.HasField("version"):
                key, shown = (spec.name, spec.version.value), f"Specific({spec.name}, "
                shown += f"{spec.version.value})"
            else:
                key, shown = max(there, default=None), f"Latest({spec.name})"
            if key not in self._served:
                raise Refused("NOT_FOUND", f"Servable not found for request: {shown}")
            return key[1], self._served[key]

    def status(self, spec):
        answer = get_model_status_pb2.GetModelStatusResponse()
        known = self._status.copy()  # at once: the thread that watches adds to it
        found = {key[1]: row for key, row in known.items() if key[0] == spec.name}
        asked = spec.version.value if spec.HasField("version") else None
        if asked is not None and asked not in found:
            raise Refused("NOT_FOUND", f"Could not find version {asked} of model {spec.name}")
        if not found:
            raise Refused("NOT_FOUND", f"Could not find any versions of model {spec.name}")
        for version, (state, code, message) in found.items():
            if asked in (None, version):
                row = answer.model_version_status.add(version=version, state=STATES.Value(state))
                row.status.error_code, row.status.error_message = NUMBERS[code], message
        return answer

    def metadata(self, spec, fields=("signature_def",)):
        if list(fields) != ["signature_def"]:
            raise Refused("INVALID_ARGUMENT", f"Metadata field {list(fields)} is not supported")
        version, servable = self.servable(spec)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name, answer.model_spec.version.value = spec.name, version
        signatures = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def predict(self, request):
        version, servable = self.servable(request.model_spec)
        answer = servable.predict(request)
        answer.model_spec.name = request.model_spec.name
        answer.model_spec.signature_name = request.model_spec.signature_name
        answer.model_spec.version.value = version
        return answer

    def close(self):
        self._closing.set()
        self._thread.join()
        for servable in self._served.values():
            servable.close()

    def poll(self):
        """Takes up what versions there are: new ones first, then old ones go."""
        aspired = set()
        for name, folder in self._folders.items():
            numbers = [int(path.name) for path in folder.glob("*") if path.name.isdecimal()]
            aspired |= {(name, number) for number in sorted(numbers)[-self._num_versions :]}
        for key in sorted(aspired - set(self._status)):
            self._load(key)
        for key in set(self._served) - aspired:
            with self._lock:
                old = self._served.pop(key)
                self._status[key] = ("END", "OK", "")
            old.close()

    def _load(self, key):
        folder = self._folders[key[0]] / str(key[1])
        self._status[key] = ("LOADING", "OK", "")
        try:
            if not (folder / SAVED_MODEL).is_file():
                raise Refused("NOT_FOUND", f"Could not find SavedModel at {folder}")
            servable = self._wrap(Servable(folder))
            self.warmed[key] = servable.replay_warmup()
        except Refused as error:
            self._status[key] = ("END", error.code, error.message)
            return
        with self._lock:
            self._served[key] = servable
            self._status[key] = ("AVAILABLE", "OK", "")

    def _watch(self):
        while not self._closing.wait(POLL_S):
            self.poll()


class _Services(
    prediction_service_pb2_grpc.PredictionServiceServicer,
    model_service_pb2_grpc.ModelServiceServicer,
):
    def __init__(self, core):
        self._core = core

    def Predict(self, request, context):
        return self._answer(context, self._core.predict, request)

    def GetModelMetadata(self, request, context):
        fields = request.metadata_field
        return self._answer(context, self._core.metadata, request.model_spec, fields)

    def GetModelStatus(self, request, context):
        return self._answer(context, self._core.status, request.model_spec)

    @staticmethod
    def _answer(context, ask, *arguments):
        try:
            return ask(*arguments)
        except Refused as error:
            context.abort(getattr(grpc.StatusCode, error.code), error.message)


class Double:
    """The test double, running. grpc, rest: its URLs. core: its Core."""

    def __init__(self, models, port=0, **options):
        from tests.serving_double_rest import RestServer

        self.core = Core(models, **options)
        limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._pool = futures.ThreadPoolExecutor(NUM_THREADS)
        self._server = grpc.server(self._pool, options=[*limits, ("grpc.so_reuseport", 0)])
        services = _Services(self.core)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(services, self._server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(services, self._server)
        self.grpc = f"grpc://127.0.0.1:{self._server.add_insecure_port(f'127.0.0.1:{port}')}"
        self._server.start()
        self._rest = RestServer(self.core)
        self.rest = self._rest.url

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.stop(0).wait()
        self._rest.close()
        self._pool.shutdown()
        self.core.close()


def warmed_up_little(folder):
    """The folder, for exports that are warmed up for one batch size."""
    folder.mkdir(exist_ok=True)
    (folder / BATCHING).write_text(batching_parameters((1,)))
    return folder


def main(model, port="0"):
    name, _, folder = model.partition("=")
    with Double({name: folder}, int(port)) as double:
        print(json.dumps({"grpc": double.grpc, "rest": double.rest}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    from tests import serving_double  # as the REST side knows it: one class Refused

    serving_double.main(*sys.argv[1:])
