"""Where a run stands."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Place:
    """A place in a run: between two steps of an epoch, or between two epochs.

    epochs: that are done, with all that comes at an epoch's end. steps: that are done of the epoch
    after these. totals: sums of loss, right answers and examples over these steps.
    """

    epochs: int = 0
    steps: int = 0
    totals: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __str__(self) -> str:
        """In words, to be put behind "after"."""
        epochs = f"epoch {self.epochs}" if self.epochs else ""
        steps = f"step {self.steps} of epoch {self.epochs + 1}" if self.steps else ""
        return steps or epochs or "no step"


class InterruptedRun(Exception):  # noqa: N818 - no error: somebody asked for it
    """The run was asked to end before it was done, and stands at a place to go on from."""
