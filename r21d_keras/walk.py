"""The layers of a model that hold weights or compute, those inside composite layers too."""

import keras


def leaf_layers(model):
    """Yield (layer, shape of its input) for every layer of `model` that is not a container.

    Goes into nested models and into layers with parts `in_order`, as `Conv2Plus1D` has.
    """
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaf_layers(layer)
        elif not isinstance(layer, keras.layers.InputLayer):
            yield from _parts(layer, _input_shape(layer))


def parts_of(layer):
    """`layer` itself or, where it is a chain of layers, these, in order."""
    return layer.in_order() if hasattr(layer, "in_order") else (layer,)


def _parts(layer, shape):
    """`layer` itself or, where it is a chain of layers, each of them with its own input."""
    if not hasattr(layer, "in_order"):
        yield layer, shape
        return
    for part in layer.in_order():
        yield from _parts(part, shape)
        shape = tuple(part.compute_output_shape(shape))


def _input_shape(layer):
    inputs = layer.input
    return tuple((inputs[0] if isinstance(inputs, list) else inputs).shape)
