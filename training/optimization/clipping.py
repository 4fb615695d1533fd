"""Gradients that are too large together are made smaller together."""

from collections.abc import Sequence

import tensorflow as tf


def clip_by_global_norm(gradients: Sequence[tf.Tensor], limit: tf.Tensor) -> list[tf.Tensor]:
    """What each replica gives so that the sum over replicas has at most the norm `limit`, float32.

    The norm is of all gradients together and of their sum over replicas, so that it does not depend
    on their number; Keras 3 clips each replica's share (keras/src/optimizers/base_optimizer.py,
    _backend_apply_gradients). To be called in a replica. Where a gradient is not finite the results
    are not either, on any replica.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        context = tf.distribute.get_replica_context()
        gradients = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
    # A gradient that is no number makes all none, an infinite one itself (0 times infinity).
    norm = tf.cast(tf.linalg.global_norm(gradients), limit.dtype)
    factor = tf.minimum(1.0, limit / norm)
    factor /= replicas  # the optimizer sums once more
    return [tf.cast(factor, gradient.dtype) * gradient for gradient in gradients]
