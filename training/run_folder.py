"""What lies in the folder of a run, --model_dir."""

import pathlib
from collections.abc import Callable
from dataclasses import dataclass, field

from r21d_keras.zoo.durable import partial_name, put

from .config import WEIGHTS, ConfigError, TrainConfig, from_json, to_json
from .origins import CHECKPOINTS


@dataclass(frozen=True)
class ModelDir:
    """The files of a run, by name. Nothing is created before `create` or a writer is called."""

    root: pathlib.Path
    kept: Callable[[], None] = field(default=lambda: None, compare=False)
    """To be called when the state has been kept: sends it on, if the run belongs elsewhere."""

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
    def diverged(self) -> pathlib.Path:
        """Where and on which videos the run became infinite or no number, if ever, JSON."""
        return self.root / "diverged.json"

    @property
    def events(self) -> pathlib.Path:
        """Folder of TensorBoard event files."""
        return self.root / "events"

    @property
    def progress(self) -> pathlib.Path:
        """Where the run stands, and that it lives, JSON; see heartbeat.py."""
        return self.root / "progress.json"

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


def run_files(which: str) -> tuple[str, ...]:
    """Names of the files that the trained network of a run is read from; `which` is of WEIGHTS."""
    folder = ModelDir(pathlib.Path())
    return tuple(str(path) for path in (folder.config, folder.classes, folder.weights(which)))


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes UTF-8; the old file stays until the new one is on the disk, and where it cannot be.

    Raises:
        OSError: if it cannot be written; the message names it.
    """
    partial = partial_name(path)
    try:
        partial.write_text(text, "utf-8")
        put(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        raise OSError(
            f"{path} cannot be written: {error.strerror}. Make space, or whatever is missing, and "
            "start again with the same --model_dir to go on."
        ) from None
