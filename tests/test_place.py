"""The state of a loop amid an epoch: kept at any step, gone on from, and as if nothing had been."""

import numpy as np
import pytest

from r21d_keras._keras import KERAS3
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.checkpoints import RunState
from r21d_keras.training.state.place import InterruptedRun
from tests.loops import Recorder, batches, linear_model, make_loop

EXAMPLES = 29  # an epoch: four steps, the last of 5 examples
OPTIONS = {"epochs": 2, "warmup_epochs": 0.5, "dropout": 0.5, "ema_decay": 0.9, "steps_per_call": 2}
DATA = {"train": {"videos": 1, "sha256": "0"}}


def rest(epoch, step=0):
    return batches(EXAMPLES).skip(step)


def variables(loop):
    """All numbers that a checkpoint of the loop holds."""
    averages = loop.averages.variables if loop.averages else []
    optimizers = filter(None, (loop.optimizer, loop.head_optimizer))
    state = [variable for optimizer in optimizers for variable in variables_of(optimizer)]
    return [part.numpy() for part in (*loop.model.weights, *state, *averages, loop.steps_done)]


def variables_of(optimizer):
    return optimizer.variables if KERAS3 else optimizer.variables()


def run(loop, interrupted=lambda: False):
    recorder = Recorder()
    loop.run(rest, lambda: loop.evaluate(batches(9)), [recorder], interrupted)
    return recorder.logs


class After:
    """Says yes when it is asked for the time after `calls` times."""

    def __init__(self, calls):
        self.calls = calls

    def __call__(self):
        self.calls -= 1
        return self.calls < 0


@pytest.mark.parametrize(
    "options, tolerance",
    [
        ({}, 0.0),
        ({"precision": "mixed_float16", "head_epochs": 1, "init_from": "run"}, 0.0),
        ({"optimizer": "adamw", "ema_decay": 0.0, "swa_epochs": 1, "swa_every": 1}, 0.0),
        ({"strategy": "mirrored", "num_cpu_replicas": 2}, 1e-6),
    ],
)
def test_a_loop_goes_on_from_any_call_as_if_it_had_not_ended(tmp_path, options, tolerance):
    options = {"strategy": "one", "policy": options.get("precision", "float32"), **options}
    whole = make_loop(linear_model, **OPTIONS | options)
    logs, folder, ends = run(whole), ModelDir(tmp_path), []
    for calls in (1, 2, 3, 1, 9):  # of training and of evaluation, before a loop is interrupted
        loop = make_loop(linear_model, **OPTIONS | options)
        state = RunState(loop, folder, DATA)
        state.restore()
        try:
            last = run(loop, After(calls))[-1]
        except InterruptedRun:
            ends.append((loop.place.epochs, loop.place.steps))
            state.save()
    assert ends == [(0, 2), (0, 4), (1, 2), (1, 4)]  # each (., 4) is amid a validation
    assert last == pytest.approx(logs[-1], rel=0, abs=tolerance)
    for left, right in zip(variables(whole), variables(loop), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance)
