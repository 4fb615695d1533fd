"""A process that keeps states without end, to be killed at any moment, and looks at what is left.

`python -m tests.saving ROOT KILLS` starts one after the other KILLS times, each with what the one
before has left, and kills it with SIGKILL a short, random time after it has begun.
"""

import os
import random
import signal
import sys
import time
import traceback

import tensorflow as tf

from r21d_keras.training.state.place import Place
from r21d_keras.training.state.shelf import Shelf

NUMBERS = 250_000  # of each variable, 1 MB
STEPS = 7  # an epoch


def main(root: str, kills: int) -> None:
    """Kills as many writers; prints where the last state is of."""
    draw, shelf = random.Random(0), Shelf(root)
    for _ in range(kills):
        ready, told = os.pipe()
        if not (child := os.fork()):  # nothing of TensorFlow has been started in this process
            _keep_on(shelf, told)
        os.close(told)
        assert os.read(ready, 1) == b"r", "the state that a killed process has left is not whole"
        os.close(ready)
        time.sleep(draw.uniform(0.0, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    print(*shelf.places(), sep="\n")


def _keep_on(shelf: Shelf, told: int) -> None:
    """Goes on from the last state, which it checks, until it is killed."""
    try:
        variables = [tf.Variable(tf.zeros([NUMBERS])) for _ in range(4)]
        checkpoint = tf.train.Checkpoint(variables=variables)
        shelf.sweep()
        places = shelf.places()
        place = places[0] if places else Place()
        for each in places:  # all that are there are whole, not only the newest
            checkpoint.read(shelf.prefix(each)).assert_existing_objects_matched()
            for variable in variables:
                assert (variable.numpy() == _number(each)).all(), each
        os.write(told, b"r")
        while True:
            steps = place.epochs * STEPS + place.steps + 1
            place = Place(steps // STEPS, steps % STEPS)
            for variable in variables:
                variable.assign(tf.fill([NUMBERS], _number(place)))
            shelf.write(checkpoint, place)
            shelf.keep(place, newest=2, best=Place(place.epochs // 3 * 3))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _number(place: Place) -> float:
    return float(place.epochs * STEPS + place.steps)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
