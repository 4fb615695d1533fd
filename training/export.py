"""A trained run as a SavedModel for TF Serving: raw video frames in, labels out."""

import contextlib
import dataclasses
import io
import json
import os
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from r21d_keras import __version__
from r21d_keras.zoo.preprocessing import Preprocessing

from .config import WEIGHTS, ConfigError, TrainConfig
from .data.pipeline import normalise
from .evaluation.scoring import TOP_K
from .model_dir import load_run
from .remote.copies import sent
from .remote.files import size
from .remote.urls import AbsentError, is_remote, join

METADATA = Path("assets.extra", "r21d.json")  # for readers; no runtime loads assets.extra
CLASSES = Path("assets.extra", "classes.txt")
SAVED_MODEL = "saved_model.pb"
FILES = (
    SAVED_MODEL,
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    METADATA.as_posix(),
    CLASSES.as_posix(),
)
"""What an export is made of."""


def export(model_dir: str | os.PathLike, out: str | os.PathLike, weights: str = WEIGHTS[0]) -> None:
    """Writes the network of a run as a SavedModel into the new folder `out`.

    Signatures, each with one input `clips` and outputs `probabilities` (B, K) float32 in the order
    of the classes, `labels` (B, k) string and `scores` (B, k) float32, best first, k = min(5, K):

    - `serving_default`: uint8 RGB (B, T, H, W, 3) of any H and W. Resized, cropped, normalised.
      Of a flow run: float32 flow (B, T, S, S, 2) in pixels, between T + 1 resized and cropped
      frames. Normalised alone, as no serving runtime computes flow.
    - `float_clips`: float32 (B, T, S, S, C), prepared by the caller.

    T is free where the network allows it: everywhere but in the r2d family.
    assets.extra/ holds classes.txt and r21d.json, which tells frame rate, clip length, sizes.

    Args:
        model_dir: the folder of a run.
        out: the folder to make, here or at a URL. TF Serving wants a version number as its name.
        weights: one of config.WEIGHTS.

    Raises:
        FileExistsError: if `out` exists and is not an empty folder; at a URL, if there is a
            SavedModel. There saved_model.pb comes last, so that a server loads it when it is whole.
        ConfigError: if `model_dir` holds no run with these weights, or one of them is not finite.
        RemoteError: a server that does not give the run, or take the export.
    """
    if not is_remote(out):
        _export(model_dir, Path(out).absolute(), weights)
        return
    _check_free(os.fspath(out))
    with sent(out, last=SAVED_MODEL) as folder:
        _export(model_dir, folder, weights)


def _check_free(url: str) -> None:
    """As for a folder here: nothing is overwritten."""
    with contextlib.suppress(AbsentError):
        size(join(url, SAVED_MODEL))
        raise FileExistsError(
            f"{url} has a {SAVED_MODEL} already, and is not overwritten. Choose the next version "
            "number, or remove it."
        )


def _export(model_dir: str | os.PathLike, out: Path, weights: str) -> None:
    if out.is_file() or (out.is_dir() and any(out.iterdir())):
        raise FileExistsError(
            f"{out} exists already and is not overwritten. Expected a new folder; choose the next "
            "version number, or remove it."
        )
    config, classes, model = load_run(model_dir, weights, any_length=True)
    if not all(np.isfinite(weight).all() for weight in model.get_weights()):
        raise ConfigError(
            f"{model_dir}: the {weights} weights are not all finite; that network answers nothing. "
            "Train it again, with a smaller --base_learning_rate."
        )
    archive = _archive(model, config, classes)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints the temporary name
            archive.write_out(str(unfinished))
        _write_extra(unfinished, config, classes)
        os.replace(unfinished, out)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _archive(
    model: keras.Model, config: TrainConfig, classes: tuple[str, ...]
) -> keras.export.ExportArchive:
    """The model with its two endpoints, ready to be written."""
    length, *crop = model.input_shape[1:]  # T, (S, S, C)

    def answer(clips):  # (B, T, S, S, C) float32
        probabilities = model(clips, training=False)
        scores, places = tf.math.top_k(probabilities, min(TOP_K, len(classes)))
        labels = tf.gather(tf.constant(classes), places)
        return {"probabilities": probabilities, "labels": labels, "scores": scores}

    def serving_rgb(clips):  # (B, T, H, W, 3) uint8
        return answer(_prepare(clips, config.preprocessing))

    def serving_flow(clips):  # (B, T, S, S, 2) float32, pixels
        return answer(normalise(clips, config.preprocessing))

    def float_clips(clips):
        return answer(clips)

    serving_default = {
        "rgb": (serving_rgb, (None, None, 3), tf.uint8),
        "flow": (serving_flow, crop, tf.float32),
    }
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, (endpoint, frame, dtype) in {
        "serving_default": serving_default[config.stream],
        "float_clips": (float_clips, crop, tf.float32),
    }.items():
        spec = tf.TensorSpec((None, length, *frame), dtype, "clips")
        archive.add_endpoint(name, endpoint, [spec])
    return archive


def _prepare(clips: tf.Tensor, numbers: Preprocessing) -> tf.Tensor:
    """Frames as the network's input, in the graph; with the resize and crop of frames.py."""
    batch, length, height, width, _ = tf.unstack(tf.shape(clips))
    frames = tf.reshape(clips, (-1, height, width, 3))  # (B*T, H, W, 3)
    # Rounded, because training resizes to uint8.
    frames = tf.round(tf.image.resize(frames, numbers.resize, "bilinear"))
    size = numbers.crop_size
    top, left = ((side - size) // 2 for side in numbers.resize)
    frames = frames[:, top : top + size, left : left + size]  # (B*T, S, S, 3)
    return tf.reshape(normalise(frames, numbers), (batch, length, size, size, 3))


def _write_extra(folder: Path, config: TrainConfig, classes: tuple[str, ...]) -> None:
    """Writes the files that tell a reader what the model is and what it wants."""
    (folder / METADATA).parent.mkdir()
    (folder / CLASSES).write_text("".join(f"{name}\n" for name in classes), "utf-8")
    about = {
        "written_by": f"r21d_keras {__version__}",
        "variant": config.variant,
        "clip_frames": config.clip_frames,
        "short_video": config.short_video,
        "preprocessing": dataclasses.asdict(config.preprocessing),
        **({"flow_method": config.flow_method} if config.stream == "flow" else {}),
        "classes": list(classes),
    }
    (folder / METADATA).write_text(json.dumps(about, indent=2) + "\n", "utf-8")
