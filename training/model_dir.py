"""The models that are built from the folder of a run, and how they are kept in it."""

import math
import os
import pathlib
import shutil

import keras

from r21d_keras import VideoResNet, get_variant
from r21d_keras.zoo.durable import partial_name, put
from r21d_keras.zoo.weights_h5 import load_h5

from .config import WEIGHTS, ConfigError, TrainConfig
from .remote.copies import fetched
from .run_folder import ModelDir, run_files


def build_model(config: TrainConfig, num_classes: int | None) -> keras.Model:
    """The configured network with random weights; clips (B, T, S, S, 3) in, logits (B, N) out.

    Without classes it has no classifier.
    """
    return _network(config, num_classes, None)


def load_run(
    model_dir: str | os.PathLike,
    which: str = WEIGHTS[0],
    any_length: bool = False,
    frame: tuple[int, int] | None = None,
) -> tuple[TrainConfig, tuple[str, ...], keras.Model]:
    """Configuration, class names and trained network of a run.

    Args:
        model_dir: the folder of a run, here or at a URL.
        which: one of WEIGHTS.
        any_length: let the network take clips of any length, where its first convolution allows
            it: everywhere but in the r2d family.
        frame: (H, W) of clips, where they are not the run's squares.

    Returns:
        The network takes float32 clips (B, T, H, W, C) and gives probabilities (B, N), float32,
        whatever precision it was trained in.

    Raises:
        ConfigError: if the folder holds no run, or not these weights yet.
        CheckpointError: weights that are damaged, or of another network.
    """
    with fetched(model_dir, run_files(which)) as root:
        folder = ModelDir(root)
        config, classes = folder.read_run()
        path = folder.weights(which)
        if not path.is_file():
            raise ConfigError(
                f"{path} does not exist; the run has not come so far. Start `r21d train` again "
                f"with --model_dir={folder.root}, which continues it."
            )
        model = _network(config, len(classes), "softmax", any_length, frame)
        load_h5(model, path)
    return config, classes, model


def save_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Saves to a `path` that ends in .weights.h5; the old file stays until the new one is whole.

    Raises:
        OSError: if it cannot be written, as on a full disk.
    """
    # HDF5 that finds the disk full amid a file says so at length, and again when it closes it.
    wanted = sum(math.prod(w.shape) * 4 + _H5_ENTRY for w in model.weights)
    free = shutil.disk_usage(path.parent).free
    if free < wanted:
        raise OSError(
            f"{path} cannot be written: it takes {wanted / 1e6:.1f} MB; {free / 1e6:.1f} MB are "
            "free. Make space, and start again with the same --model_dir to go on."
        )
    partial = partial_name(path)
    try:
        model.save_weights(str(partial))
        put(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


_H5_ENTRY = 4096  # bytes a weight, about: the names of HDF5's groups


def _network(
    config: TrainConfig,
    num_classes: int | None,
    activation: str | None,
    any_length: bool = False,
    frame: tuple[int, int] | None = None,
) -> keras.Model:
    frames, *square, channels = config.clip_shape
    if any_length and not get_variant(config.variant).fixes_clip_length:
        frames = None
    return VideoResNet(
        config.variant,
        num_classes=num_classes or 1,
        include_top=num_classes is not None,
        input_shape=(frames, *(frame or square), channels),
        classifier_activation=activation,
        convention=config.convention,
        width_multiplier=config.width_multiplier,
        dropout=config.dropout,
        sync_bn=config.sync_bn,
        compute=config.compute,
    )
