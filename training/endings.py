"""How a training may end before it is done, and what `train` makes of it."""

import contextlib
from collections.abc import Callable, Iterator

import tensorflow as tf

from .data.pipeline import BadVideos
from .data.video_set import VideoSet
from .distribution.workers import Workers
from .loop import Loop
from .remote.urls import shown
from .state.checkpoints import RunState
from .state.divergence import DivergedError, explained, told_by_chief, videos_of_batch
from .state.interruption import Interruption
from .state.place import InterruptedRun


@contextlib.contextmanager
def endings(
    loop: Loop, state: RunState, videos: VideoSet, bad_videos: BadVideos, workers: Workers
) -> Iterator[Callable[[], bool]]:
    """Gives what tells `loop` whether to end: the same on all `workers`, if a signal comes to one.

    Raises:
        Preempted, KeyboardInterrupt: in place of InterruptedRun; the state is kept by then.
        DivergedError: on the chief with the videos of the batch and the last good checkpoint.
        VideoError: what TensorFlow reports as an error of its own.
    """
    with Interruption() as asked:
        try:
            yield lambda: workers.any(asked())
        except InterruptedRun:
            state.save()
            workers.leave()
            kept_in = state.folder.root if workers.is_chief else shown(loop.config.model_dir)
            raise asked.ended(loop.place, kept_in) from None
        except DivergedError as error:
            workers.leave()
            if not workers.is_chief:
                raise told_by_chief(error) from None
            batch = videos_of_batch(videos, loop.config, error.epoch, error.step, bad_videos)
            raise explained(error, state.folder, batch, state.newest) from None
        except tf.errors.OpError as error:  # how TensorFlow reports what its pipeline raised
            raise (bad_videos.fatal or error) from None
