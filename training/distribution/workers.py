"""The processes that train together: who writes, what all of them are told, what they lose."""

import contextlib
import functools
import re
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from ..options import ConfigError
from .lost import WorkerLostError
from .slices import Part


class Workers:
    """The processes of a strategy, of which this one is number `index`; one alone is the chief.

    What is asked of all, here and in saving a model, waits until all have come to it.

    Attributes:
        addresses: host:port of each; ("",) of one alone.
        index: of this one; the chief, who alone writes to the folder of the run, is 0.
        part: which replicas are this one's.
    """

    def __init__(self, strategy: tf.distribute.Strategy):
        self._strategy, resolver = strategy, strategy.cluster_resolver
        jobs = resolver.cluster_spec().as_dict() if resolver else {}
        self.addresses = (*jobs.get("chief", ()), *jobs.get("worker", ())) or ("",)
        self._first = {"chief": 0, "worker": len(jobs.get("chief", ()))}  # numbers, by kind of task
        self.index = self._first[resolver.task_type] + resolver.task_id if jobs else 0
        replicas = strategy.num_replicas_in_sync
        here = replicas // len(self)
        self.part = Part(self.index * here, (self.index + 1) * here, replicas)

    def __len__(self) -> int:
        """Number of processes."""
        return len(self.addresses)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is kept of the run."""
        return self.index == 0

    def name(self, index: int) -> str:
        """How messages call a worker."""
        return f"worker {index} ({self.addresses[index]})"

    def exchange(self, text: str) -> list[str]:
        """The text of each worker, in order."""
        if len(self) == 1:
            return [text]
        data = np.frombuffer(f"{text}\n".encode(), np.uint8)  # never empty
        data = data.astype(np.int32)  # no smaller whole numbers can be gathered
        ends = np.cumsum(self._gather(np.array([len(data)], np.int32)))
        parts = np.split(self._gather(data), ends[:-1])
        return [part.astype(np.uint8).tobytes().decode()[:-1] for part in parts]

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true on one worker at least."""
        # One message, not the two of `exchange`: this is asked before each call of TensorFlow.
        return flag if len(self) == 1 else bool(self._gather(np.array([flag], np.int32)).any())

    def leave(self) -> None:
        """Returns when all workers have called it, and none of them needs this one any more."""
        self.any(False)
        self._part()

    def take_chiefs(self, variables: Sequence[tf.Variable]) -> None:
        """Gives `variables`, the same on all workers, the values that they have on the chief."""
        if len(self) == 1:
            return
        for variable in variables:
            copies = self._strategy.experimental_local_results(variable)
            value = tf.identity(copies[0])
            mine = value if self.is_chief else tf.zeros_like(value)
            chiefs = self._strategy.reduce(tf.distribute.ReduceOp.SUM, mine, axis=None)
            for copy in copies:
                copy.assign(chiefs)

    @contextlib.contextmanager
    def failing_together(self) -> Iterator[None]:
        """What one worker raises while this lasts ends all of them, each with its message.

        Raises:
            ConfigError: what another has raised.
        """
        try:
            yield
        except Exception as error:
            with contextlib.suppress(tf.errors.OpError):  # another is lost: no matter any more
                self.exchange(f"{type(error).__name__}: {' '.join(str(error).split())}")
            self._part()
            raise
        failed = [(i, text) for i, text in enumerate(self.exchange("")) if text]
        if failed:
            self._part()
            index, text = failed[0]
            raise ConfigError(f"Stopped because {self.name(index)} has failed. {text}")

    @contextlib.contextmanager
    def noticing_losses(self) -> Iterator[None]:
        """While it lasts, what TensorFlow raises because of a lost worker is a WorkerLostError."""
        try:
            yield
        except tf.errors.OpError as error:
            if len(self) == 1 or not _LOSS.search(str(error)):
                raise
            raise WorkerLostError(self._lost(str(error))) from None

    def _part(self) -> None:
        """To be called by all before they end, after what they have last asked of each other.

        A worker that has an answer may have to pass it on. All who have come as far as here have
        had theirs, so that it is no matter who ends while the others are still in here.
        """
        with contextlib.suppress(tf.errors.OpError):
            self.any(False)

    def _lost(self, text: str) -> str:
        tasks = {self._first[job] + int(task) for job, task in _TASK.findall(text)}
        if "CoordinationService" in text:  # it is the chief's
            tasks.add(0)
        who = " and ".join(self.name(i) for i in sorted(tasks - {self.index})) or "a worker"
        reason = text.partition(_ABORTED)[2].strip().splitlines()
        reason = f" ({reason[0].strip()})" if reason else ""
        return (
            f"{who[0].upper()}{who[1:]} has ended, or cannot be reached any more{reason}. Start "
            "all workers again: the run goes on from its last checkpoint."
        )

    def _gather(self, values: np.ndarray) -> np.ndarray:
        return _gatherer(self._strategy)(tf.constant(values)).numpy()


@functools.cache
def _gatherer(strategy: tf.distribute.Strategy):
    """Traced once: TensorFlow's own function is traced again for each text."""
    signature = [tf.TensorSpec([None], tf.int32)]
    return tf.function(lambda values: strategy.gather(values, axis=0), input_signature=signature)


_ABORTED = "Collective ops is aborted by:"
_LOSS = re.compile(f"{_ABORTED}|CoordinationService|heartbeat")
_TASK = re.compile(r"/job:(chief|worker)/(?:replica:\d+/)?task:(\d+)")
