"""Frames of any size as a network sees them, within the graph."""

import tensorflow as tf

from r21d_keras.zoo.preprocessing import Preprocessing


def seen(frames: tf.Tensor, numbers: Preprocessing) -> tf.Tensor:
    """uint8 RGB frames (N, H, W, 3), resized and cropped: float32 (N, S, S, 3), whole grey levels.

    With the resize and crop of `zoo.preprocess_input` and of training.
    """
    height, width = tf.unstack(tf.shape(frames)[1:3])
    size = _resized(height, width, numbers)
    # Rounded, because training resizes to uint8.
    frames = tf.round(tf.image.resize(frames, size, "bilinear"))
    side = numbers.crop_size
    top, left = ((length - side) // 2 for length in tf.unstack(size))
    frames = frames[:, top : top + side, left : left + side]
    return tf.ensure_shape(frames, (None, side, side, 3))


def _resized(height, width, numbers: Preprocessing):
    """`Preprocessing.resized` of sizes that are known when a request comes."""
    if not numbers.keeps_shape:
        return tf.constant(numbers.resize)
    short = numbers.resize
    longer = short * tf.maximum(height, width) // tf.minimum(height, width)
    return tf.cond(height <= width, lambda: [short, longer], lambda: [longer, short])
