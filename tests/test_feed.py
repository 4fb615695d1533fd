"""The iterators of an epoch are freed while the training goes on."""

import subprocess
import sys
import threading
import weakref

import pytest
import tensorflow as tf

from r21d_keras.training.distribution.feed import Feed
from r21d_keras.training.distribution.slices import distribute
from tests.conftest import ROOT


def batches(replicas):
    strategy = tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])
    clips, labels = tf.zeros([6, 2, 4, 4, 3], tf.uint8), tf.range(6)
    return distribute(tf.data.Dataset.from_tensor_slices((clips, labels)).batch(2), strategy)


@pytest.mark.parametrize("replicas", [1, 2])
def test_an_iterator_is_freed_by_a_thread_of_its_own(replicas):
    freed, seen = threading.Event(), []
    with Feed(batches(replicas)) as feed:
        weakref.finalize(
            feed.iterator, lambda: (seen.append(threading.current_thread()), freed.set())
        )
        for _ in range(3):
            next(feed.iterator)
    assert freed.wait(60)
    assert [thread.name for thread in seen] == ["free a feed"]
    assert seen[0] is not threading.current_thread()


def test_an_error_in_the_block_is_the_callers():
    with pytest.raises(ZeroDivisionError), Feed(batches(1)) as feed:
        next(feed.iterator)
        raise ZeroDivisionError
    assert not hasattr(feed, "iterator")


ENDS_AT_ONCE = """
import os, time
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from r21d_keras.training.distribution.feed import Feed
from tests.test_feed import batches
for _ in range(3):
    with Feed(batches(1)) as feed:
        next(feed.iterator)
        time.sleep(0.7)  # the tuner's next sleep ends after 1.27 s
        next(feed.iterator)
"""


def test_a_process_ends_well_while_iterators_are_freed():
    done = subprocess.run([sys.executable, "-c", ENDS_AT_ONCE], cwd=ROOT, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
