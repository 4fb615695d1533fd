"""Checks within the graph: what cannot be answered is INVALID_ARGUMENT with the fault by name.

They hold in every runtime that executes the graph, whatever its server looks at itself.
"""

import tensorflow as tf

from .limits import Limits


def without_shape(tensor: tf.Tensor) -> tf.Tensor:
    """`tensor` as one of which nothing is known in advance.

    A signature says its shape, which clients want to know, but servers do not enforce it; what
    TensorFlow knows in advance it does not look at again, and four channels would pass for three.
    """
    return tf.compat.v1.placeholder_with_default(tensor, None)


def dimensions(tensor: tf.Tensor, name: str, expected: str) -> list[tf.Tensor]:
    """The dimensions of an input of which nothing is known, none of them 0.

    Args:
        name: of the input, for messages.
        expected: its dimensions by name, "batch, frames".
    """
    rank, shape = len(expected.split(", ")), tf.shape(tensor)
    right = require(tf.equal(tf.size(shape), rank), f"{name} {{}}: expected ({expected})", shape)
    with tf.control_dependencies([right]):
        shape = tf.ensure_shape(tf.identity(shape), (rank,))
    full = require(tf.reduce_all(shape > 0), f"{name} {{}}: expected ({expected}), none 0", shape)
    with tf.control_dependencies([full]):
        return tf.unstack(tf.identity(shape))


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
