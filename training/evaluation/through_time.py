"""A network through time: its features of a video of any length, a few frames at a time.

Every convolution keeps the frames that its next output still needs, so that a video shown in
blocks gives what it gives as one piece: nothing is computed twice, and memory holds one block.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
import tensorflow as tf

from r21d_keras.layers import FoldedConv3D
from r21d_keras.walk import parts_of

from .protocols import Reach

State = list[tf.Tensor]
"""Frames that are still needed, (1, n, H, W, C), of each place in the network that keeps some."""


@dataclass(frozen=True)
class _Step:
    """One layer of the network, which takes the values of the names `inputs` and gives `output`.

    shapes: (H, W, C) of each input. waits: whether inputs come out of step with each other.
    """

    layer: keras.layers.Layer
    inputs: tuple
    output: object
    shapes: tuple[tuple[int, int, int], ...]
    waits: bool = False

    @property
    def keeps(self) -> int:
        """How many inputs it keeps frames of."""
        if isinstance(self.layer, FoldedConv3D):
            return int(self.layer.kernel_size[0] > 1 or self.layer.strides[0] > 1)
        return len(self.inputs) if self.waits else 0


class ThroughTime:
    """The features of `body`, from clips (1, T, H, W, C) to (1, T', H', W', F), block by block.

    Args:
        body: a `VideoResNet` without its top, or cut before it, that takes clips of any length.

    Raises:
        ValueError: a layer whose work in time is not known, or an input of fixed length.
    """

    def __init__(self, body: keras.Model):
        shape = tuple(body.input.shape)  # (B, None, H, W, C)
        if shape[1] is not None:
            raise ValueError(
                f"{body.name} takes clips of {shape[1]} frames; expected a network for clips of "
                "any length. Build it with None frames; r2d has none such."
            )
        self._input, self._output = id(body.input), id(body.output)
        self._steps, self.reach = _steps(body, self._input)

    @property
    def smallest_block(self) -> int:
        """Frames of a first block with which every layer has something to do."""
        return self.reach.radius + self.reach.stride

    def state_signature(self) -> list[tf.TensorSpec]:
        """What a State is made of."""
        return [tf.TensorSpec((1, None, *shape)) for _, shape in self._kept()]

    def start(self) -> State:
        """The state before the first frame: the zeros that the convolutions pad it with."""
        return [tf.zeros((1, pad, *shape)) for pad, shape in self._kept()]

    def features(self, frames: tf.Tensor, last: tf.Tensor, state: State):
        """The features that the next block completes, and the state after it.

        Args:
            frames: float32 (1, n, H, W, C), normalised, n at least `smallest_block`; after
                the first block also any multiple of `reach.stride`, which completes n / stride
                features.
            last: bool, whether the video ends with them; then all features come out.
            state: of `start`, or of the block before.
        """
        values, after, state = {self._input: frames}, [], list(state)
        for step in self._steps:
            inputs = [values[name] for name in step.inputs]
            kept, state = state[: step.keeps], state[step.keeps :]
            if not kept:
                output = step.layer(inputs if len(inputs) > 1 else inputs[0])
            elif step.waits:
                output, kept = _in_step(step.layer, inputs, kept)
            else:
                output, kept = _convolved(step.layer, inputs[0], last, kept[0])
            values[step.output] = output
            after += kept
        return values[self._output], after

    def _kept(self) -> Iterator[tuple[int, tuple[int, int, int]]]:
        for step in self._steps:
            pad = step.layer.pads[0] if isinstance(step.layer, FoldedConv3D) else 0
            for shape in step.shapes[: step.keeps]:
                yield pad, shape


def _convolved(layer: FoldedConv3D, frames, last, kept):
    """The outputs of a convolution in time that `frames` complete, and what it keeps."""
    kernel, stride, pad = layer.kernel_size[0], layer.strides[0], layer.pads[0]
    frames = tf.concat([kept, frames], axis=1)
    after = tf.where(last, pad, 0)
    frames = tf.pad(frames, [(0, 0), (0, after), (0, 0), (0, 0), (0, 0)])
    # Before the end wait for a whole stride, so that what is kept begins at the next output.
    needed = tf.where(last, kernel, max(kernel, stride))
    count = (tf.shape(frames)[1] - needed) // stride + 1
    used = frames[:, : (count - 1) * stride + kernel]
    return layer.among_neighbours(used), [frames[:, count * stride :]]


def _in_step(layer, inputs, kept):
    """The layer over as many frames as all inputs have, and what is left of each."""
    inputs = [tf.concat(pair, axis=1) for pair in zip(kept, inputs, strict=True)]
    count = tf.reduce_min([tf.shape(frames)[1] for frames in inputs])
    output = layer([frames[:, :count] for frames in inputs])
    return output, [frames[:, count:] for frames in inputs]


def _steps(body: keras.Model, start) -> tuple[list[_Step], Reach]:
    """The layers of `body` in order, composite ones in parts; and how far its output sees."""
    reaches, steps = {start: Reach(1, 0)}, []
    for layer in body.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        names, shapes = tuple(map(id, inputs)), tuple(tuple(t.shape) for t in inputs)
        parts = parts_of(layer)
        for place, part in enumerate(parts, start=1):
            output = id(layer.output) if place == len(parts) else (id(layer.output), place)
            seen = [reaches[name] for name in names]
            steps.append(
                _Step(part, names, output, tuple(s[2:] for s in shapes), len(set(seen)) > 1)
            )
            reaches[output] = _reach(part, seen)
            names = (output,)
            if place < len(parts):
                shapes = (tuple(part.compute_output_shape(shapes[0])),)
    return steps, reaches[id(body.output)]


# Each frame for itself: what these do needs none beside it.
_FRAME_WISE = (
    keras.layers.BatchNormalization,
    keras.layers.ReLU,
    keras.layers.Dropout,
    keras.layers.Add,
)


def _reach(layer, seen: list[Reach]) -> Reach:
    """How far the output of `layer` sees, from how far its inputs do."""
    stride, radius = seen[0].stride, max(reach.radius for reach in seen)
    if isinstance(layer, FoldedConv3D):
        kernel, pad = layer.kernel_size[0], layer.pads[0]
        if kernel == 2 * pad + 1:
            return Reach(stride * layer.strides[0], radius + pad * stride)
    elif isinstance(layer, _FRAME_WISE):
        return Reach(stride, radius)
    raise ValueError(
        f"{layer.name} ({type(layer).__name__}): what it does in time is not known here. Expected "
        "the layers of VideoResNet. Take the clips one by one."
    )
