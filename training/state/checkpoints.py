"""The state of a run, kept so that it can go on where it stood."""

import os

import tensorflow as tf
from absl import logging

from ..config import ConfigError
from ..distribution.workers import Workers
from ..loop import Loop
from ..model_dir import ModelDir
from .place import Place


class RunState:
    """All that changes in a run, kept in folder.checkpoints after each epoch.

    Attributes:
        epochs_done: finished epochs, int64 variable.
        best_accuracy: highest val_accuracy so far, float64 variable; -1 before the first.
    """

    def __init__(self, loop: Loop, folder: ModelDir):
        self._loop = loop
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
        """Goes back to the last kept state, if there is one; returns the epochs that are done.

        Raises:
            ConfigError: if it cannot be read.
        """
        path = self._manager.latest_checkpoint
        if path:
            try:
                self._checkpoint.restore(path).assert_existing_objects_matched()
            except (tf.errors.OpError, IndexError, AssertionError, ValueError) as error:
                raise ConfigError(self._unreadable(path, error)) from None
            logging.info("Continuing after epoch %d.", int(self.epochs_done))
        return self._stand()

    def share(self, workers: Workers) -> int:
        """Gives all workers the state that the chief has; returns the epochs that are done."""
        found = tf.train.TrackableView(self._checkpoint).descendants()
        workers.take_chiefs([part for part in found if isinstance(part, tf.Variable)])
        return self._stand()

    def _stand(self) -> int:
        self._loop.place = Place(int(self.epochs_done))
        return int(self.epochs_done)

    def _unreadable(self, path: str, error: Exception) -> str:
        reason = str(error).strip().splitlines()[0]
        earlier = [other for other in self._manager.checkpoints if other != path]
        advice = "Give another --model_dir to train anew."
        if earlier:
            advice = (
                f"To continue from the state before it, make the file {os.path.dirname(path)}/"
                f'checkpoint the one line model_checkpoint_path: "{os.path.basename(earlier[-1])}"'
                ", or give another --model_dir to train anew."
            )
        return f"The state of the run, {path}.*, is incomplete or damaged ({reason}). {advice}"
