"""The functions of an export, each from a request to its answer."""

import json
from collections.abc import Callable

import tensorflow as tf

from ..data.pipeline import normalise
from . import checks, names
from .encoded import decoded, same_size_checked
from .pixels import seen
from .servable import Servable

Answer = dict[str, tf.Tensor]


class Signatures:
    """What an export answers, by the names of its signatures.

    Args:
        servable: whose network answers.
        said: what `describe` tells, as `about` has it; `top_k` of it: labels an answer.
    """

    def __init__(self, servable: Servable, said: dict):
        self._servable, self._said, self._limits = servable, said, servable.limits
        self._numbers = servable.preprocessing
        self.model = servable.with_embedding()

    def table(self) -> dict[str, tuple[Callable[[tf.Tensor], Answer], tf.TensorSpec]]:
        """Function and input of each signature."""
        length, crop = self._servable.length, self._servable.crop
        prepared = tf.TensorSpec((None, length, *crop), tf.float32, names.CLIPS)
        encoded = tf.TensorSpec((None, length), tf.string, names.FRAMES_BYTES)
        take, given = (
            self._from_pixels,
            tf.TensorSpec((None, length, None, None, 3), tf.uint8, names.CLIPS),
        )
        if self._servable.stream == "flow":
            take, given = self._from_flow, prepared
        rows = {
            names.SERVING_DEFAULT: (lambda clips: self._answer(take(clips)), given),
            names.CLIPS_FLOAT: (lambda clips: self._answer(self._prepared(clips)), prepared),
            names.FRAMES_BYTES: (lambda frames: self._answer(self._from_bytes(frames)), encoded),
            names.FEATURES: (lambda clips: self._features(take(clips)), given),
        }
        chosen = {name: rows[name] for name in names.SIGNATURES[self._servable.stream]}
        asked = tf.TensorSpec((None,), tf.string, names.DESCRIBE)
        chosen[names.DESCRIBE] = (lambda asked: self._description(asked), asked)
        for name, (function, _) in chosen.items():
            function.__name__ = name  # TensorFlow says it where one fails
        return chosen

    def _answer(self, clips) -> Answer:  # float32 (B, T, S, S, C)
        embedding, probabilities = self.model(clips, training=False)
        scores, places = tf.math.top_k(probabilities, self._said["top_k"])
        labels = tf.gather(tf.constant(self._servable.classes), places)
        return {
            names.PROBABILITIES: probabilities,
            names.TOP_LABELS: labels,
            names.TOP_SCORES: scores,
            names.EMBEDDING: embedding,
        }

    def _features(self, clips) -> Answer:
        return {names.EMBEDDING: self.model(clips, training=False)[0]}

    def _description(self, asked) -> Answer:  # any strings (B,)
        (count,) = checks.dimensions(asked, names.DESCRIBE, "batch")
        most = self._limits.max_descriptions
        few = checks.require(
            count <= most, f"{names.DESCRIBE} of {{}} strings: expected at most {most}", count
        )
        return {names.ABOUT: tf.fill([checks.gated(count, few)], json.dumps(self._said))}

    def _from_pixels(self, clips):
        """uint8 RGB (B, T, H, W, 3) of any H and W."""
        batch, frames, height, width, channels = checks.dimensions(
            clips, names.CLIPS, "batch, frames, height, width, 3"
        )
        clips = checks.gated(
            clips,
            *self._lengths(batch, frames),
            *checks.size_checked(height, width, self._numbers.keeps_shape, self._limits),
            checks.require(
                tf.equal(channels, 3), "clips of {} channels: expected 3, RGB, last", channels
            ),
        )
        batch, frames, height, width, _ = tf.unstack(tf.shape(clips))
        pictures = seen(tf.reshape(clips, (-1, height, width, 3)), self._numbers)
        return self._normalised(pictures, batch, frames)

    def _from_bytes(self, frames_bytes):
        """JPEG or PNG, strings (B, T)."""
        batch, frames = checks.dimensions(frames_bytes, names.FRAMES_BYTES, "batch, frames")
        frames_bytes = checks.gated(frames_bytes, *self._lengths(batch, frames))
        pictures, sizes = decoded(tf.reshape(frames_bytes, (-1,)), self._numbers, self._limits)
        same = same_size_checked(tf.reshape(sizes, (batch, frames, 2)))
        return self._normalised(checks.gated(pictures, same), batch, frames)

    def _from_flow(self, clips):
        """float32 flow (B, T, S, S, 2) in pixels, of resized and cropped frames."""
        return normalise(self._prepared(clips), self._numbers)

    def _prepared(self, clips):
        """float32 (B, T, S, S, C) that another has prepared, looked over."""
        *crop, depth = self._servable.crop
        expected = f"batch, frames, {crop[0]}, {crop[1]}, {depth}"
        batch, frames, *frame = checks.dimensions(clips, names.CLIPS, expected)
        right = checks.require(
            tf.reduce_all(tf.equal(frame, [*crop, depth])),
            f"frames {{}} in clips: expected ({expected})",
            tf.stack(frame),
        )
        clips = checks.gated(clips, right, *self._lengths(batch, frames))
        clips = checks.gated(clips, checks.finite_checked(clips))
        # All floats are as large, but something has to be computed of what is gated: sessions, as
        # servers have, fuse a convolution that follows, and TensorFlow's optimizer (remapper) then
        # forgets what it waited for, so that NaN and other sizes were answered.
        return tf.maximum(clips, tf.float32.min)

    def _lengths(self, batch, frames):
        return checks.frames_checked(batch, frames, self._servable.length, self._limits)

    def _normalised(self, pictures, batch, frames):
        """Pictures (B * T, S, S, 3) as clips for the network."""
        clips = tf.reshape(pictures, (batch, frames, *self._servable.crop))
        clips = tf.ensure_shape(clips, (None, self._servable.length, *self._servable.crop))
        return normalise(clips, self._numbers)
