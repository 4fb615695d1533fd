"""Train a network of the zoo on several devices with Keras' own distribution, on JAX.

    KERAS_BACKEND=jax python examples/jax_data_parallel.py

`r21d train` needs TensorFlow; the networks do not. On JAX, `keras.distribution.DataParallel` gives
each device a copy of the weights and a part of each batch. Here these are two virtual devices of
the CPU, and clips of noise. Leave out the line with XLA_FLAGS to use the GPUs or TPUs that there
are; on several machines call `keras.distribution.initialize()` first. A batch has to divide evenly
by the devices: there is no short last one.
"""

import os

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras
import numpy as np

from r21d_keras import VideoResNet

CLIPS, CLASSES, SHAPE = 16, 4, (4, 32, 32, 3)


def main() -> None:
    """Trains on all devices and says on how many the weights are."""
    devices = keras.distribution.list_devices()
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
    keras.utils.set_random_seed(0)
    # Small, to be quick; zoo.r2plus1d_18(weights="kinetics400", ...) works as well.
    model = VideoResNet("r2plus1d_10", CLASSES, SHAPE, width_multiplier=0.25)
    model.compile(
        optimizer=keras.optimizers.SGD(0.01, momentum=0.9),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    draw = np.random.default_rng(0)
    labels = draw.integers(0, CLASSES, CLIPS)
    clips = draw.normal(labels[:, None, None, None, None], 0.5, (CLIPS, *SHAPE))
    batch = 4 * len(devices)
    model.fit(clips.astype("float32"), labels, batch_size=batch, epochs=3, verbose=2)
    kernel = model.weights[0].value
    print(f"{len(devices)} devices; the first kernel is on {len(kernel.devices())} of them.")


if __name__ == "__main__":
    main()
