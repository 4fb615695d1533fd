"""LiteRT's flatbuffer, of 2-D convolutions alone.

LiteRT has a CONV_3D, which XNNPACK does not compute and no quantiser takes. So the network is
written anew for the converter, with each convolution folded as r21d_keras/folding.py explains.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from ..data.pipeline import normalise
from ..serving.names import CLIPS, EMBEDDING, PROBABILITIES
from ..serving.servable import Servable
from .plan import Step, plan_of


def write_litert(
    path: Path,
    servable: Servable,
    precision: str,
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes the model at `path`, with one signature "serving_default".

    Clips are uint8 RGB (B, T, S, S, 3), resized and cropped, or flow in pixels, float32
    (B, T, S, S, 2). T is that of training; B is 1 until the input is resized.

    Args:
        precision: one of table.PRECISIONS.
        calibration: for int8, clips (1, T, S, S, C) as the network takes them.
    """
    module = _Network(servable)
    given = tf.uint8 if servable.stream == "rgb" else tf.float32
    shape = (None, servable.clip_frames, *servable.crop)
    function = tf.function(module, input_signature=[tf.TensorSpec(shape, given, CLIPS)])
    concrete = function.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    # No SELECT_TF_OPS: what LiteRT itself lacks is an error here, not at a user's.
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if precision == "int8":
        converter.representative_dataset = lambda: ([clip] for clip in calibration)
        converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS_INT8)
    path.write_bytes(converter.convert())


class _Network(tf.Module):
    """The network in 2-D convolutions: values are (B * T, H, W, C), then (B, F)."""

    def __init__(self, servable: Servable):
        super().__init__()
        self._numbers, self._steps = servable.preprocessing, plan_of(servable.model)

    def __call__(self, clips):
        clips = normalise(clips, self._numbers)
        _, length, *frame = clips.shape
        values = {CLIPS: tf.reshape(clips, (-1, *frame))}
        lengths = {CLIPS: length}  # frames of each clip in a value
        for step in self._steps:
            taken = [values[source] for source in step.sources]
            length = lengths[step.sources[0]]
            values[step.output], lengths[step.output] = getattr(self, step.operation)(
                step, length, *taken
            )
        return {PROBABILITIES: values[PROBABILITIES], EMBEDDING: values[EMBEDDING]}

    def convolution(self, step: Step, length: int, x):
        (time, *space), (stride, *strides) = step.kernel.shape[:3], step.strides
        frames = (length + 2 * step.pads[0] - time) // stride + 1
        if time == stride == 1:
            y = _convolved(x, step.kernel[0], strides, step.pads[1:])
        elif space == [1, 1] and strides == [1, 1]:
            _, height, width, channels = x.shape
            x = tf.reshape(x, (-1, length, height * width, channels))
            y = _convolved(x, step.kernel[:, 0], (stride, 1), (step.pads[0], 0))
            y = tf.reshape(y, (-1, height, width, y.shape[-1]))
        else:
            y = _convolved(*_stacked(x, step, length, frames), strides, step.pads[1:])
        return y + step.bias, frames

    def relu(self, step: Step, length: int, x):
        return tf.nn.relu(x), length

    def add(self, step: Step, length: int, x, y):
        return x + y, length

    def mean(self, step: Step, length: int, x):
        _, height, width, channels = x.shape
        x = tf.reshape(x, (-1, length * height, width, channels))
        return tf.reduce_mean(x, axis=(1, 2)), length

    def dense(self, step: Step, length: int, x):
        return tf.matmul(x, step.kernel) + step.bias, length

    def softmax(self, step: Step, length: int, x):
        return tf.nn.softmax(x), length


def _convolved(x, kernel, strides, pads):
    """A 2-D convolution of x (N, H, W, C), with zeros at either side."""
    sizes = zip(pads, kernel.shape[:2], strides, strict=True)
    if all(pad == size // 2 and size % 2 == 1 and stride == 1 for pad, size, stride in sizes):
        return tf.nn.conv2d(x, kernel, strides, "SAME")  # the same zeros, and no copy of x
    if any(pads):
        x = tf.pad(x, [(0, 0), *((pad, pad) for pad in pads), (0, 0)])
    return tf.nn.conv2d(x, kernel, strides, "VALID")


def _stacked(x, step: Step, length: int, frames: int):
    """The frames under a kernel of (kt, kh, kw, C, F) as channels, and the kernel for them."""
    time, height, width, channels, filters = step.kernel.shape
    _, rows, columns, _ = x.shape
    x = tf.reshape(x, (-1, length, rows * columns, channels))
    if step.pads[0]:
        x = tf.pad(x, [(0, 0), (step.pads[0],) * 2, (0, 0), (0, 0)])
    last = (frames - 1) * step.strides[0] + 1
    parts = [x[:, start : start + last : step.strides[0]] for start in range(time)]
    x = tf.reshape(tf.concat(parts, axis=-1), (-1, rows, columns, time * channels))
    kernel = step.kernel.transpose(1, 2, 0, 3, 4)  # frame-major, as the channels lie now
    return x, kernel.reshape(height, width, time * channels, filters)
