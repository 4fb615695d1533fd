"""A run's network on one device: clips, or blocks of a video, to probabilities."""

import os
import threading
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ..config import TrainConfig
from ..data.pipeline import normalise, pixel_type
from ..model_dir import ModelDir, load_run
from .protocols import Protocol, Reach
from .through_time import State, ThroughTime

# Table 1: conv1, conv3_x, conv4_x and conv5_x halve height and width, rounding up.
GRID = 16
"""Pixels between neighbouring features, and so between the squares that whole frames hold."""


class Network:
    """The network of a run, for frames of one size.

    What a network says of a clip is the softmax of its features' average over the crop that it was
    trained on. Whole frames have several such squares on its grid: the softmax of each, averaged,
    as VMZ's fully convolutional tests have it (c2/lib/models/loss/loss_creator.py).

    Args:
        model: with its classifier, giving probabilities; takes float32 (B, T, H, W, C).
        config: of the run.
    """

    def __init__(self, model: keras.Model, config: TrainConfig):
        self.model = model
        features = model.get_layer("avgpool").input  # (B, T', H', W', F)
        self._numbers, self._body = config.preprocessing, keras.Model(model.input, features)
        self._head, self._side = model.get_layer("fc"), -(-config.crop_size // GRID)
        self._lock = threading.Lock()
        _, frames, *frame = model.input.shape
        self._kind = pixel_type(config)
        self._clips = _compiled(
            self._score, tf.TensorSpec((None, config.clip_frames, *frame), self._kind)
        )
        self._blocks = None if frames else ThroughTime(self._body)
        self._block = self._answers = None

    @property
    def reach(self) -> Reach | None:
        """How its features lie in time, where it takes clips of any length."""
        return self._blocks and self._blocks.reach

    @property
    def smallest_block(self) -> int:
        """Frames that a block has at least."""
        return self._blocks.smallest_block

    def prepare_blocks(self) -> None:
        """Makes ready for `block`, where `reach` is known."""
        frame, features = tuple(self._body.input.shape)[2:], tuple(self._body.output.shape)[2:]
        self._block = _compiled(
            self._step,
            tf.TensorSpec((1, None, *frame), self._kind),
            tf.TensorSpec((), tf.bool),
            self._blocks.state_signature(),
        )
        squares = self._places(tf.zeros((1, 1, *features))).shape[2:]
        self._answers = _compiled(self._answer, tf.TensorSpec((None, *squares)))

    def clips(self, clips: np.ndarray) -> np.ndarray:
        """Probabilities (B, K) of clips (B, T, H, W, C), not yet normalised."""
        with self._lock:
            return self._clips(tf.constant(clips)).numpy()

    def start(self) -> State:
        """What `block` takes before the first block of a video."""
        return self._blocks.start()

    def block(self, frames: np.ndarray, last: bool, state: State) -> tuple[np.ndarray, State]:
        """The features (n, P, F), of P squares, that the next frames (m, H, W, C) complete."""
        with self._lock:
            features, state = self._block(tf.constant(frames[None]), tf.constant(last), state)
            return features.numpy(), state

    def answers(self, features: np.ndarray) -> np.ndarray:
        """Probabilities (n, K) of features (n, P, F), averaged over time."""
        with self._lock:
            return self._answers(tf.constant(features, tf.float32)).numpy()

    def _score(self, clips):
        features = self._body(normalise(clips, self._numbers), training=False)
        return self._answer(tf.reduce_mean(self._places(features), axis=1))

    def _step(self, frames, last, state):
        found = self._blocks.features(normalise(frames, self._numbers), last, state)
        return self._places(found[0])[0], found[1]

    def _places(self, features):
        """(B, T', H', W', F) averaged over each square of the crop's size: (B, T', P, F)."""
        frames, (height, width, channels) = tf.shape(features)[:2], features.shape[2:]
        folded = tf.reshape(features, (-1, height, width, channels))
        pooled = tf.nn.avg_pool2d(folded, self._side, 1, "VALID")
        squares = pooled.shape[1] * pooled.shape[2]
        return tf.reshape(pooled, tf.concat([frames, [squares, channels]], axis=0))

    def _answer(self, features):
        """(n, P, F) to (n, K): the softmax of each square, averaged."""
        return tf.reduce_mean(self._head(features), axis=1)


def load_networks(
    model_dir: str | os.PathLike, weights: str, protocol: Protocol, devices: tuple[str, ...]
) -> list[Network]:
    """The network of a run on each of `devices`, for frames as `protocol` shows them.

    Raises:
        ConfigError: no run, or not these weights.
    """
    config, _ = ModelDir(Path(model_dir)).read_run()
    whole = protocol.frames_shown == "whole"
    frame = (config.resize_height, config.resize_width) if whole else None
    networks = []
    for device in devices:
        with tf.device(device):
            _, _, model = load_run(model_dir, weights, protocol.name == "dense", frame)
            networks.append(Network(model, config))
    return networks


def _compiled(function, *signature):
    """`function`, traced here and now: later calls may come from any thread."""
    compiled = tf.function(function, input_signature=signature)
    compiled.get_concrete_function()
    return compiled
