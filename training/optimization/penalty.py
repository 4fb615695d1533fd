"""Weight decay as L2, a part of the loss."""

from collections.abc import Sequence

import tensorflow as tf


def l2_penalty(variables: Sequence, weight_decay: float) -> tf.Tensor:
    """weight_decay / 2 times the sum of squares of all kernels: a float32 scalar, part of the loss.

    Its gradient, weight_decay * w, passes through momentum and learning rate: "grad += wd * param",
    as add_weight_decay in Caffe2's caffe2/python/helpers/train.py has it, and as
    torch.optim.SGD(weight_decay=) does; Keras' own SGD(weight_decay=) is decoupled. Batch
    normalisation's scales and offsets and biases, which alone have one axis, are left out.
    """
    kernels = [variable for variable in variables if len(variable.shape) > 1]
    if not weight_decay or not kernels:
        return tf.constant(0.0)
    halves = [tf.nn.l2_loss(tf.convert_to_tensor(kernel)) for kernel in kernels]
    return weight_decay * tf.add_n([tf.cast(half, tf.float32) for half in halves])
