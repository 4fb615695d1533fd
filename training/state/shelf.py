"""The folder of a run's checkpoints: which are whole, which are kept, and what is swept away."""

import contextlib
import os
import re

import tensorflow as tf

from .place import Place

_INDEX = re.compile(r"ckpt-(\d+)(?:-(\d+))?\.index")
# TensorFlow moves the data to where it belongs, but writes the index under its own name, and so one
# that was killed may have left half of it: all is written under other names first.
_ASIDE = "writing-"
# Of writes that did not come to their end.
_OURS = re.compile(rf"({_ASIDE}|ckpt-\d|checkpoint\.tmp)")


class Shelf:
    """Checkpoints in the folder `root`, on a disk or wherever TensorFlow can write.

    ckpt-3 is of a run after 3 epochs, ckpt-3-40 of one after 40 steps more. A checkpoint's index
    gets its name when all the rest is there: what has an index is whole, unless the machine has
    stopped, or the disk has lost it.
    """

    def __init__(self, root: str):
        self.root = root

    def places(self) -> list[Place]:
        """Of the checkpoints that are there, the furthest first."""
        found = (match for name in self._names() if (match := _INDEX.fullmatch(name)))
        return sorted((Place(int(m[1]), int(m[2] or 0)) for m in found), reverse=True)

    def prefix(self, place: Place) -> str:
        """What the names of a checkpoint's files begin with, path and all."""
        return os.path.join(self.root, self._name(place))

    def write(self, checkpoint: tf.train.Checkpoint, place: Place) -> None:
        """Adds a checkpoint; those that are there stay as they are, also where this fails.

        Raises:
            tf.errors.OpError: if it cannot be written; nothing half-written is left of it.
        """
        tf.io.gfile.makedirs(self.root)
        aside = f"{_ASIDE}{self._name(place)}"
        try:
            checkpoint.write(os.path.join(self.root, aside))
            self._write_through(self._files(aside))
            self.remove(place)  # a damaged one; a name is never that of two halves
            for name in self._files(aside):
                old, new = (os.path.join(self.root, each) for each in (name, name[len(_ASIDE) :]))
                tf.io.gfile.rename(old, new)
            self._write_through([""])  # the folder itself
            self._name_newest(place)
        except BaseException:
            with contextlib.suppress(tf.errors.OpError):
                self.sweep()
            raise

    def keep(self, place: Place, newest: int, best: Place | None) -> None:
        """Removes all up to `place` but the `newest` ones and `best`.

        What lies further on is damaged: the run has been there, and could not go on from it. It is
        written anew when the run is there again.
        """
        reached = [other for other in self.places() if other <= place]
        for other in reached[newest:]:
            if other != best:
                self.remove(other)

    def remove(self, place: Place) -> None:
        """Removes a checkpoint: its index first, without which it is none."""
        for name in reversed(self._files(self._name(place))):
            tf.io.gfile.remove(os.path.join(self.root, name))

    def sweep(self) -> None:
        """Removes what writers that were killed have left, which can be much."""
        whole = {self._name(place) for place in self.places()}
        for name in self._names():
            if _OURS.match(name) and name.partition(".")[0] not in whole:
                path = os.path.join(self.root, name.rstrip("/"))
                remove = tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove
                remove(path)

    def _name(self, place: Place) -> str:
        steps = f"-{place.steps}" if place.steps else ""
        return f"ckpt-{place.epochs}{steps}"

    def _names(self) -> list[str]:
        return tf.io.gfile.listdir(self.root) if tf.io.gfile.isdir(self.root) else []

    def _files(self, prefix: str) -> list[str]:
        """Names of a checkpoint's files, with the index at the end."""
        own = (name for name in self._names() if name.startswith(f"{prefix}."))
        return sorted(own, key=lambda name: name.endswith(".index"))

    def _write_through(self, names: list[str]) -> None:
        """A local checkpoint is on the disk before an older one goes; TensorFlow does not ask."""
        if not os.path.isdir(self.root):
            return
        for name in names:
            with contextlib.suppress(OSError):  # some systems write through no folder
                file = os.open(os.path.join(self.root, name), os.O_RDONLY)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)

    def _name_newest(self, place: Place) -> None:
        """For tf.train.latest_checkpoint; nothing here goes by it."""
        path = os.path.join(self.root, "checkpoint")
        with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
            file.write(f'model_checkpoint_path: "{self._name(place)}"\n')
        tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)
