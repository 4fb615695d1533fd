"""Batching in the test double, as TensorFlow Serving's batching/batching_session.cc does it.

Requests that come together are put together, filled up to the next allowed size with a row of the
last one, run at once, and taken apart. Clips of other sizes fail all of the batch.
"""

import re
import threading
import time

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests import serving_double

LONGEST_S = 60.0


class Batched:
    """A Servable that puts requests together.

    together: how many requests of a signature are waited for; a server waits for a time instead,
    which on a busy machine would be another number each time. runs: (signature, rows) of each call.
    """

    def __init__(self, servable, parameters):
        self._servable, self.signatures = servable, servable.signatures
        self._sizes = [int(size) for size in re.findall(r"allowed_batch_sizes: (\d+)", parameters)]
        self._waiting, self._lock = {}, threading.Lock()
        self.together, self.runs = 1, []

    def replay_warmup(self):
        return self._servable.replay_warmup()

    def close(self):
        self._servable.close()

    def predict(self, request):
        signature = request.model_spec.signature_name or "serving_default"
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        task = {"inputs": inputs, "done": threading.Event()}
        with self._lock:
            tasks = self._waiting.setdefault(signature, [])
            tasks.append(task)
            is_first = len(tasks) == 1
        if is_first:  # it waits for others, and asks for all of them
            until_s = time.monotonic() + LONGEST_S
            while len(tasks) < self.together and time.monotonic() < until_s:
                time.sleep(0.002)
            with self._lock:
                tasks = self._waiting.pop(signature)
            self._run(signature, tasks)
        task["done"].wait()
        if "error" in task:
            raise task["error"]
        return task["answer"]

    def _run(self, signature, tasks):
        try:
            counts = [len(next(iter(task["inputs"].values()))) for task in tasks]
            answer = self._servable.predict(self._merged(signature, tasks, sum(counts)))
            outputs = {name: tf.make_ndarray(proto) for name, proto in answer.outputs.items()}
            ends = np.cumsum(counts)
            for task, count, end in zip(tasks, counts, ends, strict=True):
                task["answer"] = predict_pb2.PredictResponse()
                for name, array in outputs.items():
                    part = array[end - count : end]
                    proto = tf.make_tensor_proto(part.tolist(), part.dtype, part.shape)
                    task["answer"].outputs[name].CopyFrom(proto)
        except serving_double.Refused as error:
            for task in tasks:
                task["error"] = error
        finally:
            for task in tasks:
                task["done"].set()

    def _merged(self, signature, tasks, count):
        """One request of all of them, of an allowed size."""
        size = next((size for size in self._sizes if size >= count), count)
        self.runs.append((signature, size))
        request = predict_pb2.PredictRequest()
        request.model_spec.signature_name = signature
        for name in tasks[0]["inputs"]:
            parts = [task["inputs"][name] for task in tasks]
            if len({part.shape[1:] for part in parts}) > 1:
                raise serving_double.Refused(
                    "FAILED_PRECONDITION",
                    f"Tensors with name '{name}' from different tasks have different shapes and "
                    "padding is turned off.",
                )
            parts += [parts[-1][:1]] * (size - count)
            whole = np.concatenate(parts)
            kind = tf.dtypes.as_dtype(tasks[0]["inputs"][name].dtype)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(whole, kind, whole.shape))
        return request
