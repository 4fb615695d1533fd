"""The training loop: replicas, several steps a call, standard keras.callbacks.

Not Model.fit, which on Keras 3 fails on several workers and with several steps a call on several
replicas, and weighs a short last batch by replica.
"""

import contextlib
import math
from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from r21d_keras._keras import backend_variable

from .config import TrainConfig
from .distribution.feed import Feed
from .distribution.slices import distribute
from .distribution.waiting import timed_next
from .distribution.workers import Workers
from .optimization.averages import make_averages
from .optimization.losses import means
from .optimization.optimizer import make_optimizer
from .optimization.schedule import RunRate, WarmupSchedule
from .optimization.step import Step
from .state.divergence import DivergedError
from .state.place import InterruptedRun, Place


class Loop:
    """Trains `model` (logits out) under `strategy`; make it within strategy.scope().

    A global batch is one batch whatever the number of replicas: losses are summed over its examples
    and divided by their number, also where it is short, and gradients are summed over replicas.

    In the first config.head_epochs epochs the last layer alone is trained: the others stay as they
    are, statistics of batch normalisation included. It has an optimizer of its own, so that what
    follows starts with the weights of then and nothing else, as a run of its own would.

    Attributes:
        optimizer: of all weights.
        head_optimizer: of the last layer in the first config.head_epochs epochs, or None.
        steps_done: optimizer steps since the start of the run, int64 variable.
        place: where the run stands; set it, with all that a checkpoint has, to go on from there.
        averages: the model's averaged weights, or None.
        num_traces: how often TensorFlow has traced a training or an evaluation step.
        waited_s: seconds in which training stood and waited for a batch, since this was made.
    """

    def __init__(
        self,
        model: keras.Model,
        schedule: WarmupSchedule,
        strategy: tf.distribute.Strategy,
        config: TrainConfig,
    ):
        self.model, self.schedule = model, schedule
        self.strategy, self.config = strategy, config
        self._workers = Workers(strategy)
        self.steps_done = tf.Variable(0, dtype=tf.int64, trainable=False)
        rate, head = RunRate(schedule, self.steps_done), model.layers[-1].trainable_variables
        self.optimizer = make_optimizer(config, rate, model.trainable_variables)
        self.head_optimizer = make_optimizer(config, rate, head) if config.head_epochs else None
        self.averages = make_averages(config, model.weights, self.steps_done, schedule.steps_of_run)
        self.num_traces, self.waited_s, self.place = 0, 0.0, Place()
        self._interrupted: Callable[[], bool] = lambda: False
        # Callbacks see a model with an optimizer; it shares all layers with `model`, whose saved
        # weights stay free of the optimizer's state.
        self.driven = keras.Model(model.inputs, model.outputs)
        self.driven.compile(optimizer=self.optimizer)
        optimizers = (self.optimizer, self.head_optimizer)
        self._step = Step(model, optimizers, strategy, config, self.steps_done)
        self._train_call = tf.function(self._train_steps)
        self._test_call = None

    def run(
        self,
        train_data: Callable[..., tf.data.Dataset],
        validate: Callable[[], dict[str, float]] | None = None,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        interrupted: Callable[[], bool] = lambda: False,
    ) -> dict[str, float]:
        """Trains from `place` to config.epochs.

        Args:
            train_data: from an epoch, and the step to begin at where that is not the first, to
                (clips, labels) in global batches; their number is known.
            validate: gives val_ logs; asked after every config.validate_every epochs and the last.
            callbacks: called as Model.fit calls them; with several steps a call, batch callbacks
                are called for the first and the last step of each. A call ends where
                config.checkpoint_interval wants the state to be kept.
            interrupted: asked before each call of TensorFlow whether to end the run there.

        Returns:
            The logs of the last epoch.

        Raises:
            DivergedError: if the loss, a weight or what is validated is not finite; no callback
                has seen the end of that epoch.
            InterruptedRun: if it was `interrupted`; all is as `place` says.
        """
        self._interrupted = interrupted
        listeners = keras.callbacks.CallbackList(
            list(callbacks),
            model=self.driven,
            verbose=0,
            epochs=self.config.epochs,
            steps=self.place.steps + self._rest(train_data)[1],
        )
        logs: dict[str, float] = {}
        self.driven.stop_training = False
        listeners.on_train_begin()
        for epoch in range(self.place.epochs, self.config.epochs):
            listeners.on_epoch_begin(epoch)
            logs = self._train_epoch(epoch, train_data, listeners)
            every, last = self.config.validate_every, epoch + 1 == self.config.epochs
            if validate and every and (last or (epoch + 1) % every == 0):
                logs |= {f"val_{name}": value for name, value in validate().items()}
            self._check_epoch(logs)
            self.place = Place(epoch + 1)
            listeners.on_epoch_end(epoch, logs)
            if self._workers.any(self.driven.stop_training):
                break
        listeners.on_train_end(logs)
        return logs

    def evaluate(
        self, dataset: tf.data.Dataset, after_batch: Callable[[], None] = lambda: None
    ) -> dict[str, float]:
        """Loss and accuracy of the final weights on `dataset`, each example counted once."""
        totals, batches = tf.zeros(3), distribute(dataset, self.strategy)
        if self._test_call is None:  # the signature leaves the batch size open: one trace for all
            self._test_call = tf.function(self._test_batch, input_signature=[batches.element_spec])
        with self.final_weights(), Feed(batches) as feed:
            for _ in range(num_batches(dataset)):
                self._check_interrupted()
                totals += self._test_call(next(feed.iterator))
                after_batch()
        return means(totals.numpy())

    @contextlib.contextmanager
    def final_weights(self):
        """While it lasts the model has the weights that are validated and saved."""
        with self.strategy.scope(), contextlib.ExitStack() as stack:
            if self.averages:
                stack.enter_context(self.averages.swapped_in())
            yield self.model

    def steps_of_call(self, steps_left: int) -> int:
        """How many steps the next call of TensorFlow takes, with so many left of the epoch."""
        count, interval = self.config.steps_per_call, self.config.checkpoint_interval
        if interval:  # a call ends where the state is to be kept
            count = min(count, interval - int(self.steps_done.numpy()) % interval)
        return min(count, steps_left)

    def _train_epoch(self, epoch, train_data, listeners) -> dict[str, float]:
        step, head_alone = self.place.steps, epoch < self.config.head_epochs
        dataset, left = self._rest(train_data)
        num_steps = step + left
        totals = tf.constant(self.place.totals, tf.float64)
        with Feed(distribute(dataset, self.strategy)) as feed:
            while step < num_steps:
                self._check_interrupted()
                count = self.steps_of_call(num_steps - step)
                listeners.on_train_batch_begin(step)
                told = self._train_call(feed.iterator, tf.constant(count), head_alone, totals)
                totals, bad, waited_s = told
                self.waited_s += float(waited_s)
                if (bad := int(bad)) >= 0:
                    what = "The loss became infinite or no number"
                    raise self._diverged(what, step + bad, steps_ago=count - bad)
                step += count
                self.place = Place(epoch, step, tuple(totals.numpy().tolist()))
                listeners.on_train_batch_end(step - 1, means(totals.numpy()))
        return means(totals.numpy()) | {"learning_rate": float(self.schedule(self.steps_done - 1))}

    def _rest(self, train_data) -> tuple[tf.data.Dataset, int]:
        """What is left of the epoch at `place`, and the number of its batches."""
        epoch, steps = self.place.epochs, self.place.steps
        if not steps:
            return (dataset := train_data(epoch)), num_batches(dataset)
        return (dataset := train_data(epoch, steps)), num_batches(dataset, at_least=0)

    def _check_interrupted(self):
        if self._interrupted():
            raise InterruptedRun

    def _check_epoch(self, logs):
        self.check_weights()
        for name, value in logs.items():
            if not math.isfinite(value):
                raise self._diverged(f"{name} became {value}")

    def check_weights(self) -> None:
        """Checks what the last step left: its own loss is of the weights before it.

        Raises:
            DivergedError: if a weight is not finite.
        """
        weights = [backend_variable(weight) for weight in self.model.weights]
        averages = self.averages.variables if self.averages else []
        floats = [w for w in (*weights, *averages) if tf.as_dtype(w.dtype).is_floating]
        finite = [tf.reduce_all(tf.math.is_finite(tf.convert_to_tensor(w))) for w in floats]
        if not tf.reduce_all(finite):
            raise self._diverged("A weight became infinite or no number", self.place.steps - 1)

    def _diverged(self, what, step=None, steps_ago=1) -> DivergedError:
        rate = float(self.schedule(self.steps_done - steps_ago))
        return DivergedError(what, rate, self.place.epochs, step)

    def _train_steps(self, iterator, count, head_alone, totals):
        """Adds `count` steps to `totals`, float64.

        Says also which was the first to fail, or -1, and for how many seconds it had to wait.
        """
        self.num_traces += 1
        first_bad, waited_s = tf.constant(-1), tf.constant(0.0, tf.float64)
        for i in tf.range(count):
            batch, seconds = timed_next(iterator, after=totals)
            waited_s += seconds
            found = self._step.train(batch, head_alone)
            first_bad = tf.where((first_bad < 0) & ~tf.math.is_finite(found[0]), i, first_bad)
            totals += tf.cast(found, totals.dtype)
            self.steps_done.assign_add(1)
            if self.averages is not None:
                self.averages.update()
        return totals, first_bad, waited_s

    def _test_batch(self, batch):
        self.num_traces += 1
        return self._step.test(batch)


def num_batches(dataset: tf.data.Dataset, at_least: int = 1) -> int:
    """The number of batches of `dataset`.

    Raises:
        ValueError: if TensorFlow does not know it, or there are less than are to be.
    """
    count = int(dataset.cardinality())
    if count < at_least:
        raise ValueError(f"Expected a data set with a known number of batches; got {count}.")
    return count
