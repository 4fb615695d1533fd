"""The convolutions of the networks as Keras layers, for these networks and anyone's model."""

import keras

from . import _keras, folding
from .variants import CONVENTIONS, mid_channels

# He et al. 2015 with fan-out, as Caffe2's MSRAFill (VMZ) and torchvision's kaiming_normal_ draw.
MSRA = {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}
# In Keras' sense, running = 0.9 * running + 0.1 * batch, as in Caffe2 (VMZ). PyTorch writes the
# complement, 0.1; ports of VMZ that set PyTorch's momentum to 0.9 have it the wrong way round.
BN_MOMENTUM = 0.9


def make_initializer(like=None):
    """A fresh initialiser, MSRA or one `like` that: one instance would draw two weights alike."""
    if not like:
        return keras.initializers.VarianceScaling(**MSRA)
    like = keras.initializers.get(like)
    return type(like).from_config(like.get_config())


@_keras.register_serializable(package="r21d_keras")
class FoldedConv3D(keras.layers.Conv3D):
    """A `keras.layers.Conv3D` that pads as PyTorch does and may compute as a 2-D convolution.

    Clips (B, T, H, W, C) in, (B, T', H', W', filters) out, channels last. Weights, their shapes
    and their names are Conv3D's.

    Args:
        filters, kernel_size, strides, **kwargs: as for `keras.layers.Conv3D`.
        padding: zeros at either side of time, height and width: three ints, or "symmetric" for
            k // 2 of each (what the published weights saw), or "valid" for none. Keras' "same"
            is not offered: with a stride of 2 it puts the odd zero at the end.
        compute: "auto" takes the fastest known for the backend (`folding.AUTO`); "conv3d",
            "frames" (1 x k x k kernels), "rows" (k x 1 x 1) and "stack" compel one. Results are
            equal within float rounding.

    Raises:
        ValueError: for channels first, dilation, groups, an unknown padding, or a `compute` that
            cannot do the kernel.
    """

    def __init__(
        self, filters, kernel_size, strides=1, padding="symmetric", compute="auto", **kwargs
    ):
        # Not keras.json's image_data_format: the networks are channels last everywhere.
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(filters, kernel_size, strides, padding="valid", **kwargs)
        if self.data_format != "channels_last" or self.groups != 1 or max(self.dilation_rate) > 1:
            raise ValueError(
                "FoldedConv3D takes channels-last clips without groups or dilation; got "
                f"data_format={self.data_format!r}, groups={self.groups}, "
                f"dilation_rate={self.dilation_rate}. Use keras.layers.Conv3D for those."
            )
        self.pads = _pads(padding, self.kernel_size)
        self.compute = compute
        if compute != "auto":
            folding.check(compute, self.kernel_size, self.strides)
        self._method = folding.choose(self.kernel_size, self.strides, compute)

    def convolution_op(self, inputs, kernel):
        """Pad, then convolve by the chosen method."""
        return self._convolve(inputs, kernel, self.pads)

    def among_neighbours(self, inputs):
        """The layer's output for frames that come with those before and after them.

        As a call, but nothing is padded in time: (B, T, H, W, C) gives (T - k) // stride + 1
        frames for a kernel of k. For whoever shows a layer a long video part by part.
        """
        return self._finished(self._convolve(inputs, self.kernel, (0, *self.pads[1:])))

    def _convolve(self, inputs, kernel, pads, **finish):
        pads, padding = folding.share_padding(self._method, pads, self.kernel_size, self.strides)
        if any(pads):
            inputs = _keras.pad(inputs, ((0, 0), *((p, p) for p in pads), (0, 0)))
        return folding.METHODS[self._method](inputs, kernel, self.strides, padding, **finish)

    def _finished(self, outputs):
        """Bias and activation of what a convolution gives, (..., filters)."""
        if self.use_bias:
            outputs = _keras.add_bias(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape):
        """(B, T', H', W', filters) for clips of `input_shape`."""
        return _output_shape(input_shape, self.filters, self.pads, self.kernel_size, self.strides)

    def get_config(self):
        """Arguments that make this layer again."""
        return {**super().get_config(), "padding": self.pads, "compute": self.compute}


@_keras.register_serializable(package="r21d_keras")
class FusedConv3D(FoldedConv3D):
    """A `FoldedConv3D` whose bias and ReLU come before the frames are unfolded.

    TensorFlow computes all three as one operation where nothing lies between them. Made by
    `merge_batch_norm`, for inference.

    Args:
        *args, **kwargs: as for `FoldedConv3D`.

    Raises:
        ValueError: for another activation than "linear" or "relu": it might see that the frames
            are folded.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.activation not in (keras.activations.linear, keras.activations.relu):
            raise ValueError(
                f'activation={kwargs.get("activation")!r}: FusedConv3D takes "linear" or "relu". '
                "Use FoldedConv3D for others."
            )

    def call(self, inputs):
        """Clips through convolution, bias and activation."""
        return self._convolve(inputs, self.kernel, self.pads, finish=self._finished)


@_keras.register_serializable(package="r21d_keras")
class Conv2Plus1D(keras.layers.Layer):
    """A t x k x k convolution factorised as in section 3.5: 1 x k x k, BN, ReLU, t x 1 x 1.

    Clips (B, T, H, W, C) in, (B, T', H', W', filters) out. The normalisation and activation that
    follow the whole are left to the caller, as after any convolution.

    Args:
        filters: output channels.
        kernel_size: t, k, k as an int or three ints.
        strides: an int or three ints; the first strides the temporal convolution.
        mid_filters: channels between the two; None for the paper's M_i, which gives the pair as
            many weights as the t x k x k convolution has.
        bn_epsilon: added to the variance: 1e-3 in the paper's code, 1e-5 in torchvision.
        synchronized: batch statistics over all replicas of a `tf.distribute` strategy.
        compute: as for `FoldedConv3D`, "auto" or "conv3d".
        kernel_initializer: of both kernels, as Keras' layers take it; None: MSRA, as VMZ has it.
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        strides=1,
        mid_filters=None,
        bn_epsilon=CONVENTIONS["paper"].bn_epsilon,
        synchronized=False,
        compute="auto",
        kernel_initializer=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = _triple(kernel_size)
        self.strides = _triple(strides)
        self.kernel_initializer = kernel_initializer and keras.initializers.get(kernel_initializer)
        self.mid_filters = mid_filters
        self.bn_epsilon = bn_epsilon
        self.synchronized = synchronized
        self.compute = compute

    def build(self, input_shape):
        """Make the two convolutions for clips of `input_shape`; only its channels matter."""
        (t, *k), (st, *sk) = self.kernel_size, self.strides
        mid = self.mid_filters or mid_channels(input_shape[-1], self.filters, self.kernel_size)
        # Named as the entries of torchvision's Conv2Plus1D, a Sequential: 2 is its ReLU.
        self.spatial = self._conv(mid, (1, *k), (1, *sk), "0")
        self.norm = keras.layers.BatchNormalization(
            epsilon=self.bn_epsilon,
            momentum=BN_MOMENTUM,
            synchronized=self.synchronized,
            dtype=self.dtype_policy,
            name=_keras.layer_name(f"{self.name}.1"),
        )
        self.relu = keras.layers.ReLU(
            dtype=self.dtype_policy, name=_keras.layer_name(f"{self.name}.2")
        )
        self.temporal = self._conv(self.filters, (t, 1, 1), (st, 1, 1), "3")
        shape = tuple(input_shape)
        for layer in self.in_order():
            layer.build(shape)
            shape = tuple(layer.compute_output_shape(shape))
        super().build(input_shape)

    def in_order(self):
        """The layers that clips pass, in order.

        No property: Keras saves what lists in attributes hold by the list's name, where it finds
        that first, as Keras 3 does and Keras 2.15 does not; their files would differ.
        """
        return (self.spatial, self.norm, self.relu, self.temporal)

    def _conv(self, filters, kernel_size, strides, part):
        return FoldedConv3D(
            filters,
            kernel_size,
            strides,
            compute=self.compute,
            use_bias=False,
            kernel_initializer=make_initializer(self.kernel_initializer),
            dtype=self.dtype_policy,
            name=_keras.layer_name(f"{self.name}.{part}"),
        )

    def call(self, inputs, training=None):
        """Clips through both convolutions; `training` is the normalisation's."""
        x = self.spatial(inputs)  # (B, T, H', W', mid)
        x = self.relu(self.norm(x, training=training))
        return self.temporal(x)  # (B, T', H', W', filters)

    def compute_output_shape(self, input_shape):
        """(B, T', H', W', filters) for clips of `input_shape`."""
        pads = _pads("symmetric", self.kernel_size)
        return _output_shape(input_shape, self.filters, pads, self.kernel_size, self.strides)

    def get_config(self):
        """Arguments that make this layer again."""
        names = (
            "filters", "kernel_size", "strides", "mid_filters", "bn_epsilon", "synchronized",
            "compute",
        )  # fmt: skip
        config = {name: getattr(self, name) for name in names}
        if self.kernel_initializer:
            config["kernel_initializer"] = keras.initializers.serialize(self.kernel_initializer)
        return {**super().get_config(), **config}


def _output_shape(input_shape, filters, pads, kernel_size, strides) -> tuple:
    batch, *sizes, _ = input_shape
    axes = zip(sizes, pads, kernel_size, strides, strict=True)
    sizes = [None if n is None else (n + 2 * p - k) // s + 1 for n, p, k, s in axes]
    return (batch, *sizes, filters)


def _triple(value) -> tuple[int, int, int]:
    sizes = (value,) * 3 if isinstance(value, int) else tuple(value)
    if len(sizes) != 3 or not all(isinstance(n, int) and n > 0 for n in sizes):
        raise ValueError(f"Expected a positive int or three of them (t, h, w); got {value!r}.")
    return sizes


def _pads(padding, kernel_size) -> tuple[int, int, int]:
    if padding == "symmetric":
        return tuple(k // 2 for k in kernel_size)
    if padding == "valid":
        return (0, 0, 0)
    if isinstance(padding, (tuple, list)) and len(padding) == 3:
        return tuple(int(p) for p in padding)
    raise ValueError(
        f'padding={padding!r}: expected "symmetric", "valid" or three ints. Keras\' "same" pads '
        "strided convolutions unevenly, which the published weights never saw."
    )
