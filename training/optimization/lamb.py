"""LAMB: Adam whose step of each kernel is as long as a share of the kernel itself."""

import tensorflow as tf

from r21d_keras._keras import SlotOptimizer


class Lamb(SlotOptimizer):
    """Layer-wise adaptive moments (You et al., arXiv:1904.00962, algorithm 2).

    Weight decay is a part of the update whose norm the trust ratio is of, as in the paper;
    keras.optimizers.Lamb(weight_decay=) has it apart. Batch normalisation's scales and offsets and
    biases, which alone have one axis, have neither decay nor ratio, as in the authors' and
    NVIDIA's code: their steps are Adam's.
    """

    def __init__(
        self,
        learning_rate,
        weight_decay=0.0,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-6,  # the paper's, section 4
        name="lamb",
    ):
        super().__init__(learning_rate, name)
        self.decay, self.betas, self.epsilon = weight_decay, (beta_1, beta_2), epsilon

    def slots(self, variable):
        """The names of the first and the second moment."""
        return ("momentum", "velocity")

    def step(self, gradient, variable, rate, count, momentum, velocity):
        """The variable and its moments after a step."""
        weight, gradient = tf.convert_to_tensor(variable), tf.convert_to_tensor(gradient)
        kept = (momentum, velocity)
        update, *moments = adam_update(gradient, count, kept, self.betas, self.epsilon)
        if weight.shape.rank > 1:
            update += self.decay * weight
            norms = tf.norm(weight), tf.norm(update)
            update *= tf.where((norms[0] > 0) & (norms[1] > 0), norms[0] / norms[1], 1.0)
        return weight - tf.cast(rate, weight.dtype) * update, *moments


def adam_update(gradient, count, moments, betas, epsilon):
    """Adam's update for a rate of one, after `count` steps, and the new moments."""
    powers = [tf.pow(tf.cast(b, gradient.dtype), tf.cast(count + 1, gradient.dtype)) for b in betas]
    values = (gradient, tf.square(gradient))
    first, second = (
        m + (1 - b) * (value - m)
        for m, b, value in zip(map(tf.convert_to_tensor, moments), betas, values, strict=True)
    )
    root = tf.sqrt(second / (1 - powers[1])) + epsilon
    return first / (1 - powers[0]) / root, first, second
