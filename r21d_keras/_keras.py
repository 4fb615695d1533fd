"""Everything in which Keras 2.15 and Keras 3 differ. No other file asks for a version."""

import contextlib
import functools
import threading

import keras

KERAS3 = int(keras.__version__.split(".")[0]) >= 3

if KERAS3:
    from keras import ops

    concatenate, pad, reshape = ops.concatenate, ops.pad, ops.reshape
    shape, transpose = ops.shape, ops.transpose
    # Not keras.json's image_data_format, which both would ask for, here and below.
    conv = functools.partial(ops.conv, data_format="channels_last")
    add_bias = ops.add  # which is TensorFlow's bias_add where it can be
    register_serializable = keras.saving.register_keras_serializable
else:
    from keras import backend as K

    register_serializable = keras.utils.register_keras_serializable
    concatenate, transpose = K.concatenate, K.permute_dimensions
    add_bias = functools.partial(K.bias_add, data_format="channels_last")

    def shape(x):
        """Sizes of `x`: ints where they are known, scalar tensors elsewhere."""
        dynamic = K.shape(x)
        return tuple(dynamic[i] if d is None else d for i, d in enumerate(K.int_shape(x)))

    def reshape(x, new_shape):
        """`x` with `new_shape`, in which sizes may be scalar tensors and one may be -1."""
        if all(isinstance(d, int) for d in new_shape):
            return K.reshape(x, new_shape)
        return K.reshape(x, K.stack([K.cast(d, "int32") for d in new_shape]))

    def pad(x, pad_width):
        """Zeros around clips `x` (B, T, H, W, C), in time and space alone."""
        _, *inner, _ = map(tuple, pad_width)
        return K.spatial_3d_padding(x, tuple(inner), "channels_last")

    def conv(x, kernel, strides=1, padding="valid"):
        """2-D or 3-D convolution, channels last."""
        convolve = K.conv3d if len(K.int_shape(x)) == 5 else K.conv2d
        return convolve(x, kernel, tuple(strides), padding, data_format="channels_last")


def backend_name() -> str:
    """Name of the Keras backend in use: "tensorflow", "jax" or "torch"."""
    return keras.backend.backend()


def backend_variable(variable):
    """The backend's own variable behind a model's weight; one of the backend is that itself."""
    return variable.value if KERAS3 and isinstance(variable, keras.Variable) else variable


@contextlib.contextmanager
def float32_policy():
    """Within, new layers compute and keep their weights in float32, whatever the user's policy."""
    if KERAS3:
        get, put = keras.config.dtype_policy, keras.config.set_dtype_policy
    else:
        get, put = keras.mixed_precision.global_policy, keras.mixed_precision.set_global_policy
    users = get()
    put("float32")
    try:
        yield
    finally:
        put(users)


def without_updates(network):
    """A function that calls `network` in training and leaves its statistics as they are."""
    if KERAS3:

        def call(x):
            with keras.StatelessScope(initialize_variables=False):  # takes all assignments
                return network(x, training=True)

        return call

    for layer in network.submodules:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.add_update = functools.partial(_unless_held, layer.add_update)

    def call(x):
        _HELD.updates = True
        try:
            return network(x, training=True)
        finally:
            _HELD.updates = False

    return call


_HELD = threading.local()  # replicas are threads, which stop within a layer for one another


def _unless_held(add_update, updates):
    if not getattr(_HELD, "updates", False):
        add_update(updates)


def scale_losses(optimizer):
    """`optimizer` with dynamic loss scaling, which gradients in float16 need."""
    place = keras.optimizers if KERAS3 else keras.mixed_precision
    return place.LossScaleOptimizer(optimizer)


def scaled_loss(optimizer, loss):
    """The loss whose gradients `apply_gradients` below expects: times the loss scale, if any."""
    if KERAS3:
        return optimizer.scale_loss(loss)
    return optimizer.get_scaled_loss(loss) if hasattr(optimizer, "get_scaled_loss") else loss


def apply_gradients(optimizer, gradients, variables):
    """Sums the gradients of a scaled loss over replicas and takes the step."""
    if not KERAS3 and hasattr(optimizer, "get_unscaled_gradients"):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def build_optimizer(optimizer, variables):
    """Makes all that `optimizer` keeps beside `variables`, to which later steps may give a part."""
    # Optimizers from before Keras 2.11, as tensorflow-addons' are, have no other name for it.
    build = optimizer.build if hasattr(optimizer, "build") else optimizer._create_all_weights
    build(variables)


def kept_beside(optimizer) -> list:
    """The variables of an optimizer from before Keras 2.11, which it keeps in no attribute."""
    return [] if hasattr(optimizer, "build") else list(optimizer.weights)


def layer_name(torch_path: str) -> str:
    """The layer name for a PyTorch module path: the path itself where the backend takes it.

    Keras' PyTorch backend registers weights with torch.nn, which refuses dots in names.
    """
    return torch_path.replace(".", "_") if backend_name() == "torch" else torch_path


class SlotOptimizer(keras.optimizers.Optimizer):
    """An optimizer whose step a subclass gives as a function, for either Keras.

    `slots(variable)` names what is kept beside a variable, zeros at first; `step(gradient,
    variable, rate, count, *kept)` returns the new values of the variable and of what is kept.
    `count` are the steps taken before this one.
    """

    def __init__(self, learning_rate, name):
        if KERAS3:
            super().__init__(learning_rate, name=name)
        else:
            super().__init__(name, weight_decay=None, jit_compile=False)
            self._learning_rate = self._build_learning_rate(learning_rate)

    def build(self, var_list):
        """Makes what is kept beside each of the variables."""
        if not hasattr(self, "_kept"):
            super().build(var_list)
            self._kept = [[self._slot(v, name) for name in self.slots(v)] for v in var_list]
            self._built = True  # Keras 2.15 asks it, and sets it where it creates variables

    def update_step(self, gradient, variable, learning_rate=None):
        """Takes the step of one variable."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        key = self._var_key(variable)
        index = (self._trainable_variables_indices if KERAS3 else self._index_dict)[key]
        kept = self._kept[index]
        values = self.step(gradient, variable, rate, self.iterations, *kept)
        for target, value in zip((variable, *kept), values, strict=True):
            self.assign(target, value) if KERAS3 else target.assign(value)

    def _slot(self, variable, name):
        if KERAS3:
            return self.add_variable_from_reference(variable, name=name)
        return self.add_variable_from_reference(variable, variable_name=name)
