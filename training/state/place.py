"""Where a run stands."""

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Place:
    """A place in a run: between two steps of an epoch, or between two epochs.

    epochs: that are done, with all that comes at an epoch's end. steps: that are done of the epoch
    after these. totals: sums of loss, right answers and examples over these steps.
    """

    epochs: int = 0
    steps: int = 0
    totals: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0), compare=False)

    def __str__(self) -> str:
        """In words, to be put behind "after"."""
        if self.steps:
            return f"step {self.steps} of epoch {self.epochs + 1}"
        return f"epoch {self.epochs}" if self.epochs else "no step"


class InterruptedRun(Exception):  # noqa: N818 - no error: somebody asked for it
    """The run was asked to end before it was done, and stands at a place to go on from."""
