"""Small training loops on random clips, what they are fed, and what they leave."""

import keras
import numpy as np
import tensorflow as tf

from r21d_keras import VideoResNet
from r21d_keras.training.config import TrainConfig
from r21d_keras.training.distribution.strategy import make_strategy
from r21d_keras.training.loop import Loop
from r21d_keras.training.model_dir import build_model, load_run
from r21d_keras.training.optimization.schedule import make_schedule

CLASSES = 3
SHAPE = (4, 32, 32, 3)  # of a clip
BATCH = 8


def examples(count):
    draw = np.random.default_rng(count)
    clips = draw.normal(size=(count, *SHAPE)).astype("float32")
    return clips, draw.integers(0, CLASSES, count).astype("int32")


def batches(count):
    return tf.data.Dataset.from_tensor_slices(examples(count)).batch(BATCH)


def narrow_network(config):
    body = VideoResNet(
        "r2plus1d_10",
        input_shape=SHAPE,
        include_top=False,
        pooling="avg",
        width_multiplier=0.125,
        sync_bn=config.sync_bn,
    )
    return keras.Model(body.input, keras.layers.Dense(CLASSES)(body.output))


def linear_model(config):
    clips = keras.Input(SHAPE)
    means = keras.layers.GlobalAveragePooling3D()(clips)
    dropped = keras.layers.Dropout(config.dropout, name="dropout")(means)
    return keras.Model(clips, keras.layers.Dense(CLASSES)(dropped))


def make_loop(network=narrow_network, policy="float32", **options):
    config = TrainConfig(
        **{
            "global_batch_size": BATCH,
            "epochs": 3,
            "warmup_epochs": 1.0,
            "base_learning_rate": 0.004,
            "steps_per_call": 3,
            "schedule": "cosine",
            **options,
        }
    )
    strategy = make_strategy(config)
    keras.utils.set_random_seed(1)
    keras.mixed_precision.set_global_policy(policy)
    try:
        with strategy.scope():
            model, schedule = network(config), make_schedule(config, 4)
            return Loop(model, schedule, strategy, config)
    finally:
        keras.mixed_precision.set_global_policy("float32")


class Recorder(keras.callbacks.Callback):
    """Weights after each epoch, and the calls that came."""

    def __init__(self):
        super().__init__()
        self.weights, self.calls, self.logs = [], [], []

    def on_train_begin(self, logs=None):
        self.calls.append("train")

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(f"epoch {epoch}")

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(f"from {batch}")

    def on_train_batch_end(self, batch, logs=None):
        assert set(logs) == {"loss", "accuracy"}
        self.calls.append(f"to {batch}")

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))
        self.weights.append(self.model.get_weights())

    def on_train_end(self, logs=None):
        self.calls.append("end")


def largest_difference(left, right):
    return max(float(np.abs(a - b).max()) for a, b in zip(left, right, strict=True))


def moved(root):
    """By how much the weights that a run has trained differ from those it began with, at most."""
    config, classes, model = load_run(root)
    keras.utils.set_random_seed(config.seed)
    start = build_model(config, len(classes))
    ends = ([weight.numpy() for weight in each.trainable_weights] for each in (start, model))
    return largest_difference(*ends)
