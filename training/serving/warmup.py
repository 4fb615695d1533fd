"""The requests that TensorFlow Serving answers itself before it takes those of others.

The first request of each shape costs seconds, in which TensorFlow prepares its graph. A server
replays what is in `assets.extra/tf_serving_warmup_requests` first:
https://www.tensorflow.org/tfx/serving/saved_model_warmup. That is a TFRecord file of PredictionLog
messages, of which a request needs five fields; tensorflow-serving-api, which defines them, asks for
a second TensorFlow, so that they are written here.
"""

from pathlib import Path

import cv2
import numpy as np
import tensorflow as tf

from ..records.tfrecord import write_record
from . import names
from .servable import Servable

# tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
_LOG_PREDICT, _PREDICT_REQUEST = 6, 1
_REQUEST_MODEL, _REQUEST_INPUTS = 1, 2
_MODEL_NAME, _MODEL_SIGNATURE = 1, 3
_MAP_KEY, _MAP_VALUE = 1, 2
_LENGTH_DELIMITED = 2  # wire type of messages and strings
MOST_REQUESTS = 1000  # more are an error to TensorFlow Serving
GREY = 128


def write_warmup(folder: Path, servable: Servable, batch_sizes: tuple[int, ...]) -> None:
    """Writes one request for each signature and batch size into the SavedModel in `folder`."""
    with open(folder / names.WARMUP, "wb") as file:
        for signature in names.SIGNATURES[servable.stream]:
            for batch_size in batch_sizes:
                name, tensor = _input(signature, servable, batch_size)
                write_record(file, _prediction_log(servable.variant, signature, name, tensor))


def _input(signature: str, servable: Servable, batch_size: int):
    """Name and value of a signature's input: grey video, no motion, or numbers around the mean.

    Of one value each, with their shape: TensorFlow fills the rest, and the file stays small.
    """
    clips, numbers = (batch_size, servable.clip_frames), servable.preprocessing
    frame = numbers.resized(240, 320)
    if signature == names.FRAMES_BYTES:
        _, octets = cv2.imencode(".jpg", np.full((*frame, 3), GREY, np.uint8))
        return names.FRAMES_BYTES, tf.make_tensor_proto([octets.tobytes()], tf.string, clips)
    if servable.stream == "rgb" and signature != names.CLIPS_FLOAT:
        return names.CLIPS, tf.make_tensor_proto([GREY], tf.uint8, (*clips, *frame, 3))
    return names.CLIPS, tf.make_tensor_proto([0.0], tf.float32, (*clips, *servable.crop))


def _prediction_log(model: str, signature: str, name: str, tensor) -> bytes:
    spec = _field(_MODEL_NAME, model.encode()) + _field(_MODEL_SIGNATURE, signature.encode())
    entry = _field(_MAP_KEY, name.encode()) + _field(_MAP_VALUE, tensor.SerializeToString())
    request = _field(_REQUEST_MODEL, spec) + _field(_REQUEST_INPUTS, entry)
    return _field(_LOG_PREDICT, _field(_PREDICT_REQUEST, request))


def _field(number: int, octets: bytes) -> bytes:
    """A field of a protocol buffer that holds a message, a string or bytes."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(octets)) + octets


def _varint(number: int) -> bytes:
    octets = bytearray()
    while number > 0x7F:
        octets.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*octets, number])
