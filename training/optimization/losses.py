"""What training and validation measure: cross-entropy and right answers, of one label or several.

Labels are int32 (b,); or float32 (b, N), the share of each class in an example's label set.
"""

import tensorflow as tf


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor, smoothing: float) -> tf.Tensor:
    """(b,) losses of `logits` (b, N) after a softmax.

    `smoothing` is the share of the target spread evenly over all classes.
    """
    log_probabilities = tf.nn.log_softmax(logits)
    if labels.dtype.is_floating:
        right = tf.reduce_sum(labels * log_probabilities, axis=-1)
    else:
        right = tf.gather(log_probabilities, labels, batch_dims=1)
    return -(1.0 - smoothing) * right - smoothing * tf.reduce_mean(log_probabilities, axis=-1)


def sums(labels: tf.Tensor, logits: tf.Tensor, losses: tf.Tensor, counts=None) -> tf.Tensor:
    """(3,) sums over examples: losses, right answers, ones. Of several labels any is right.

    `counts` (b,) are 1, or 0 for an example that is not to count; None: all count.
    """
    best = tf.argmax(logits, -1, output_type=tf.int32)
    if labels.dtype.is_floating:
        hits = tf.gather(labels, best, batch_dims=1) > 0.0
    else:
        hits = tf.equal(best, labels)
    counts = tf.ones_like(losses) if counts is None else counts
    return tf.stack([tf.reduce_sum(counts * x) for x in (losses, tf.cast(hits, tf.float32), 1.0)])


def means(totals) -> dict[str, float]:
    """Loss and accuracy of added `sums`."""
    loss, hits, count = (float(total) for total in totals)
    return {"loss": loss / max(count, 1.0), "accuracy": hits / max(count, 1.0)}
