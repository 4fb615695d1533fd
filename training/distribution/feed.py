"""The batches of a distributed dataset, one after another."""

import threading

import tensorflow as tf


class Feed:
    """An iterator over `batches`, in a `with` statement: at its end nobody waits until it is freed.

    Freeing it may take as long as it has lived. Between a dataset and the replicas TensorFlow has
    an iterator of its own, with a thread that tunes it, which no option of the dataset turns off.
    That thread sleeps for 10 ms, then twice as long each time, and must end first: as of TensorFlow
    2.21 it may be woken a moment too early, find that it is not to end yet, and sleep on. On one
    CPU core that was so after each epoch: 21 s of work, then 18 s of waiting.

    The thread that frees it is waited for at the end of the process, as Python may not end within
    TensorFlow's destructors: the process would be aborted.

    Attributes:
        iterator: tf.distribute's; keep no reference to it, the last one is to be the feed's.
    """

    def __init__(self, batches: tf.distribute.DistributedDataset):
        self.iterator = iter(batches)

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_):
        last = [self.__dict__.pop("iterator")]
        threading.Thread(target=last.clear, name="free a feed").start()
