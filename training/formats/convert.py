"""A trained network in the format of another runtime."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import ConfigError
from ..remote.folders import folder_at
from ..serving.about import about, write_about
from ..serving.names import MODELS
from ..serving.servable import Servable, load_servable
from ..serving.versions import new_version
from .agreement import Agreement, agreement
from .calibration import MOST_CLIPS, calibration_clips, videos_of
from .table import FORMATS, Format, check_format


@dataclass(frozen=True)
class Converted:
    """place: the folder of the version. agreement: with the Keras network."""

    place: str
    agreement: Agreement


def convert(
    source: str | os.PathLike,
    out: str | os.PathLike,
    name: str,
    precision: str = "float32",
    calibrate: Sequence[str | os.PathLike] = (),
    num_clips: int = MOST_CLIPS,
    version: int | None = None,
    weights: str | None = None,
    quietly: Callable[[], AbstractContextManager] = nullcontext,
) -> Converted:
    """Writes a trained network as a new version, in the format `name`, into the folder `out`.

    The version appears when all of it is there, and its own runtime has answered as Keras does.

    Args:
        source: the folder of a run, here or at a URL, or VARIANT.TAG of `r21d zoo list`.
        out: the folder of all versions, here or at a URL.
        name: "openvino", "litert" or "onnx"; `serving.saved_model.export` writes "tf".
        precision: one of table.PRECISIONS.
        calibrate: for int8, videos or folders of videos like those that will be shown.
        num_clips: of them, at most.
        version, weights: as for `serving.saved_model.export`.
        quietly: around converters and runtimes, which tell of each step on stderr.

    Raises:
        ConfigError: before any work, what the format cannot do, packages that are missing, a
            folder of TensorFlow Serving's; a network that cannot be served; a runtime that answers
            otherwise than Keras.
        VideoError: a video that cannot be read.
        FileExistsError, RemoteError: as `serving.saved_model.export`.
    """
    row = check_format(name, precision)
    if name == "tf":
        raise ConfigError("format='tf' is written by serving.saved_model.export.")
    videos = _check_videos(precision, calibrate, num_clips)
    with new_version(out, version, row.files[0]) as place:
        _check_unwatched(out, row)
        servable = load_servable(source, weights)
        clips = calibration_clips(servable, videos, num_clips) if videos else []
        place.folder.mkdir(parents=True, exist_ok=True)
        with quietly():
            write_format(place.folder, servable, name, precision, clips)
            found = agreement(place.folder, name, precision, servable, clips)
    return Converted(place.name, found)


def write_format(
    folder: Path,
    servable: Servable,
    name: str,
    precision: str = "float32",
    clips: Sequence[np.ndarray] = (),
) -> None:
    """Writes a network into an empty folder, in the format `name`, with what is said of it.

    Args:
        clips: for int8, (1, T, S, S, C) as the network takes them before normalisation.
    """
    row = FORMATS[name]
    said = about(servable, format=name, precision=precision, calibrated_with=len(clips))
    said["any_length"] = said["any_length"] and row.any_length
    _WRITERS[name](folder / row.files[0], servable, said, precision, clips)
    write_about(folder, said)


def _check_videos(precision: str, calibrate: Sequence[str | os.PathLike], num_clips: int):
    if isinstance(calibrate, str | os.PathLike):
        raise ConfigError(f"calibrate={os.fspath(calibrate)!r}: expected several, as a list.")
    if num_clips < 1:
        raise ConfigError(f"num_clips={num_clips}: expected 1 or more.")
    if precision == "int8" and not calibrate:
        raise ConfigError(
            "precision='int8' needs clips to find ranges by; give calibrate, videos or folders of "
            "videos like those that will be shown."
        )
    if precision != "int8" and calibrate:
        raise ConfigError(f"calibrate is for precision='int8'; got {precision!r}. Leave it out.")
    return videos_of(calibrate)


def _check_unwatched(out: str | os.PathLike, row: Format) -> None:
    if folder_at(out).text(MODELS) is not None:
        raise ConfigError(
            f"out={os.fspath(out)!r} holds {MODELS}: TensorFlow Serving, which may watch it, would "
            f"take a model for {row.runtime} for its newest version, and fail. Give another folder."
        )


def _write_openvino(path, servable, said, precision, clips):
    from .openvino_ir import write_openvino

    write_openvino(path, servable, said, precision, clips)


def _write_litert(path, servable, said, precision, clips):
    from .litert_model import write_litert

    write_litert(path, servable, precision, clips)


def _write_onnx(path, servable, said, precision, clips):
    from .onnx_graph import onnx_model

    model = onnx_model(servable, said, half=precision == "float16")
    if precision == "int8":
        from .onnx_int8 import quantised

        model = quantised(model, clips)
    path.write_bytes(model.SerializeToString())


_WRITERS = {"openvino": _write_openvino, "litert": _write_litert, "onnx": _write_onnx}
