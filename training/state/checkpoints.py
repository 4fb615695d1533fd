"""The state of a run, kept so that it can go on where it stood."""

import dataclasses
import re
from collections.abc import Mapping

import tensorflow as tf
from absl import logging

from r21d_keras._keras import backend_variable, kept_beside

from ..config import ConfigError
from ..distribution.workers import Workers
from ..loop import Loop
from ..run_folder import ModelDir
from .header import DAMAGED, PART, Header, HeaderPart, read_header
from .place import Place
from .resume import check_header
from .shelf import Shelf


class RunState:
    """All that changes in a run, in checkpoints: the weights, what the optimizer knows, averages,

    the sums of an epoch that has begun, the best accuracy. Kept are the newest config.max_to_keep
    of them, and that of the best epoch.

    Attributes:
        folder: of the run.
    """

    def __init__(self, loop: Loop, folder: ModelDir, data: Mapping[str, dict]):
        self.folder = folder
        self._loop, self._kept, self._shelf = loop, None, Shelf(str(folder.checkpoints))
        self._part = HeaderPart(Header(loop.config, data))
        parts = {
            PART: self._part,
            "model": loop.model,
            "optimizer": loop.optimizer,
            "steps_done": loop.steps_done,
        }
        if loop.head_optimizer:
            parts["head_optimizer"] = loop.head_optimizer
        if loop.averages:
            parts["averages"] = tf.train.Checkpoint(
                variables=loop.averages.variables, num_updates=loop.averages.num_updates
            )
        self._checkpoint = tf.train.Checkpoint(**parts)

    @property
    def best_accuracy(self) -> float:
        """Highest val_accuracy so far; -1 before the first."""
        return self._part.header.best_accuracy

    @property
    def newest(self) -> str:
        """The checkpoint of the last place that was kept or gone on from; "" where none was."""
        return self._shelf.prefix(self._kept) if self._kept else ""

    def better(self, accuracy: float) -> bool:
        """Whether this is the best accuracy so far, which it then is: of the epoch just done."""
        if accuracy <= self.best_accuracy:
            return False
        self._tell(best_accuracy=accuracy, best_epochs=self._loop.place.epochs)
        return True

    def save(self) -> None:
        """Keeps the state at the loop's place; earlier ones stay until this is whole.

        Raises:
            DivergedError: if a weight is not finite; nothing is written.
            OSError: if it cannot be written, as on a full disk, or sent to where the run is;
                earlier ones stay.
        """
        place = self._loop.place
        if place == self._kept:
            return
        self._loop.check_weights()
        self._tell(place=place)
        best = self._part.header.best_epochs
        try:
            self._shelf.write(self._checkpoint, place)
            self._shelf.keep(place, self._loop.config.max_to_keep, Place(best) if best else None)
        except tf.errors.OpError as error:
            before = f"What was kept before is whole: {self.newest}.*. " if self._kept else ""
            raise OSError(
                f"The state of the run after {place} cannot be kept in {self._shelf.root}: "
                f"{reason_of(error)}. {before}Make space, or whatever is missing, and start again "
                "with the same --model_dir to go on."
            ) from None
        self._kept = place
        self.folder.kept()

    def restore(self) -> None:
        """Goes to the furthest kept state that is whole, if any is kept, and tells the loop.

        Raises:
            ConfigError: if none of those kept is whole, or one is of another run.
        """
        self._shelf.sweep()
        wrong = []
        for place in self._shelf.places():
            prefix = self._shelf.prefix(place)
            try:
                header = read_header(prefix)
                check_header(prefix, header, self._loop.config, self._part.header.data)
                self._checkpoint.read(prefix).assert_existing_objects_matched()
            except ConfigError:
                raise
            except DAMAGED as error:
                wrong.append(f"{prefix}.* ({reason_of(error)})")
                logging.warning("This state of the run is incomplete or damaged: %s.", wrong[-1])
                continue
            logging.info("Continuing after %s.", header.place)
            return self._stand(header)
        if wrong:
            raise ConfigError(
                f"No state of the run is whole: {', '.join(wrong)}. Put one back, or give another "
                "--model_dir to train anew."
            )

    def share(self, workers: Workers) -> None:
        """Gives all workers the state that the chief has, and where it stands."""
        parts = tf.train.TrackableView(self._checkpoint).descendants()
        found = [backend_variable(part) for part in parts]
        held = {id(part): part for part in found if isinstance(part, tf.Variable)}
        for optimizer in filter(None, (self._loop.optimizer, self._loop.head_optimizer)):
            held |= {id(part): part for part in kept_beside(optimizer)}
        workers.take_chiefs(list(held.values()))
        chiefs = workers.exchange(self._part.serialize())[0]
        if not workers.is_chief:
            self._part.deserialize(chiefs)
            self._stand(self._part.header)

    def _tell(self, **changes) -> None:
        self._part.header = dataclasses.replace(self._part.header, **changes)

    def _stand(self, header: Header) -> None:
        self._loop.place = header.place
        self._kept = header.place if header.place > Place() else None
        # What may differ is as it is now, epochs among it.
        self._part.header = dataclasses.replace(
            header, config=self._loop.config, data=self._part.header.data
        )


def reason_of(error: Exception) -> str:
    """The first line of what TensorFlow says is wrong, without the names of its operations."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\{\{.*?\}\} *| *\[Op:\w+\]", "", line).rstrip(".")
