"""What a network ends with: pooling and classifier, or features."""

import operator

import keras

POOLING = {
    "avg": keras.layers.GlobalAveragePooling3D,
    "max": keras.layers.GlobalMaxPooling3D,
}


def add_head(x, include_top, pooling, num_classes, classifier_activation, dropout):
    """From features (B, T', H', W', C) to the network's output."""
    if include_top:
        x = keras.layers.GlobalAveragePooling3D("channels_last", name="avgpool")(x)  # (B, C)
        if dropout:
            x = keras.layers.Dropout(dropout, name="dropout")(x)
        return _classifier(num_classes, classifier_activation)(x)
    if pooling:
        return POOLING[pooling]("channels_last", name=f"{pooling}pool")(x)
    return x


def with_head(
    model: keras.Model,
    include_top: bool = True,
    pooling: str | None = None,
    num_classes: int = 400,
    classifier_activation: str | None = "softmax",
    name: str | None = None,
) -> keras.Model:
    """The network of `model`, a `VideoResNet` with its top or without pooling, with another end.

    Body and weights are those of `model`, shared with it; a classifier starts at random. Arguments
    and errors are those of `VideoResNet`.
    """
    num_classes = check_head(num_classes, include_top, pooling, 0.0)
    tops = [layer for layer in model.layers if layer.name == "avgpool"]
    features = tops[0].input if tops else model.output  # (B, T', H', W', C)
    x = add_head(features, include_top, pooling, num_classes, classifier_activation, 0.0)
    return keras.Model(model.input, x, name=name or model.name)


def check_head(num_classes, include_top, pooling, dropout) -> int:
    """The number of classes as an int.

    Raises:
        ValueError: for values with which a network cannot end.
    """
    if not hasattr(num_classes, "__index__") or num_classes < 1:  # numpy's integers are ints too
        raise ValueError(f"num_classes={num_classes!r}: expected a positive int.")
    if pooling is not None and pooling not in POOLING:
        raise ValueError(f"pooling={pooling!r}: expected None, {', '.join(POOLING)}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r}: expected a share from 0 to below 1.")
    if include_top and pooling:
        raise ValueError(
            f"pooling={pooling!r} is for include_top=False: the top always averages. Leave it out."
        )
    if dropout and not include_top:
        raise ValueError(f"dropout={dropout!r} is part of the top. Leave it out, or keep the top.")
    return operator.index(num_classes)


def _classifier(num_classes, activation):
    # torchvision video/resnet.py: weights N(0, 0.01), biases 0. float32 under mixed precision, so
    # that probabilities sum to one.
    return keras.layers.Dense(
        num_classes,
        activation=activation,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        dtype="float32",
        name="fc",
    )
