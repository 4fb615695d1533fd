"""Gradients for which what lies within residual blocks is computed again instead of kept."""

import re
from collections.abc import Sequence

import keras
import tensorflow as tf

from r21d_keras._keras import without_updates

_BLOCK_END = re.compile(r"layer\d+\.\d+\.relu")
_FIRST_BLOCK = "layer1.0.conv1.0"  # the first layer of the first block, basic or bottleneck


class Blocks:
    """The stem and the residual blocks of a `VideoResNet`, each a network that shares its layers.

    Of each the input alone is kept until gradients are wanted; the rest is then computed again, a
    block at a time (Chen et al., arXiv:1604.06174, section 3). Batch normalisation's statistics
    are updated by the first computation alone.

    Attributes:
        rest: the network from the output of the last block to `end`.
    """

    def __init__(self, model: keras.Model, end):
        """`end` is the symbolic output of a layer of `model` after its last block."""
        ends = [layer.output for layer in model.layers if _BLOCK_END.fullmatch(layer.name)]
        cuts = [model.inputs[0], model.get_layer(_FIRST_BLOCK).input, *ends]
        self._networks = [keras.Model(*pair) for pair in zip(cuts, cuts[1:], strict=False)]
        self._again = [without_updates(network) for network in self._networks]
        self.rest = keras.Model(cuts[-1], end)

    def __call__(self, clips: tf.Tensor) -> list[tf.Tensor]:
        """The input of each block, and the last one's output (B, T', H', W', C), in training."""
        values = [clips]
        for network in self._networks:
            values.append(network(values[-1], training=True))
        return values

    def gradients(self, tape, loss, variables: Sequence, values: Sequence) -> list[tf.Tensor]:
        """Those of the `loss` that `tape` has seen become of the last of the call's `values`."""
        own, gradient = tape.gradient(loss, (variables, values[-1]))
        found = {id(v): [g] for v, g in zip(variables, own, strict=True) if g is not None}
        blocks = list(zip(self._networks, self._again, values, strict=False))
        while any(network.trainable_variables for network, _, _ in blocks):
            network, again, inputs = blocks.pop()
            inputs, inside = _not_before(gradient, inputs), network.trainable_variables
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = again(inputs)
            of_inside, gradient = tape.gradient(outputs, (inside, inputs), gradient)
            for variable, of_variable in zip(inside, of_inside, strict=True):
                found.setdefault(id(variable), []).append(of_variable)
        return [tf.add_n(found[id(variable)]) for variable in variables]


def _not_before(gradient: tf.Tensor, inputs: tf.Tensor) -> tf.Tensor:
    """`inputs`, computed from `gradient` as far as a compiler can tell.

    Else it would find that the block's computation is done already, and keep its results.
    """
    one = tf.reshape(gradient, [-1])[0]
    nothing = tf.where(tf.math.is_nan(one), one, tf.zeros_like(one))  # a NaN is in the results too
    return inputs + tf.cast(nothing, inputs.dtype)
