"""The options of a run that say by what its weights learn, and which weights are kept of it."""

from dataclasses import dataclass

from ..options import option

OPTIMIZERS = {
    "sgd": "momentum, L2 in the gradient: the paper's",
    "sgdw": "momentum, weight decay apart from the gradient",
    "adamw": "Adam with decoupled weight decay",
    "lamb": "Adam with a trust ratio a kernel, for large batches",
    "muon": "orthogonal updates of the convolutions, AdamW for the rest",
}
"""The built-in optimizers, with what `r21d train --help` says of each."""
ADDONS = "tfa:"
"""How the names of tensorflow-addons' optimizers begin."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """Fields of TrainConfig: the optimizer, and averages of weights."""

    optimizer: str = option(
        "sgd",
        f"{'; '.join(f'{name}: {about}' for name, about in OPTIMIZERS.items())}; "
        f"{ADDONS}NAME: tensorflow-addons' on TensorFlow 2.15 (docs/optimizers.md)",
    )
    optimizer_options: str = option(
        "", "more of the optimizer's own arguments, for example beta_2=0.98,epsilon=1e-6"
    )
    momentum: float = option(0.9, "momentum of sgd and sgdw", low=0.0, high=0.9999)
    nesterov: bool = option(True, "Nesterov's form of momentum, of sgd and sgdw")
    weight_decay: float = option(
        1e-4,
        "of kernels, never of BN and biases: L2 in the gradient with sgd; with the others kernels "
        "shrink by this share times the learning rate",
        low=0.0,
    )
    ema_decay: float = option(
        0.0,
        "decay a step of averaged weights, used to validate and save; 0: none",
        low=0,
        high=0.99999,
    )
    swa_epochs: int = option(
        0, "epochs, the last ones, whose weights are averaged, used to validate and save", low=0
    )
    swa_every: int = option(
        0, "steps between two weights that --swa_epochs averages; 0: an epoch", low=0
    )


def option_conflict(config) -> str:
    """What does not go together in these options of a TrainConfig; "" if all does."""
    name = config.optimizer
    if name not in OPTIMIZERS and not name.startswith(ADDONS):
        return (
            f"optimizer={name!r}: expected one of {', '.join(OPTIMIZERS)}, or {ADDONS}NAME of a "
            "tensorflow-addons optimizer, for example tfa:LAMB."
        )
    if name in ("adamw", "lamb", "muon") and config.momentum != 0.9:
        return (
            f"momentum={config.momentum:g} is of sgd and sgdw; {name} has its own. Give it in "
            "--optimizer_options (docs/optimizers.md)."
        )
    if config.ema_decay and config.swa_epochs:
        return (
            f"ema_decay={config.ema_decay:g} and swa_epochs={config.swa_epochs}: expected one of "
            "them, as one set of averaged weights is kept."
        )
    if config.swa_epochs > config.epochs - config.head_epochs:
        return (
            f"swa_epochs={config.swa_epochs} is more than epochs={config.epochs} less head_epochs="
            f"{config.head_epochs}, in which all weights learn; make it smaller."
        )
    if config.swa_every and not config.swa_epochs:
        return f"swa_every={config.swa_every} without swa_epochs; give --swa_epochs too."
    try:
        parsed(config.optimizer_options)
    except ValueError as error:
        return str(error)
    return ""


def parsed(text: str) -> dict:
    """The arguments that optimizer_options names, "beta_2=0.98,amsgrad=true", by name.

    Raises:
        ValueError: parts that are not name=value.
    """
    arguments = {}
    for part in filter(None, text.split(",")):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name.isidentifier() and equals and value):
            raise ValueError(
                f"optimizer_options={text!r}: {part!r} is not name=value. Expected for example "
                "beta_2=0.98,epsilon=1e-6."
            )
        arguments[name] = _value(value)
    return arguments


def _value(text: str):
    for read in ({"true": True, "false": False}.__getitem__, int, float):
        try:
            return read(text.lower())
        except (KeyError, ValueError):
            continue
    return text
