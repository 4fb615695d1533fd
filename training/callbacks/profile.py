"""A profile of chosen steps."""

import contextlib

import keras
import tensorflow as tf
from absl import logging

from ..loop import Loop
from ..run_folder import ModelDir


class Profile(keras.callbacks.Callback):
    """Profiles the steps `first` to `last`, counted from 1 since this process began to train.

    Steps that are in one call of TensorFlow with them are in it too. It must be entered: however
    training ends, the profile is written then.
    """

    def __init__(self, loop: Loop, folder: ModelDir, first: int, last: int):
        super().__init__()
        self.loop, self.folder, self.first, self.last = loop, folder, first, last
        self._begun = self._done = 0  # the first step profiled, and the steps done so far
        self._step, self._active, self._call = 0, False, contextlib.ExitStack()

    def __enter__(self):
        """Nothing is profiled yet."""
        return self

    def __exit__(self, kind, error, trace):
        """Writes what there is."""
        self._call.close()
        if self._active:
            self._stop()
        elif not self._begun:
            logging.warning(
                "No profile: --profile_steps begins with step %d, and only %d were trained.",
                *(self.first, self._done),
            )

    def on_train_batch_begin(self, batch, logs=None):
        """Begins where the call that comes has the first of the steps."""
        count = self.loop.steps_of_call(self.params["steps"] - batch)
        if not self._begun and self._done + count >= self.first:
            self._begun, self._active = self._done + 1, True
            tf.profiler.experimental.start(str(self.folder.events))
        if self._active:  # _r=1 marks it as a step, by which viewers divide the time
            call = tf.profiler.experimental.Trace("train", step_num=self._done + 1, _r=1)
            self._call.enter_context(call)
        self._step = batch

    def on_train_batch_end(self, batch, logs=None):
        """Ends where the call that was had the last of the steps."""
        self._call.close()
        self._done += batch + 1 - self._step
        if self._active and self._done >= self.last:
            self._stop()

    def _stop(self) -> None:
        self._active = False
        tf.profiler.experimental.stop()
        logging.info(
            "Profile of steps %d to %d: %s",
            *(self._begun, self._done, self.folder.events / "plugins" / "profile"),
        )
