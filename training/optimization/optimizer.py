"""The optimizer of a run, by name: built in, or of tensorflow-addons."""

import inspect
import math
from collections.abc import Sequence

import keras
import tensorflow as tf

from r21d_keras._keras import build_optimizer, scale_losses

from ..config import ConfigError, TrainConfig
from .addons import keeps_weights, make_addons_optimizer
from .lamb import Lamb
from .muon import Muon
from .options import ADDONS, parsed

# The optimizer's class, and which options of the run it takes beside the rate. sgd's weight decay
# is a part of the loss: penalty.py.
_BUILT_IN = {
    "sgd": (keras.optimizers.SGD, ("momentum", "nesterov")),
    "sgdw": (keras.optimizers.SGD, ("momentum", "nesterov", "weight_decay")),
    "adamw": (keras.optimizers.AdamW, ("weight_decay",)),
    "lamb": (Lamb, ("weight_decay",)),
    "muon": (Muon, ("weight_decay",)),
}
# What optimizer_options may give of Keras' classes, which take much that the loop does itself.
_OPTIONS = {
    "sgd": (),
    "sgdw": (),
    "adamw": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "lamb": ("beta_1", "beta_2", "epsilon"),
    "muon": ("momentum", "nesterov"),
}


def make_optimizer(config: TrainConfig, rate, variables: Sequence) -> keras.optimizers.Optimizer:
    """The optimizer of `config`, built for `variables`; with float16 it also scales the loss.

    Weight decay is of kernels alone: batch normalisation's scales and offsets and biases have one
    axis.

    Args:
        config: the run's.
        rate: the learning rate of each step, a LearningRateSchedule.
        variables: all that it may ever be given.

    Raises:
        ConfigError: as `check_optimizer`.
    """
    optimizer = _plain(config, rate)
    if config.optimizer in ("sgdw", "adamw"):
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    if config.precision == "mixed_float16":
        optimizer = scale_losses(optimizer)
    build_optimizer(optimizer, variables)
    return optimizer


def check_optimizer(config: TrainConfig) -> None:
    """Checks that the optimizer of `config` can be made here.

    Raises:
        ConfigError: no such optimizer, a package that it needs, arguments that it does not take,
            or rates of stages, or a classifier that learns first, that it does not go with.
    """
    _plain(config, keras.optimizers.schedules.ExponentialDecay(0.1, 1, 1.0))
    if not keeps_weights(config):
        return
    defaults = {"head_epochs": 0, "head_factor": 1.0, "layer_decay": 1.0}
    for name, default in defaults.items():
        if getattr(config, name) != default:
            raise ConfigError(
                f"optimizer={config.optimizer!r} keeps a copy of the weights, which {name}="
                f"{getattr(config, name):g} would leave behind. Give --{name}={default:g}, or "
                "another --optimizer."
            )


def l2_of(config: TrainConfig) -> float:
    """The weight decay that is a part of the loss: of sgd, and 0 where the optimizer does it."""
    return config.weight_decay if config.optimizer == "sgd" else 0.0


def is_linear(config: TrainConfig) -> bool:
    """Whether a factor of all gradients of a weight is one of its learning rate.

    Adam and its like divide by the gradient; decoupled weight decay is not of the gradient.
    """
    return config.optimizer == "sgd"


def _plain(config: TrainConfig, rate) -> keras.optimizers.Optimizer:
    if config.optimizer.startswith(ADDONS):
        return make_addons_optimizer(config, rate)
    maker, taken = _BUILT_IN[config.optimizer]
    arguments = {name: getattr(config, name) for name in taken}
    given, allowed = parsed(config.optimizer_options), _OPTIONS[config.optimizer]
    for name in given:
        if name not in allowed:
            raise ConfigError(
                f"optimizer_options={config.optimizer_options!r}: {config.optimizer} takes "
                f"{', '.join(allowed) or 'none'}; got {name}."
            )
    arguments |= given
    if not arguments.get("momentum", 1.0):
        arguments["nesterov"] = False  # Keras refuses it without momentum
    kinds = {name: type(p.default) for name, p in inspect.signature(maker).parameters.items()}
    for name, value in given.items():
        if not isinstance(value, kinds[name]) and (kinds[name], type(value)) != (float, int):
            raise ConfigError(
                f"optimizer_options={config.optimizer_options!r}: expected {name} to be of type "
                f"{kinds[name].__name__}, got {value!r}."
            )
    try:
        return maker(rate, **arguments)
    except ValueError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"optimizer={config.optimizer!r}: {reason}") from None


def overflow_everywhere(gradients: Sequence) -> list:
    """`gradients`, not finite on any replica if they are not finite on one; called in a replica.

    Loss scaling skips a step whose gradients are not finite. Keras 3 asks that of each replica's
    own gradients, before they are summed, and goes by the first replica's answer.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return list(gradients)
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
    replicas = tf.distribute.get_replica_context()
    overflows = replicas.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(~finite, tf.float32))
    poison = tf.where(overflows > 0, math.inf, 0.0)
    return [gradients[0] + tf.cast(poison, gradients[0].dtype), *gradients[1:]]
