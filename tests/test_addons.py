"""The optimizers of tensorflow-addons beside those built in: equal twins, what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.config import ConfigError, TrainConfig
from r21d_keras.training.optimization.optimizer import check_optimizer
from tests.addons import addons
from tests.loops import largest_difference
from tests.stepping import STEPS, stepped, variables

TWINS = {"sgdw": "tfa:SGDW", "adamw": "tfa:AdamW", "lamb": "tfa:LAMB"}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_twins_agree_with_a_schedule_and_decay(name, decay):
    """The conversion: tensorflow-addons' weight decay is ours times the rate of each step."""
    addons()
    options = {"weight_decay": decay}
    if name != "sgdw":
        options["optimizer_options"] = "epsilon=1e-6"  # their defaults differ
    assert largest_difference(stepped(name, **options), stepped(TWINS[name], **options)) < 3e-6


def test_addons_own_weight_decay_is_ours_over_the_rate():
    """As measured with the classes themselves, at a constant rate."""
    optimizers, rate, decay = addons().optimizers, 0.05, 0.01
    theirs = optimizers.SGDW(weight_decay=decay, learning_rate=rate, momentum=0.9, nesterov=True)
    weights, draw = variables(), np.random.default_rng(1)
    for _ in range(STEPS):
        values = [draw.normal(size=w.shape).astype("float32") for w in weights]
        theirs.apply_gradients(zip(map(tf.constant, values), weights, strict=True))
    schedule = keras.optimizers.schedules.ExponentialDecay(rate, 1, 1.0)
    ends = stepped("sgdw", schedule, weight_decay=decay / rate)
    kernels = [0, 2]  # theirs decays all
    assert largest_difference([ends[i] for i in kernels], [weights[i].numpy() for i in kernels]) < (
        1e-6
    )


def test_without_addons_the_error_says_what_has_them():
    try:
        addons()
    except pytest.skip.Exception:
        for name, twin in TWINS.items():
            message = (
                f"{twin}' needs tensorflow-addons, .*2.15.*stacks/card.txt.*--optimizer={name}"
            )
            with pytest.raises(ConfigError, match=message):
                check_optimizer(TrainConfig(optimizer=twin))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"optimizer": "tfa:Sgdw"}, "tfa:Sgdw: expected the name of an optimizer: .*RectifiedAdam"),
        ({"optimizer": "tfa:Lookahead"}, "Name what it wraps, too: tfa:Lookahead:RectifiedAdam"),
        ({"optimizer": "tfa:SGDW:SGD"}, "expected the name of those that wrap another: Lookahead"),
        ({"optimizer": "tfa:SWA:SGDW"}, "tfa:SWA is not used here; --swa_epochs and --swa_every"),
        ({"optimizer": "tfa:MovingAverage"}, "tfa:MovingAverage is not used.*--ema_decay"),
        ({"optimizer": "tfa:MultiOptimizer"}, "--layer_decay and --head_factor"),
        (
            {"optimizer": "tfa:ConditionalGradient", "optimizer_options": "ord=3"},
            "optimizer='tfa:ConditionalGradient': .*ord",
        ),
        (
            {"optimizer": "tfa:LAMB", "optimizer_options": "weight_decay=1"},
            "takes no weight_decay, or it is an option of its own. It takes beta_1, beta_2",
        ),
        ({"optimizer": "tfa:Lookahead:SGD", "head_epochs": 1}, "head_epochs=1 would leave behind"),
        ({"optimizer": "tfa:Lookahead:SGD", "layer_decay": 0.5}, "Give --layer_decay=1, or"),
    ],
)
def test_what_addons_do_not_have(options, message):
    addons()
    with pytest.raises(ConfigError, match=message):
        check_optimizer(TrainConfig(**options))


def test_every_addons_optimizer_that_is_named_takes_a_step():
    """The list is that of the error for a name that there is not."""
    addons()
    with pytest.raises(ConfigError) as error:
        check_optimizer(TrainConfig(optimizer="tfa:?"))
    names = str(error.value).rpartition(": ")[2].rstrip(".").split(", ")
    assert {"SGDW", "LAMB", "NovoGrad", "Yogi", "COCOB", "Adam"} <= {*names}
    starts = [weight.numpy() for weight in variables()]
    with pytest.raises(ConfigError, match="Nadam optimizer does not support .*Schedules"):
        check_optimizer(TrainConfig(optimizer="tfa:Nadam"))
    for name in {*names} - {"Nadam"}:
        ends = stepped(f"tfa:{name}", weight_decay=0.1)
        assert largest_difference(starts, ends) > 1e-7 and np.isfinite(ends[0]).all(), name
