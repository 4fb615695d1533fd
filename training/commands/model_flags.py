"""The flags that name a network to be shown videos, here or at a server."""

from absl import flags

from .command import UsageError, required

_LONGEST_S = 999_999.0


def define_model(values: flags.FlagValues, timeout_s: float) -> None:
    """Defines --model and --weights, --server and --timeout_s with its default."""
    for name, text in (
        (
            "model",
            "a run's --model_dir, a version of `r21d export`, or VARIANT.TAG of `r21d zoo list`",
        ),
        (
            "server",
            "instead of --model: grpc://HOST:PORT or http://HOST:PORT of TensorFlow Serving, then "
            "/NAME of the model, unless `r21d export` named it, then /versions/N",
        ),
    ):
        flags.DEFINE_string(name, None, text, flag_values=values)
    define_timeout(values, timeout_s, "--server: ")
    define_weights(values)


def define_timeout(values: flags.FlagValues, default_s: float, of: str = "") -> None:
    """Defines --timeout_s."""
    flags.DEFINE_float(
        "timeout_s",
        default_s,
        f"{of}seconds for each request, with all that is tried again",
        lower_bound=0.001,
        upper_bound=_LONGEST_S,
        flag_values=values,
    )


def define_weights(values: flags.FlagValues) -> None:
    """Defines --weights."""
    from ..config import WEIGHTS

    flags.DEFINE_enum(
        "weights",
        None,
        list(WEIGHTS),
        f"which weights of a run (default {WEIGHTS[0]}); best are chosen by accuracy on its test "
        "videos, so that their own accuracy there is flattered",
        flag_values=values,
    )


def check_model(values: flags.FlagValues) -> None:
    """Raise UsageError unless the flags name one network, here or at a server."""
    if values["server"].value:
        if values["model"].value or values["weights"].value:
            raise UsageError(
                "--server has its own model and weights; leave --model and --weights out. Another "
                "model is named in the URL, grpc://HOST:PORT/NAME."
            )
        return
    required(values, "model", "a run, an export, or VARIANT.TAG of `r21d zoo list`")
    if values["timeout_s"].present:
        raise UsageError("--timeout_s is for --server; leave it out, or name a server.")


def served(values: flags.FlagValues):
    """The Predictor of the server that the flags name."""
    from ..served import served_predictor
    from ..serving.client import Client

    return served_predictor(Client(values["server"].value, timeout_s=values["timeout_s"].value))
