"""When a run has diverged: at which step, on which videos, and what is kept from before."""

import json

from ..config import TrainConfig
from ..data.pipeline import BadVideos, epoch_order
from ..data.video_set import VideoSet
from ..run_folder import ModelDir, write_text

ADVICE = (
    "Try a smaller --base_learning_rate or a longer --warmup_epochs; with reduced precision also "
    "--precision=float32 or mixed_bfloat16."
)
NAMED = 4  # videos that a message names; the file has them all


class DivergedError(ValueError):
    """The loss, a weight or what is validated is no longer a finite number.

    Attributes:
        what: became so. learning_rate: of that step, or of the last one.
        epoch: in which it was found, counted from 0.
        step: of that epoch, counted from 0; None where no step of training is to blame.
    """

    def __init__(
        self,
        what: str,
        learning_rate: float,
        epoch: int,
        step: int | None = None,
        advice: str = ADVICE,
    ):
        self.what, self.learning_rate, self.epoch, self.step = what, learning_rate, epoch, step
        place = f"epoch {epoch + 1}" + ("" if step is None else f", step {step + 1}")
        super().__init__(f"{what} in {place} (learning rate {learning_rate:g}). {advice}")


def explained(
    error: DivergedError, folder: ModelDir, videos: list[str], newest: str
) -> DivergedError:
    """`error` with what helps to find its cause; folder.diverged gets all of it, as JSON.

    Args:
        error: what the loop raised.
        folder: of the run.
        videos: of the batch.
        newest: the last checkpoint, which is of before; "" where there is none.
    """
    values = {
        "what": error.what,
        "epoch": error.epoch + 1,
        "step": None if error.step is None else error.step + 1,
        "learning_rate": error.learning_rate,
        "videos": videos,
        "checkpoint": newest,
    }
    write_text(folder.diverged, json.dumps(values, indent=2) + "\n")
    batch = ""
    if videos:
        more = f" and {len(videos) - NAMED} more, all in {folder.diverged}" * (len(videos) > NAMED)
        batch = f"The batch was of {', '.join(videos[:NAMED])}{more}. "
    kept = f"The last good checkpoint is {newest}.*. " if newest else "No checkpoint is kept yet. "
    return _advised(error, batch + kept + ADVICE)


def told_by_chief(error: DivergedError) -> DivergedError:
    """`error` as a worker says it in whose folder nothing stays."""
    return _advised(error, "The chief says on which videos, and what is kept.")


def _advised(error: DivergedError, advice: str) -> DivergedError:
    return DivergedError(error.what, error.learning_rate, error.epoch, error.step, advice)


def videos_of_batch(
    videos: VideoSet, config: TrainConfig, epoch: int, step: int | None, bad_videos: BadVideos
) -> list[str]:
    """The files, or the names where there are none, of the clips of a step; none of step None.

    In place of a video that could not be read it has the one that was, as `train_batches`.
    """
    if step is None:
        return []
    first = step * config.global_batch_size
    order = epoch_order(videos, config, epoch)[first : first + config.global_batch_size]
    names, bad = videos.paths or videos.names, {path for path, _ in bad_videos.files}
    found = []
    for index in order:
        after = (names[(index + offset) % len(videos)] for offset in range(len(videos)))
        found.append(next((name for name in after if name not in bad), names[index]))
    return found
