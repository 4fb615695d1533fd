"""Two workers, of which one or the other is killed again and again, at random."""

import json
import os
import random
import signal
import time

import numpy as np

from r21d_keras._keras import KERAS3
from r21d_keras.training.commands.command import DONE, FAILED, LOST, PREEMPTED
from r21d_keras.training.history import read_history
from r21d_keras.training.model_dir import load_run
from r21d_keras.training.state.place import Place
from r21d_keras.training.state.shelf import Shelf
from tests import processes
from tests.test_mid_epoch import arguments
from tests.waits import until
from tests.workers import tf_configs

RESTARTS = 20 if KERAS3 else 6
STEPS = 3  # an epoch
EPOCHS = 36  # not done before all restarts are
WAIT_S = 900.0  # for what takes some seconds on a machine that does nothing else


def test_workers_that_are_killed_again_and_again_end_with_the_weights_of_others(
    tiny_videos, tmp_path
):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    pair = start(tiny_videos, whole, tmp_path, checkpoint_interval=0)
    draw, restarts = random.Random(0), 0
    assert [ended(process) for process in pair] == [DONE, DONE], said(tmp_path)
    while restarts < RESTARTS:
        before = done(killed)
        pair = start(tiny_videos, killed, tmp_path)
        victim, steps = draw.randrange(2), draw.randrange(1, 4)
        wait_for(killed, before + steps, pair, tmp_path)
        time.sleep(draw.uniform(0.0, 0.03))
        pair[victim].kill()
        codes = [ended(process) for process in pair]
        assert codes[victim] == -signal.SIGKILL and codes[1 - victim] == LOST, said(tmp_path)
        restarts += 1
    assert done(killed) < STEPS * EPOCHS
    pair = start(tiny_videos, killed, tmp_path)
    assert [ended(process) for process in pair] == [DONE, DONE], said(tmp_path)
    for which in ("final", "best"):
        left, right = (load_run(root, which)[2].get_weights() for root in (whole, killed))
        for one, other in zip(left, right, strict=True):
            np.testing.assert_array_equal(one, other)
    left, right = (read_history(root / "history.csv") for root in (whole, killed))
    assert len(left) == EPOCHS
    for one, other in zip(left, right, strict=True):
        assert one | {"seconds": ""} == other | {"seconds": ""}


def test_one_worker_that_is_asked_to_end_ends_all_at_one_step(tiny_videos, tmp_path):
    pair = start(tiny_videos, tmp_path / "run", tmp_path)
    wait_for(tmp_path / "run", 1, pair, tmp_path)
    os.kill(pair[1].pid, signal.SIGTERM)
    assert [ended(process) for process in pair] == [PREEMPTED, PREEMPTED], said(tmp_path)
    place = max(Shelf(str(tmp_path / "run" / "checkpoints")).places())
    chief, other = (path.read_text("utf-8") for path in sorted(tmp_path.glob("log.*")))
    assert f"asked to end by another worker. The run is kept in {tmp_path}/run as it was" in chief
    assert f"asked to end by SIGTERM. The run is kept in {tmp_path}/run as it was" in other
    for text in (chief, other):
        assert f"as it was after {place}; start it again to go on." in text


def test_a_loss_that_is_no_number_ends_all_and_the_chief_says_where(tiny_videos, tmp_path):
    pair = start(tiny_videos, tmp_path / "run", tmp_path, base_learning_rate=1e25)
    assert [ended(process) for process in pair] == [FAILED, FAILED], said(tmp_path)
    chief, other = (
        path.read_text("utf-8").splitlines()[-1] for path in sorted(tmp_path.glob("log.*"))
    )
    told = json.loads((tmp_path / "run" / "diverged.json").read_text("utf-8"))
    assert f"The batch was of {told['videos'][0]}, " in chief
    assert f"The last good checkpoint is {told['checkpoint']}.*. Try a smaller" in chief
    assert other.partition(" in epoch ")[0] == chief.partition(" in epoch ")[0]
    assert other.endswith("The chief says on which videos, and what is kept.")


def start(videos, root, folder, **more):
    """Two workers that train one run, as two machines would."""
    options = {
        "strategy": "multi_worker_mirrored",
        "worker_timeout_s": WAIT_S,
        "epochs": EPOCHS,
        "validate_every": 20,
        "num_readers": 1,
        "steps_per_call": 1,
        **more,
    }
    return [
        processes.start(arguments(videos, root, **options), folder / f"log.{i}", (), variables)
        for i, variables in enumerate(tf_configs(2))
    ]


def wait_for(root, steps, pair, folder):
    """Until so many steps of the run are kept."""
    until(lambda: done(root) >= steps, pair, lambda: said(folder))


def ended(process):
    """What a process has exited with; None if it hangs, and then it does not any more."""
    process.join(WAIT_S)
    code = process.exitcode
    process.kill()
    return code


def done(root):
    """Steps of the run that are kept."""
    place = max(Shelf(str(root / "checkpoints")).places(), default=Place())
    return STEPS * place.epochs + place.steps


def said(folder):
    return "\n".join(path.read_text("utf-8")[-3000:] for path in sorted(folder.glob("log.*")))
