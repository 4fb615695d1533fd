"""Muon: momentum whose update of each convolution is made orthogonal."""

import tensorflow as tf

from r21d_keras._keras import SlotOptimizer

from .lamb import adam_update

# Of the iteration and its five steps: github.com/KellerJordan/Muon, zeropower_via_newtonschulz5.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_STEPS = 5
# An update of n x m has a root mean square of 1 / sqrt(max(n, m)): times this it is 0.2, about
# Adam's, so that one learning rate serves both (Liu et al., arXiv:2502.16982, section 2.2).
RMS = 0.2
ADAM_BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-7  # keras.optimizers.Muon's for the rest


class Muon(SlotOptimizer):
    """Muon for kernels of convolutions, AdamW at the same rate for all else.

    A kernel is a matrix of its outputs by all that each of them is made of. keras.optimizers.Muon,
    with which this one agrees on matrices, takes nothing but matrices: of a video ResNet that is
    the classifier alone, which of all weights should have AdamW (its own documentation). Weight
    decay is of kernels alone, and decoupled.
    """

    def __init__(self, learning_rate, weight_decay=0.0, momentum=0.95, nesterov=True, name="muon"):
        super().__init__(learning_rate, name)
        self.decay, self.momentum, self.nesterov = weight_decay, momentum, nesterov

    def slots(self, variable):
        """The names of the momentum and, where AdamW is used, of the second moment."""
        return ("momentum",) if self.is_orthogonal(variable) else ("momentum", "velocity")

    def is_orthogonal(self, variable) -> bool:
        """Whether a variable's updates are made orthogonal, or else AdamW's."""
        return len(variable.shape) > 2

    def step(self, gradient, variable, rate, count, *kept):
        """The variable and what is kept beside it after a step."""
        weight, gradient = tf.convert_to_tensor(variable), tf.convert_to_tensor(gradient)
        rate = tf.cast(rate, weight.dtype)
        if weight.shape.rank > 1:
            weight *= 1 - rate * self.decay
        if not self.is_orthogonal(variable):
            update, *kept = adam_update(gradient, count, kept, ADAM_BETAS, ADAM_EPSILON)
            return weight - rate * update, *kept
        velocity = self.momentum * tf.convert_to_tensor(kept[0]) + gradient
        ahead = gradient + self.momentum * velocity if self.nesterov else velocity
        matrix = tf.reshape(ahead, (-1, weight.shape[-1]))  # (t * h * w * C, outputs)
        update = orthogonal(matrix) * max(matrix.shape) ** 0.5 * RMS
        return weight - rate * tf.reshape(update, weight.shape), velocity


def orthogonal(matrix: tf.Tensor) -> tf.Tensor:
    """`matrix` with all its singular values near 1, from 0.7 to 1.2: Newton and Schulz' iteration.

    It is exact enough: the coefficients are chosen for speed, not to converge.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = tf.transpose(matrix) if tall else matrix
    x /= tf.norm(x) + 1e-7
    a, b, c = COEFFICIENTS
    for _ in range(NUM_STEPS):
        square = tf.matmul(x, x, transpose_b=True)
        x = a * x + tf.matmul(b * square + c * tf.matmul(square, square), x)
    return tf.transpose(x) if tall else x
