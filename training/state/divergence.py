"""When a run has diverged: at which step, on which videos, and what is kept from before."""

ADVICE = (
    "Try a smaller --base_learning_rate or a longer --warmup_epochs; with reduced precision also "
    "--precision=float32 or mixed_bfloat16."
)


class DivergedError(ValueError):
    """The loss, a weight or what is validated is no longer a finite number.

    Attributes:
        epoch: in which it was found, counted from 0.
        step: of that epoch, counted from 0; None where no step of training is to blame.
    """

    def __init__(self, what: str, learning_rate: float, epoch: int, step: int | None = None):
        self.epoch, self.step = epoch, step
        place = f"epoch {epoch + 1}" + ("" if step is None else f", step {step + 1}")
        super().__init__(f"{what} in {place} (learning rate {learning_rate:g}). {ADVICE}")
