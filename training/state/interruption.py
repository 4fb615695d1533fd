"""What SIGTERM and Ctrl-C do to a run: it ends where it can go on from."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

from .place import Place

NAMES = {signal.SIGTERM: "SIGTERM", signal.SIGINT: "Ctrl-C"}


class Preempted(BaseException):  # as KeyboardInterrupt: somebody asked for it
    """The run was asked to end before it was done; its state is kept, and it may be started again.

    `r21d train` exits with a code of its own for this.
    """


@contextlib.contextmanager
def ending_at_once() -> Iterator[None]:
    """While it lasts SIGTERM raises Preempted, but where an Interruption has taken the signal.

    For what comes before the first step and after the last, which need not be kept: a scheduler is
    to find the same exit code whenever it asks. In another thread than the main one nothing is
    done.
    """

    def end(number, frame):
        raise Preempted(
            "asked to end by SIGTERM while nothing was being trained. What is kept of the run is "
            "as it was; start it again to go on."
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)


class Interruption:
    """Notices, while it is entered, that the process is asked to end; says whether it was.

    tf.distribute.experimental.PreemptionCheckpointHandler does the same, but for a
    CheckpointManager alone, which keeps no best one and names checkpoints by their number; it saves
    when it likes to, and leaves by sys.exit. A signal is noticed here, and what a run does about it
    is a matter of its loop.

    Signals reach the main thread alone; entered in another one this notices nothing. A second
    Ctrl-C ends the process at once.

    Attributes:
        signal: the one that came, or None.
    """

    def __init__(self):
        self.signal: int | None = None
        self._before = {}

    def __enter__(self):
        """Takes the signals."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in NAMES}
        return self

    def __exit__(self, *error):
        """Gives them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def __call__(self) -> bool:
        """Whether one has come."""
        return self.signal is not None

    def ended(self, place: Place, model_dir: str | os.PathLike) -> BaseException:
        """What to raise when the run has ended at `place` and is kept in `model_dir`."""
        text = f"The run is kept in {model_dir} as it was after {place}; start it again to go on."
        if self.signal == signal.SIGINT:
            return KeyboardInterrupt(text)
        return Preempted(f"asked to end by {NAMES.get(self.signal, 'another worker')}. {text}")

    def _note(self, number, frame):
        if self.signal == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number
        # Not by logging: the signal may have come amid a line that is being logged.
        again = ", at once if you press it again" if number == signal.SIGINT else ""
        with contextlib.suppress(OSError):
            os.write(2, f"\n{NAMES[number]}: the run ends after this call{again}.\n".encode())
