"""Starting a run again where it stood: what is kept of it, and what may have changed."""

import tensorflow as tf
from absl import logging

from .config import FIELDS, ConfigError, TrainConfig
from .loop import Loop
from .model_dir import ModelDir


def check_resumable(folder: ModelDir, config: TrainConfig) -> bool:
    """Whether `folder` holds a run of `config` that has finished an epoch.

    Raises:
        ConfigError: if it holds a run of another configuration; the message names the options.
            Those that do not change the weights may differ, and epochs may have grown.
    """
    if not folder.config.is_file():
        return False
    before, _ = folder.read_run()
    changed = []
    for name, field in FIELDS.items():
        old, new, rule = getattr(before, name), getattr(config, name), field.metadata.get("resume")
        if old != new and not (rule == "free" or (rule == "grow" and new > old)):
            changed.append(f"{name} was {old!r} and is now {new!r}")
    if changed:
        raise ConfigError(
            f"{folder.root} holds a run of another configuration: {'; '.join(changed)}. Start it "
            "with the same options to continue it, or give another --model_dir."
        )
    return tf.train.latest_checkpoint(str(folder.checkpoints)) is not None


class RunState:
    """All that changes in a run, kept in folder.checkpoints after each epoch.

    Attributes:
        epochs_done: finished epochs, int64 variable.
        best_accuracy: highest val_accuracy so far, float64 variable; -1 before the first.
    """

    def __init__(self, loop: Loop, folder: ModelDir):
        self.epochs_done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_accuracy = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        parts = {
            "model": loop.model,
            "optimizer": loop.optimizer,
            "steps_done": loop.steps_done,
            "epochs_done": self.epochs_done,
            "best_accuracy": self.best_accuracy,
        }
        if loop.averages:
            parts["averages"] = tf.train.Checkpoint(
                variables=loop.averages.variables, num_updates=loop.averages.num_updates
            )
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(folder.checkpoints), max_to_keep=2
        )

    def save(self, epochs_done: int) -> None:
        """Keeps the state after so many epochs; an earlier one stays until this is whole."""
        self.epochs_done.assign(epochs_done)
        self._manager.save(checkpoint_number=epochs_done)

    def restore(self) -> int:
        """Goes back to the last kept state, if there is one; returns the epochs that are done."""
        path = self._manager.latest_checkpoint
        if path:
            self._checkpoint.restore(path).assert_existing_objects_matched()
            logging.info("Continuing after epoch %d.", int(self.epochs_done))
        return int(self.epochs_done)
