"""Checks within the graph: what cannot be answered is INVALID_ARGUMENT with the fault by name.

They hold in every runtime that executes the graph, whatever its server looks at itself.
"""

import tensorflow as tf

from .limits import Limits


def dimensions(tensor: tf.Tensor, name: str, expected: str) -> list[tf.Tensor]:
    """The dimensions that an input has when a request comes, none of them 0.

    Args:
        name: of the input, for messages.
        expected: its dimensions by name, "batch, frames".
    """
    rank, shape = len(expected.split(", ")), _shape_of(tensor)
    right = require(tf.equal(tf.size(shape), rank), f"{name} {{}}: expected ({expected})", shape)
    with tf.control_dependencies([right]):
        sizes = tf.pad(shape, [[0, rank]])[:rank]
    full = require(tf.reduce_all(sizes > 0), f"{name} {{}}: expected ({expected}), none 0", sizes)
    with tf.control_dependencies([full]):
        return tf.unstack(tf.ensure_shape(tf.identity(sizes), (rank,)))


def gated(tensor: tf.Tensor, *checked: tf.Operation) -> tf.Tensor:
    """`tensor`, once what is to be checked is: nothing is computed of what does not pass."""
    with tf.control_dependencies(checked):
        return tf.identity(tensor)


def _shape_of(tensor: tf.Tensor) -> tf.Tensor:
    """The shape (rank,) int32 of what really comes.

    Signatures say a shape, which servers do not enforce; yet TensorFlow takes it for granted when
    it simplifies tf.shape, and four channels would pass for three. It does not see through text.
    """
    text = tf.strings.format("{}", [tf.shape(tensor)], summarize=-1)  # "[1 16 128 171 3]"
    numbers = tf.strings.split(tf.strings.regex_replace(text, r"[\[\]]", ""))
    return tf.strings.to_number(numbers, tf.int32)


def frames_checked(batch, frames, length: int | None, limits: Limits) -> list[tf.Operation]:
    """Requires as many clips and frames as are answered; `length`: of every clip, or None."""
    if length is None:
        right = require(
            frames <= limits.max_frames,
            f"clips of {{}} frames: expected at most {limits.max_frames}",
            frames,
        )
    else:
        right = require(
            tf.equal(frames, length), f"clips of {{}} frames: expected {length}", frames
        )
    # Each below its limit, so that the product stays far from where int32 ends.
    few = tf.minimum(batch, limits.max_frames_in_all + 1) * tf.minimum(
        frames, limits.max_frames_in_all + 1
    )
    return [
        right,
        require(
            few <= limits.max_frames_in_all,
            f"{{}} clips of {{}} frames: expected at most {limits.max_frames_in_all} frames a "
            "request",
            batch,
            frames,
        ),
    ]


def size_checked(height, width, keeps_shape: bool, limits: Limits) -> list[tf.Operation]:
    """Requires frames of a size that can be resized; keeps_shape: whether their shape stays."""
    short, long = tf.minimum(height, width), tf.maximum(height, width)
    sides = require(
        tf.logical_and(short >= limits.min_side, long <= limits.max_side),
        f"frames of {{}}x{{}} pixels: expected sides from {limits.min_side} to {limits.max_side}; "
        "resize them",
        height,
        width,
    )
    if not keeps_shape:
        return [sides]
    return [
        sides,
        require(
            long <= limits.max_aspect * short,
            f"frames of {{}}x{{}} pixels: expected a side at most {limits.max_aspect} times the "
            "other",
            height,
            width,
        ),
    ]


def finite_checked(clips: tf.Tensor) -> tf.Operation:
    """Requires numbers: no NaN, no infinity."""
    wrong = tf.size(clips) - tf.math.count_nonzero(tf.math.is_finite(clips), dtype=tf.int32)
    return require(tf.equal(wrong, 0), "clips with {} values that are NaN or infinite", wrong)


def require(condition: tf.Tensor, message: str, *values: tf.Tensor) -> tf.Operation:
    """An operation that fails as INVALID_ARGUMENT unless `condition`; {} are the `values`."""
    return tf.raw_ops.Assert(
        condition=condition, data=[tf.strings.format(message, list(values))], summarize=16
    )
