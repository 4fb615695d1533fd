"""What lies in the folder of a run, --model_dir, and the models that are built from it."""

import os
import pathlib
from dataclasses import dataclass

import keras

from r21d_keras import VideoResNet, get_variant
from r21d_keras.zoo.durable import partial_name
from r21d_keras.zoo.weights_h5 import load_h5

from .config import WEIGHTS, ConfigError, TrainConfig, from_json, to_json
from .origins import CHECKPOINTS


@dataclass(frozen=True)
class ModelDir:
    """The files of a run, by name. Nothing is created before `create` or a writer is called."""

    root: pathlib.Path

    @property
    def config(self) -> pathlib.Path:
        """The resolved configuration, JSON."""
        return self.root / "config.json"

    @property
    def classes(self) -> pathlib.Path:
        """Class names, one a line, in the order of the network's outputs."""
        return self.root / "classes.txt"

    @property
    def data(self) -> pathlib.Path:
        """On which videos the run was trained and validated: numbers and hashes, JSON."""
        return self.root / "data.json"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of tf.train checkpoints, for resuming."""
        return self.root / CHECKPOINTS

    @property
    def events(self) -> pathlib.Path:
        """Folder of TensorBoard event files."""
        return self.root / "events"

    @property
    def history(self) -> pathlib.Path:
        """One row an epoch: losses, accuracies, learning rate; CSV."""
        return self.root / "history.csv"

    @property
    def curves(self) -> pathlib.Path:
        """The history as a picture."""
        return self.root / "curves.png"

    @property
    def evaluation(self) -> pathlib.Path:
        """Results of the evaluation, JSON."""
        return self.root / "evaluation.json"

    @property
    def predictions(self) -> pathlib.Path:
        """One row a test video: its label, the best class, the probability of each; CSV."""
        return self.root / "predictions.csv"

    @property
    def per_class(self) -> pathlib.Path:
        """One row a class: its videos, and how they were answered; CSV."""
        return self.root / "per_class.csv"

    @property
    def reliability(self) -> pathlib.Path:
        """How often answers are right, by the confidence they are given with, as a picture."""
        return self.root / "reliability.png"

    @property
    def confusion(self) -> pathlib.Path:
        """The confusion matrix as a picture."""
        return self.root / "confusion.png"

    def weights(self, which: str) -> pathlib.Path:
        """Weights in Keras' .weights.h5 format; `which` is "best" or "final".

        Raises:
            ValueError: for another `which`.
        """
        if which not in WEIGHTS:
            raise ValueError(f"which={which!r}: expected one of {', '.join(WEIGHTS)}.")
        return self.root / f"{which}.weights.h5"

    def write_run(self, config: TrainConfig, classes: tuple[str, ...]) -> None:
        """Creates the folder and writes config.json and classes.txt."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_text(self.classes, "".join(f"{name}\n" for name in classes))
        write_text(self.config, to_json(config))

    def read_run(self) -> tuple[TrainConfig, tuple[str, ...]]:
        """The configuration and the class names of the run.

        Raises:
            ConfigError: if the folder holds no run, or its configuration is of another version.
        """
        for path in (self.config, self.classes):
            if not path.is_file():
                raise ConfigError(
                    f"{self.root} holds no training run: {path.name} is missing. "
                    "Expected the --model_dir of `r21d train`."
                )
        try:
            config = from_json(self.config.read_text("utf-8"))
        except ValueError as error:
            raise ConfigError(f"{self.config}: {error}") from None
        return config, tuple(self.classes.read_text("utf-8").splitlines())


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
        model_dir: the folder of a run.
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
    folder = ModelDir(pathlib.Path(model_dir))
    config, classes = folder.read_run()
    path = folder.weights(which)
    if not path.is_file():
        raise ConfigError(
            f"{path} does not exist; the run has not come so far. Start `r21d train` again with "
            f"--model_dir={folder.root}, which continues it."
        )
    model = _network(config, len(classes), "softmax", any_length, frame)
    load_h5(model, path)
    return config, classes, model


def save_weights(model: keras.Model, path: pathlib.Path) -> None:
    """Saves to a `path` that ends in .weights.h5; the old file stays until the new one is whole."""
    partial = partial_name(path)
    model.save_weights(str(partial))
    os.replace(partial, path)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8; the old file stays until the new one is whole."""
    partial = partial_name(path)
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


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
