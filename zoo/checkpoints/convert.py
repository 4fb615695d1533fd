"""Checkpoints of PyTorch and Caffe2 as Keras weights, exactly, with numpy alone."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

from r21d_keras import VideoResNet, __version__
from r21d_keras._keras import float32_policy
from r21d_keras.zoo.durable import partial_name, put
from r21d_keras.zoo.errors import CheckpointError
from r21d_keras.zoo.hashes import digest
from r21d_keras.zoo.weights_h5 import SUFFIX, card_path

from .architecture import Architecture, find_architecture
from .checkpoint import read_checkpoint
from .messages import shown
from .torch_names import NOT_A_WEIGHT, differing, load_torch_state, torch_state


def convert_checkpoint(
    source: str | os.PathLike,
    out: str | os.PathLike,
    *,
    variant: str | None = None,
    convention: str | None = None,
) -> dict:
    """Write a checkpoint's weights for Keras, with a card beside; nothing is left if it fails.

    >>> convert_checkpoint("r2plus1d_34.pth", "r2plus1d_34.weights.h5")

    Each array is used once, and none is left. The file is written and loaded again into a network
    whose every weight was set to NaN; that is compared with the checkpoint, bit for bit.

    Args:
        source: a file that `read_checkpoint` reads.
        out: the weights file, NAME.weights.h5 or NAME; the card is NAME.json. Its folder is made.
        variant, convention: what is expected; where the file tells them, they must agree.

    Returns:
        The card: variant, convention, convention_known (False: neither the file nor the caller
        told it, torchvision's was assumed), naming, num_classes (None: there is no
        classifier), input_shape (frames, height, width, channels; None: any), num_params
        (trainable), source, source_sha256, num_bytes (of the weights file), and the
        versions of r21d_keras and keras.

    Raises:
        CheckpointError: the file is damaged, unknown, foreign, not float32 exactly, not finite, or
            another network than was said.
        FileNotFoundError: there is no `source`.
        ValueError: an unknown `variant` or `convention`.
        OSError: `source`, which is then its filename, cannot be read, or the files not written.
    """
    source, out = pathlib.Path(source), pathlib.Path(out)
    out = out.with_name(out.name.removesuffix(SUFFIX) + SUFFIX)
    with _named(source), ThreadPoolExecutor(1) as pool:
        sha256 = pool.submit(digest, source, "sha256")  # beside all else: it takes as long
        network, arrays = read_network(source, variant, convention)
        model = _build(network)
        _fill_with_nan(model)
        load_torch_state(model, arrays)  # compared when it has been written and read
        card = _card(network, model) | {"source": source.name, "source_sha256": sha256.result()}
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = partial_name(out)
    unfinished_card = card_path(unfinished)
    try:
        model.save_weights(str(unfinished))
        _fill_with_nan(model)
        model.load_weights(str(unfinished))
        _check_exact(model, arrays, f"after {unfinished} was written and read")
        card["num_bytes"] = unfinished.stat().st_size
        unfinished_card.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
        put(unfinished_card, card_path(out))
        put(unfinished, out)
    finally:
        unfinished.unlink(missing_ok=True)
        unfinished_card.unlink(missing_ok=True)
    return card


def read_network(
    source: str | os.PathLike, variant: str | None = None, convention: str | None = None
) -> tuple[Architecture, dict]:
    """What network a checkpoint is, and its weights: float32 under PyTorch's module paths.

    Args and exceptions are those of `convert_checkpoint`. All is checked but the shapes of those
    arrays that tell nothing of the network; `load_arrays` compares them all.
    """
    arrays = read_checkpoint(source)
    try:
        network, arrays = find_architecture(arrays, convention, variant)
        weights = {key: array for key, array in arrays.items() if not key.endswith(NOT_A_WEIGHT)}
        return network, {key: _exact_float32(key, array) for key, array in weights.items()}
    except CheckpointError as error:
        raise CheckpointError(f"{pathlib.Path(source).name}: {error}") from None


def load_arrays(model: keras.Model, arrays: dict) -> None:
    """Put all `arrays` of `read_network` into the network they fit, and compare what is there.

    A network that keeps its weights in another precision, by the user's policy, gets them rounded.

    Raises:
        CheckpointError: arrays or weights are left over, or of another shape; the model then
            holds NaN.
    """
    _fill_with_nan(model)
    load_torch_state(model, arrays)
    dtypes = {key: weight.numpy().dtype for key, (weight, _) in torch_state(model).items()}
    rounded = {key: array.astype(dtypes[key], copy=False) for key, array in arrays.items()}
    _check_exact(model, rounded, "after loading")


@contextlib.contextmanager
def _named(source: pathlib.Path) -> Iterator[None]:
    """Puts the file's name into errors of reading it: those of a disk that fails have none."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(source)
        raise


def _build(network: Architecture) -> keras.Model:
    has_top = network.num_classes is not None
    with float32_policy():  # whatever the user's: the file is for all
        return VideoResNet(
            network.variant,
            num_classes=network.num_classes if has_top else 1,
            include_top=has_top,
            input_shape=(network.frames, None, None, network.input_channels),
            convention=network.convention,
            classifier_activation=None,
            kernel_initializer="zeros",  # to draw kernels would be most of the work of building
        )


def _card(network: Architecture, model: keras.Model) -> dict:
    return {
        "variant": network.variant,
        "convention": network.convention,
        "convention_known": network.convention_known,
        "naming": network.naming,
        "num_classes": network.num_classes,
        "input_shape": [network.frames, None, None, network.input_channels],
        "num_params": sum(int(np.prod(weight.shape)) for weight in model.trainable_weights),
        "r21d_keras": __version__,
        "keras": keras.__version__,
    }


def _exact_float32(key: str, array: np.ndarray) -> np.ndarray:
    """The same numbers as float32, without a copy where they are that already."""
    if not np.issubdtype(array.dtype, np.floating):
        raise CheckpointError(f"{shown(key)} is an array of {array.dtype}; expected float32.")
    if not np.isfinite(array).all():
        raise CheckpointError(
            f"{shown(key)} holds {np.count_nonzero(~np.isfinite(array))} values that are NaN or "
            "infinite; expected finite weights: the training that wrote them has diverged."
        )
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        converted = array.astype(np.float32)
    if not np.array_equal(converted.astype(array.dtype), array):
        raise CheckpointError(
            f"{shown(key)} is an array of {array.dtype} with values that float32 does not hold "
            "exactly. Convert it to float32 first, if rounding is what you want."
        )
    return converted


def _fill_with_nan(model: keras.Model) -> None:
    for weight in model.weights:
        weight.assign(np.broadcast_to(np.float32(np.nan), tuple(weight.shape)))


def _check_exact(model: keras.Model, arrays: dict, when: str) -> None:
    """What is not filled is NaN, and the arrays are finite: so this finds that too."""
    if wrong := differing(model, arrays):
        raise CheckpointError(
            f"{len(wrong)} weights of {model.name} are not the checkpoint's {when}: "
            f"{', '.join(wrong[:5])}. Expected all of them, bit for bit; please report this."
        )
