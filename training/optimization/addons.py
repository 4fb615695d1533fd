"""The optimizers of tensorflow-addons, by name; on TensorFlow 2.15 alone."""

import functools
import inspect
import warnings
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from absl import logging

from ..config import ConfigError, TrainConfig
from .options import ADDONS, parsed
from .schedule import Scaled

TWINS = {"SGDW": "sgdw", "AdamW": "adamw", "LAMB": "lamb"}
"""The built-in optimizers that do the same."""
INSTEAD = {
    "MovingAverage": "--ema_decay=0.99 averages weights so, with batch normalisation's statistics",
    "SWA": "--swa_epochs and --swa_every average weights so, with batch normalisation's statistics",
    "MultiOptimizer": "--layer_decay and --head_factor give layers rates of their own",
}
"""What there is here in place of wrappers that have to be asked for the weights they average."""
AROUND = ("Lookahead",)
"""Those that wrap another one: tfa:Lookahead:RectifiedAdam."""


def make_addons_optimizer(config: TrainConfig, rate) -> keras.optimizers.Optimizer:
    """The optimizer that config.optimizer names, "tfa:NAME" or "tfa:Lookahead:NAME".

    The last name may be one of Keras' own old optimizers, too. It gets the config's momentum where
    it takes one, and optimizer_options. Weight decay is decoupled and of kernels alone, whatever
    the optimizer; of LAMB it is a part of the update, as there.

    Args:
        config: the run's.
        rate: the learning rate, a schedule.

    Raises:
        ConfigError: no tensorflow-addons, no such optimizer, or arguments that it does not take.
    """
    addons, arguments = _import(config.optimizer), parsed(config.optimizer_options)
    *around, name = config.optimizer.removeprefix(ADDONS).split(":")
    makers = [_maker(addons, part, around=True) for part in around]
    maker = _maker(addons, name, around=False)
    try:
        optimizer = _innermost(addons, maker, config, rate, _taken(arguments, maker))
        for outer in reversed(makers):
            optimizer = outer(optimizer, **_taken(arguments, outer))
    except (TypeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"optimizer={config.optimizer!r}: {reason}") from None
    if arguments:
        raise ConfigError(
            f"optimizer_options={config.optimizer_options!r}: {config.optimizer} takes no "
            f"{', '.join(arguments)}, or it is an option of its own. It takes "
            f"{', '.join(dict.fromkeys(n for m in (*makers, maker) for n in _names(m)))}."
        )
    return optimizer


def keeps_weights(config: TrainConfig) -> bool:
    """Whether the optimizer keeps a copy of weights, or of what it has added to them."""
    parts = config.optimizer.removeprefix(ADDONS).split(":")
    return config.optimizer.startswith(ADDONS) and bool({*AROUND, "COCOB"} & {*parts})


def _import(asked: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it is past its end of life
            import tensorflow_addons
    except ImportError:
        twin = TWINS.get(asked.removeprefix(ADDONS))
        raise ConfigError(
            f"optimizer={asked!r} needs tensorflow-addons, which works with TensorFlow 2.15 and "
            f"Python 3.11 alone (here TensorFlow {tf.__version__}): pip install -c stacks/card.txt "
            f"'.[cpu,addons]'. "
            + (f"Or take the same, built in: --optimizer={twin}." if twin else "")
        ) from None
    return tensorflow_addons.optimizers


def _maker(addons, name: str, around: bool) -> type:
    """The class of this name."""
    if name in INSTEAD:
        raise ConfigError(f"optimizer: tfa:{name} is not used here; {INSTEAD[name]}.")
    legacy = keras.optimizers.legacy
    known = {
        n: kind
        for place in (legacy, addons)
        for n, kind in vars(place).items()
        if inspect.isclass(kind) and issubclass(kind, legacy.Optimizer) and _is_whole(n)
    }
    known = {n: kind for n, kind in known.items() if (n in AROUND) == around}
    if name in known:
        return known[name]
    kinds = "of those that wrap another" if around else "of an optimizer"
    raise ConfigError(
        f"optimizer: tfa:{name}: expected the name {kinds}: {', '.join(sorted(known))}."
        + (" Name what it wraps, too: tfa:Lookahead:RectifiedAdam." if name in AROUND else "")
    )


def _is_whole(name: str) -> bool:
    return name not in ("Optimizer", "KerasLegacyOptimizer", "AveragedOptimizerWrapper", *INSTEAD)


def _innermost(addons, maker: Callable, config: TrainConfig, rate, arguments: dict):
    def now():
        return rate(optimizer.iterations)

    takes = inspect.signature(maker).parameters
    arguments |= {n: getattr(config, n) for n in ("momentum", "nesterov") if n in takes}
    if "learning_rate" in takes:
        # The one takes functions and no schedules.
        arguments["learning_rate"] = now if maker is addons.ConditionalGradient else rate
    else:
        logging.warning("%s has no learning rate: the schedule is not used.", config.optimizer)
    shrinking = Scaled(rate, config.weight_decay)
    if maker is addons.LAMB:
        maker, arguments["weight_decay"] = _of_kernels(maker), config.weight_decay
    elif issubclass(maker, addons.DecoupledWeightDecayExtension):
        # There the share by which weights shrink is not times the learning rate.
        maker, arguments["weight_decay"] = _of_kernels(maker), shrinking
    elif config.weight_decay:
        maker = _decayed(maker, shrinking)
    optimizer = maker(**arguments)
    return optimizer


def _of_kernels(maker: type) -> type:
    """`maker` whose weight decay, and LAMB's trust ratio, are of variables of more than one axis.

    Not by exclude_from_weight_decay, which goes by names and by variables as a model has them: of a
    mirrored one the first replica's copy alone has them, so that replicas would part.
    """

    class OfKernels(maker):
        def _do_use_weight_decay(self, var):
            return len(var.shape) > 1

        _do_layer_adaptation = _do_use_weight_decay

    return OfKernels


def _decayed(maker: type, share) -> type:
    """`maker` whose kernels first shrink by `share`, a schedule.

    As addons.extend_with_decoupled_weight_decay has it, which does not go with optimizers that have
    a weight decay of their own: NovoGrad, RectifiedAdam and AdaBelief, of all weights alike.
    """
    takes = len(inspect.signature(maker._resource_apply_dense).parameters) - 1  # without self

    class Decayed(maker):
        def _resource_apply_dense(self, grad, var, apply_state=None):
            arguments = (grad, var, apply_state)[:takes]
            step = functools.partial(super()._resource_apply_dense, *arguments)
            if len(var.shape) < 2:
                return step()
            shrunk = var.assign_sub(tf.cast(share(self.iterations), var.dtype) * var)
            with tf.control_dependencies([shrunk]):
                return step()

    return Decayed


_OWN = ("self", "name", "kwargs", "learning_rate", "momentum", "nesterov", "weight_decay")


def _names(maker: type) -> Sequence[str]:
    """Those of the arguments of `maker` that optimizer_options may give."""
    own = (*_OWN, "optimizer", "exclude_from_weight_decay", "exclude_from_layer_adaptation")
    return [name for name in inspect.signature(maker).parameters if name not in own]


def _taken(arguments: dict, maker: type) -> dict:
    """Those of `arguments` that `maker` takes, which are then taken out."""
    return {name: arguments.pop(name) for name in _names(maker) if name in arguments}
