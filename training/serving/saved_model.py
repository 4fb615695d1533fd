"""A trained network as a SavedModel for servers: raw video frames in, labels out."""

import dataclasses
import os
from pathlib import Path

import tensorflow as tf

from r21d_keras._keras import backend_variable

from ..config import ConfigError
from ..evaluation.scoring import TOP_K
from .about import about, write_about
from .deployment import batch_sizes, deploy
from .servable import Servable, load_servable
from .signatures import Signatures
from .versions import check_for_server, new_version
from .warmup import write_warmup


def export(
    source: str | os.PathLike,
    out: str | os.PathLike,
    version: int | None = None,
    weights: str | None = None,
    top_k: int | None = None,
) -> str:
    """Writes a trained network as a new version, a SavedModel, into the folder `out`.

    That is a folder as TensorFlow Serving watches it: versions by number, beside them what a
    server needs to be told (`deployment`). A version appears when all of it is there.

    Signatures (docs/serving.md) take RGB video as pixels (`serving_default`), as JPEG or PNG
    (`frames_bytes`) or prepared by the caller (`clips_float`), flow instead for a network of
    flow, and answer with `probabilities`, `top_labels`, `top_scores` and `embedding`; `features`
    with the embedding alone. Batch normalisation is merged into the convolutions.

    Args:
        source: the folder of a run, here or at a URL, or VARIANT.TAG of `r21d zoo list`.
        out: the folder of all versions, here or at a URL; there saved_model.pb comes last, as
            buckets have no folders that could appear at once (docs/serving.md).
        version: its number, from 1; None: the next that is free.
        weights: one of config.WEIGHTS, for a run alone; None: the first of them.
        top_k: labels an answer; None: 5, or as many as there are classes.

    Returns:
        The folder of the version.

    Raises:
        FileExistsError: if the version is there.
        ConfigError: a folder with versions for other runtimes; what cannot be served: no run with
            these weights, weights that are not finite; a version, or labels, of a number that
            cannot be.
        RemoteError: a server that does not give the run, or take the export.
    """
    with new_version(out, version) as place:
        check_for_server(out)
        servable = load_servable(source, weights)
        sizes = batch_sizes(out, servable)
        said = _about(servable, _top_k(top_k, len(servable.classes)), sizes)
        _write_network(place.folder, Signatures(servable, said))
        write_about(place.folder, said)
        write_warmup(place.folder, servable, sizes)
    deploy(out, servable, sizes)
    return place.name


def _top_k(asked: int | None, num_classes: int) -> int:
    if asked is None:
        return min(TOP_K, num_classes)
    if not 1 <= asked <= num_classes:
        raise ConfigError(
            f"top_k={asked}: expected a number from 1 to {num_classes}, the classes of the network."
        )
    return asked


def _write_network(folder: Path, signatures: Signatures) -> None:
    """Writes the SavedModel itself.

    Not by keras.export.ExportArchive: Keras 3's writes every weight twice, and servers read both.
    """
    module = tf.Module()
    module.weights = [backend_variable(weight) for weight in signatures.model.weights]
    functions = {
        name: tf.function(function, input_signature=[spec])
        for name, (function, spec) in signatures.table().items()
    }
    tf.saved_model.save(module, str(folder), signatures=functions)


def _about(servable: Servable, top_k: int, sizes: tuple[int, ...]) -> dict:
    more = {"top_k": top_k, "limits": dataclasses.asdict(servable.limits)}
    return about(servable, **more, warmed_up_batch_sizes=list(sizes))
