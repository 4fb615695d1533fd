"""Frames that come as JPEG or PNG, decoded within the graph."""

import tensorflow as tf

from r21d_keras.zoo.preprocessing import Preprocessing

from . import checks
from .limits import Limits
from .pixels import seen

_PNG = b"\x89PNG\r\n\x1a\n"  # RFC 2083, 3.1
_JPEG = b"\xff\xd8\xff"  # ITU-T T.81, B.1.1.3: start of image, then the next marker
_PNG_SIZE = 16  # RFC 2083, 3.2 and 4.1.1: signature, length, "IHDR"; then two 32-bit numbers
_PNG_HEAD = 24
_AT_ONCE = 8  # frames decoded at a time


def decoded(frames_bytes: tf.Tensor, numbers: Preprocessing, limits: Limits):
    """JPEG or PNG frames (N,) as a network sees them, and their sizes.

    Each is decoded, resized and cropped before the next, so that memory holds a few of them in
    full; its size is read from its header first, so that a few bytes cannot ask for gigabytes.

    Returns:
        float32 (N, S, S, 3) in whole grey levels, and int32 (N, 2), height and width of each.
    """
    side = numbers.crop_size

    def one(octets):
        height, width = _size(octets)
        fine = checks.size_checked(height, width, numbers.keeps_shape, limits)
        octets = checks.gated(octets, *fine)
        # Accurate, as libjpeg and OpenCV decode; TensorFlow's default is a faster approximation.
        frame = tf.io.decode_jpeg(octets, 3, dct_method="INTEGER_ACCURATE")  # PNG too
        return seen(frame[None], numbers)[0], tf.stack([height, width])

    return tf.map_fn(
        one,
        frames_bytes,
        parallel_iterations=_AT_ONCE,
        fn_output_signature=(
            tf.TensorSpec((side, side, 3), tf.float32),
            tf.TensorSpec((2,), tf.int32),
        ),
    )


def same_size_checked(sizes: tf.Tensor) -> tf.Operation:
    """Requires frames of one size within each clip: sizes (B, T, 2)."""
    least, most = tf.reduce_min(sizes, axis=1), tf.reduce_max(sizes, axis=1)  # (B, 2)
    return checks.require(
        tf.reduce_all(tf.equal(least, most)),
        "frames_bytes with frames of different sizes within a clip: height and width from {} to {}",
        tf.reduce_min(least, axis=0),
        tf.reduce_max(most, axis=0),
    )


def _size(octets):
    """(height, width) as the header of a JPEG or PNG says."""
    is_png, is_jpeg = (_starts(octets, mark) for mark in (_PNG, _JPEG))
    known = checks.require(
        tf.logical_or(is_png, is_jpeg),
        "frames_bytes with {} bytes that are neither JPEG nor PNG",
        tf.strings.length(octets),
    )
    octets = checks.gated(octets, known)
    return tf.cond(is_png, lambda: _png_size(octets), lambda: _jpeg_size(octets))


def _starts(octets, mark):
    return tf.equal(tf.strings.substr(octets, 0, len(mark)), tf.constant(mark))


def _png_size(octets):
    length = tf.strings.length(octets)
    whole = checks.require(length >= _PNG_HEAD, "frames_bytes with a PNG cut to {} bytes", length)
    head = tf.strings.substr(checks.gated(octets, whole), _PNG_SIZE, _PNG_HEAD - _PNG_SIZE)
    width, height = tf.unstack(tf.io.decode_raw([head], tf.int32, little_endian=False)[0][:2], 2)
    # A side of 2^31 pixels and more is no PNG, and negative here.
    return height, width


def _jpeg_size(octets):
    height, width, _ = tf.unstack(tf.image.extract_jpeg_shape(octets), 3)
    return height, width
