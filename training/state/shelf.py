"""The folder of a run's checkpoints: which are whole, which are kept, and what is swept away."""

import contextlib
import os
import re

import tensorflow as tf

from .place import Place

_INDEX = re.compile(r"ckpt-(\d+)(?:-(\d+))?\.index")
# Of a write that did not come to its end: TensorFlow writes the data to ckpt-3_temp/ and to names
# that end in .tempstate and a number, moves them, then moves the index there.
_OURS = re.compile(r"(ckpt-\d|checkpoint\.tmp)")


class Shelf:
    """Checkpoints in the folder `root`, on a disk or wherever TensorFlow can write.

    ckpt-3 is of a run after 3 epochs, ckpt-3-40 of one after 40 steps more. TensorFlow gives a
    checkpoint's index its name when all the rest is there: what has an index is whole, unless the
    machine has stopped, or the disk has lost it.
    """

    def __init__(self, root: str):
        self.root = root

    def places(self) -> list[Place]:
        """Of the checkpoints that are there, the furthest first."""
        found = (match for name in self._names() if (match := _INDEX.fullmatch(name)))
        return sorted((Place(int(m[1]), int(m[2] or 0)) for m in found), reverse=True)

    def prefix(self, place: Place) -> str:
        """What the names of a checkpoint's files begin with, path and all."""
        steps = f"-{place.steps}" if place.steps else ""
        return os.path.join(self.root, f"ckpt-{place.epochs}{steps}")

    def write(self, checkpoint: tf.train.Checkpoint, place: Place) -> None:
        """Adds a checkpoint; those that are there stay as they are, also where this fails.

        Raises:
            tf.errors.OpError: if it cannot be written; nothing is left of it.
        """
        self.remove(place)  # a damaged one; a name is never that of two halves
        tf.io.gfile.makedirs(self.root)
        try:
            checkpoint.write(self.prefix(place))
            self._write_through(place)
            self._name_newest(place)
        except BaseException:
            with contextlib.suppress(tf.errors.OpError):
                self.remove(place)
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
        prefix = os.path.basename(self.prefix(place))
        own = [name for name in self._names() if name.startswith(f"{prefix}.")]
        for name in sorted(own, key=lambda name: not name.endswith(".index")):
            tf.io.gfile.remove(os.path.join(self.root, name))

    def sweep(self) -> None:
        """Removes what writers that were killed have left, which can be much."""
        whole = {os.path.basename(self.prefix(place)) for place in self.places()}
        for name in self._names():
            if _OURS.match(name) and name.partition(".")[0] not in whole:
                path = os.path.join(self.root, name.rstrip("/"))
                remove = tf.io.gfile.rmtree if tf.io.gfile.isdir(path) else tf.io.gfile.remove
                remove(path)

    def _names(self) -> list[str]:
        return tf.io.gfile.listdir(self.root) if tf.io.gfile.isdir(self.root) else []

    def _write_through(self, place: Place) -> None:
        """A local checkpoint is on the disk before an older one goes; TensorFlow does not ask."""
        if not os.path.isdir(self.root):
            return
        prefix = os.path.basename(self.prefix(place))
        names = [name for name in self._names() if name.startswith(f"{prefix}.")]
        for path in (*(os.path.join(self.root, name) for name in names), self.root):
            with contextlib.suppress(OSError):  # some systems write through no folder
                file = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)

    def _name_newest(self, place: Place) -> None:
        """For tf.train.latest_checkpoint; nothing here goes by it."""
        path = os.path.join(self.root, "checkpoint")
        with tf.io.gfile.GFile(f"{path}.tmp", "w") as file:
            file.write(f'model_checkpoint_path: "{os.path.basename(self.prefix(place))}"\n')
        tf.io.gfile.rename(f"{path}.tmp", path, overwrite=True)
