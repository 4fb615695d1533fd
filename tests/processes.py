"""Trainings in processes of their own that start at once: forked from one that has imported all."""

import functools
import multiprocessing
import os
import pathlib
import signal
import sys
from concurrent.futures import ProcessPoolExecutor

_IMPORTED = ("r21d_keras.training.train", "r21d_keras.training.cli", "tests.processes")


@functools.cache
def _context():
    """Nothing of TensorFlow has been started in the process that is forked, only imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_IMPORTED])
    return context


def start(arguments: list[str], output: pathlib.Path, ends=(), environment=None):
    """A process that runs `r21d` with `arguments` and writes what it has to say to `output`.

    ends: (epoch, step, signal), all counted from 0; it sends itself the signal before that step.
    """
    process = _context().Process(target=_main, args=(arguments, output, ends, environment or {}))
    process.start()
    return process


def run(arguments: list[str], output: pathlib.Path, ends=(), environment=None) -> int:
    """What such a process has exited with."""
    process = start(arguments, output, ends, environment)
    process.join(timeout=600)
    return process.exitcode


def result(function, *arguments):
    """What a function of a module returns or raises there."""
    with ProcessPoolExecutor(1, mp_context=_context()) as pool:
        return pool.submit(function, *arguments).result(timeout=600)


def _main(arguments, output, ends, environment):
    os.environ |= environment
    with open(output, "a") as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
    from r21d_keras.training import cli
    from r21d_keras.training.callbacks.keep import KeepState

    signal.signal(signal.SIGINT, signal.default_int_handler)
    KeepState.on_epoch_begin = lambda self, epoch, logs=None: setattr(self, "epoch", epoch)
    KeepState.on_train_batch_begin = lambda self, step, logs=None: [
        os.kill(os.getpid(), number) for *place, number in ends if place == [self.epoch, step]
    ]
    sys.exit(cli.main(arguments))
