"""How long training waits for its input."""

import tensorflow as tf


def timed_next(iterator, after: tf.Tensor) -> tuple:
    """The next element of a distributed `iterator`, and the seconds it took to come, float64.

    For use in a tf.function. The clock starts when `after` is computed, so that what was fetched
    while the step before was at work does not count. On a GPU a step is done, in this sense, when
    all of it is queued: there the seconds are an upper bound of those in which nothing is done.
    """
    with tf.control_dependencies([after]):
        began = tf.timestamp()
    with tf.control_dependencies([began]):
        element = next(iterator)
    with tf.control_dependencies(tf.nest.flatten(element, expand_composites=True)):
        return element, tf.timestamp() - began
