"""The video ResNets of arXiv:1711.11248 as plain functional Keras models."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from . import _keras
from .heads import add_head, check_head
from .layers import BN_MOMENTUM, Conv2Plus1D, FoldedConv3D, make_initializer
from .variants import Convention, get_convention, get_variant, mid_channels

STEM_CHANNELS = 64  # Table 1, conv1
STAGE_CHANNELS = (64, 128, 256, 512)  # Table 1, conv2_x .. conv5_x
# VMZ c2/lib/models/r3d_model.py, create_r3d: a constant; M_i of section 3.5 would give 83.
STEM_MID_CHANNELS = 45
EXPANSION = {"basic": 1, "bottleneck": 4}  # a block's output channels over its inner ones


def VideoResNet(
    variant: str = "r2plus1d_18",
    num_classes: int = 400,
    input_shape: Sequence[int | None] = (16, 112, 112, 3),
    include_top: bool = True,
    pooling: str | None = None,
    classifier_activation: str | None = "softmax",
    convention: str = "paper",
    width_multiplier: float = 1.0,
    dropout: float = 0.0,
    sync_bn: bool = False,
    compute: str = "auto",
    kernel_initializer=None,
    name: str | None = None,
) -> keras.Model:
    """One of the paper's networks with random weights. Clips in, class probabilities out.

    >>> model = VideoResNet("mc3_18", num_classes=101, input_shape=(8, 112, 112, 3))
    >>> model.count_params()

    Layers are named after the modules of PyTorch's implementations: "stem.0",
    "layer2.0.downsample.1", "fc" (on Keras' PyTorch backend, which takes no dots in names,
    "layer2_0_downsample_1"; .weights.h5 files fit either).

    Args:
        variant: family and depth, one of `list_variants()`. Mixed families (MCx, rMCx) at depth
            50 and more were never published; they are this project's own definition.
        num_classes: outputs of the classifier.
        input_shape: (frames, height, width, channels) of a clip; any of the first three may be
            None, but R2D needs its number of frames: they are the channels of its first kernel.
        include_top: whether to end with pooling, dropout and classifier.
        pooling: without the top, None for features (B, T', H', W', C), "avg" or "max" for (B, C).
        classifier_activation: "softmax", or None for logits.
        convention: "paper" (and VMZ's weights) or "torchvision": middle widths and BN epsilon.
        width_multiplier: scales all channels, as MobileNet's alpha does; 1.0 is the paper's.
        dropout: share of features dropped before the classifier; the paper has none.
        sync_bn: batch statistics over all replicas of a `tf.distribute` strategy.
        compute: "auto" computes convolutions as is fastest on this backend's CPUs (see
            `FoldedConv3D`), "conv3d" as the backend's own Conv3D.
        kernel_initializer: of all convolutions, as Keras' layers take it; None: MSRA (He et al.
            2015), as VMZ and torchvision.
        name: of the model; the variant's by default.

    Returns:
        A `keras.Model`. Its input is float32 (B, T, H, W, C), normalised by the caller.

    Raises:
        ValueError: for an unknown variant, convention or pooling, or an impossible shape or width.
    """
    spec = get_variant(variant)
    shape = _check_input_shape(spec, input_shape)
    num_classes = check_head(num_classes, include_top, pooling, dropout)
    if not 0 < width_multiplier < math.inf:
        raise ValueError(f"width_multiplier={width_multiplier!r}: expected a number above 0.")
    build = _Builder(
        get_convention(convention), width_multiplier, sync_bn, compute, kernel_initializer
    )
    inputs = keras.Input(shape, name="clips")  # (B, T, H, W, C)
    x = build.stem(inputs, spec.kinds[0])  # (B, T, H/2, W/2, 64), T = 1 for R2D
    for stage in range(4):  # (B, T', H/2**(stage+1), W/2**(stage+1), 64 * 2**stage * expansion)
        x = build.stage(x, spec, stage)
    x = add_head(x, include_top, pooling, num_classes, classifier_activation, dropout)
    return keras.Model(inputs, x, name=name or variant)


@dataclass(frozen=True)
class _Builder:
    """What every layer of one network shares."""

    convention: Convention
    width: float
    sync_bn: bool
    compute: str
    kernel_initializer: object

    def channels(self, number):
        return max(1, round(number * self.width))

    def stem(self, x, kind):
        """conv1: kernel 7 in space with stride 2; in time 3, 1, 1 then 3, or the whole clip."""
        filters = self.channels(STEM_CHANNELS)
        if kind == "2+1d":
            mid = self.channels(STEM_MID_CHANNELS)
            x = self._conv2plus1d(filters, (3, 7, 7), (1, 2, 2), mid, "stem")(x)
            return _relu(self._norm(x, "stem.4"), "stem.5")
        frames = {"3d": 3, "2d": 1, "clip": x.shape[1]}[kind]
        padding = (0, 3, 3) if kind == "clip" else "symmetric"
        x = self._conv(filters, (frames, 7, 7), (1, 2, 2), "stem.0", padding)(x)
        return _relu(self._norm(x, "stem.1"), "stem.2")

    def stage(self, x, spec, stage):
        """conv2_x .. conv5_x for stage 0 .. 3; all but the first halve space, and time if 3-D."""
        kind = "2d" if spec.kinds[stage + 1] == "clip" else spec.kinds[stage + 1]
        filters = self.channels(STAGE_CHANNELS[stage])
        block = {"basic": self._basic, "bottleneck": self._bottleneck}[spec.block]
        for index in range(spec.repeats[stage]):
            strides = (1, 1, 1)
            if stage > 0 and index == 0:
                # Groups of 2-D convolutions never stride in time (VMZ create_mcx, create_rmcx).
                strides = (1, 2, 2) if kind == "2d" else (2, 2, 2)
            x = block(x, kind, filters, strides, f"layer{stage + 1}.{index}")
        return x

    def _basic(self, x, kind, filters, strides, name):
        mid = self._block_mid(x.shape[-1], filters)
        y = self._kind(kind, filters, strides, mid, f"{name}.conv1.0")(x)
        y = _relu(self._norm(y, f"{name}.conv1.1"), f"{name}.conv1.2")
        y = self._kind(kind, filters, (1, 1, 1), mid, f"{name}.conv2.0")(y)
        y = self._norm(y, f"{name}.conv2.1")
        return self._add_shortcut(x, y, strides, name)

    def _bottleneck(self, x, kind, filters, strides, name):
        mid = self._block_mid(x.shape[-1], filters)
        y = self._conv(filters, (1, 1, 1), (1, 1, 1), f"{name}.conv1.0")(x)
        y = _relu(self._norm(y, f"{name}.conv1.1"), f"{name}.conv1.2")
        y = self._kind(kind, filters, strides, mid, f"{name}.conv2.0")(y)
        y = _relu(self._norm(y, f"{name}.conv2.1"), f"{name}.conv2.2")
        outer = EXPANSION["bottleneck"] * filters
        y = self._conv(outer, (1, 1, 1), (1, 1, 1), f"{name}.conv3.0")(y)
        y = self._norm(y, f"{name}.conv3.1")
        return self._add_shortcut(x, y, strides, name)

    def _add_shortcut(self, x, y, strides, name):
        if strides != (1, 1, 1) or x.shape[-1] != y.shape[-1]:
            x = self._conv(y.shape[-1], (1, 1, 1), strides, f"{name}.downsample.0")(x)
            x = self._norm(x, f"{name}.downsample.1")
        return _relu(
            keras.layers.Add(name=_keras.layer_name(f"{name}.add"))([y, x]), f"{name}.relu"
        )

    def _block_mid(self, in_channels, filters):
        """One middle width for the block, or None: each convolution computes its own."""
        if self.convention.mid_channels == "block":
            return mid_channels(in_channels, filters)
        return None

    def _kind(self, kind, filters, strides, mid, name):
        if kind == "2+1d":
            return self._conv2plus1d(filters, (3, 3, 3), strides, mid, name)
        kernel = (3, 3, 3) if kind == "3d" else (1, 3, 3)
        return self._conv(filters, kernel, strides, name)

    def _conv2plus1d(self, filters, kernel_size, strides, mid, name):
        return Conv2Plus1D(
            filters,
            kernel_size,
            strides,
            mid_filters=mid,
            bn_epsilon=self.convention.bn_epsilon,
            synchronized=self.sync_bn,
            compute=self.compute,
            kernel_initializer=self.kernel_initializer,
            name=_keras.layer_name(name),
        )

    def _conv(self, filters, kernel_size, strides, name, padding="symmetric"):
        return FoldedConv3D(
            filters,
            kernel_size,
            strides,
            padding=padding,
            compute=self.compute,
            use_bias=False,
            kernel_initializer=make_initializer(self.kernel_initializer),
            name=_keras.layer_name(name),
        )

    def _norm(self, x, name):
        return keras.layers.BatchNormalization(
            epsilon=self.convention.bn_epsilon,
            momentum=BN_MOMENTUM,
            synchronized=self.sync_bn,
            name=_keras.layer_name(name),
        )(x)


def _relu(x, name):
    return keras.layers.ReLU(name=_keras.layer_name(name))(x)


def _check_input_shape(spec, input_shape):
    shape = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    if (
        len(shape) != 4
        or not isinstance(shape[3], int)
        or not all(n is None or (isinstance(n, int) and n > 0) for n in shape)
    ):
        raise ValueError(
            f"input_shape={input_shape!r}: expected (frames, height, width, channels) as positive "
            "ints, of which the first three may be None."
        )
    if spec.fixes_clip_length and shape[0] is None:
        raise ValueError(
            f"{spec.name} takes clips of a fixed length, as the frames are the channels of its "
            f"first convolution; got input_shape={input_shape!r}. Give the number of frames."
        )
    return shape
