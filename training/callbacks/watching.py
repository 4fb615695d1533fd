"""All by which a run is watched from outside, together."""

import contextlib
from collections.abc import Callable

import keras

from ..loop import Loop
from ..options import step_range
from ..run_folder import ModelDir
from .heart import Heart
from .profile import Profile
from .scalars import Scalars


class Watching(contextlib.ExitStack):
    """Entered for as long as a run trains: progress.json, the speed in TensorBoard, a profile.

    Args:
        validates: whether there are videos to validate on.
        writes: whether this process writes in the folder; if not, nothing is done.

    Attributes:
        callbacks: for the loop.
        validated: to be called after each batch of the validation.
    """

    def __init__(
        self, loop: Loop, folder: ModelDir, clips_per_epoch: int, validates: bool, writes: bool
    ):
        super().__init__()
        self.callbacks: list[keras.callbacks.Callback] = []
        self.validated: Callable[[], None] = lambda: None
        if not writes:
            return
        heart = Heart(loop, folder, clips_per_epoch, validates)
        self.callbacks += [heart, Scalars(loop, folder, clips_per_epoch)]
        self.validated = heart.validated
        steps = step_range(loop.config.profile_steps)
        if steps:
            self.callbacks.append(Profile(loop, folder, *steps))

    def __enter__(self):
        """Enters those that last."""
        super().__enter__()
        for callback in self.callbacks:
            if hasattr(callback, "__enter__"):
                self.enter_context(callback)
        return self
