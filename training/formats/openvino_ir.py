"""OpenVINO's IR, read from ONNX, which its own frontend takes without TensorFlow."""

import contextlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import openvino as ov

from ..serving.servable import Servable
from .onnx_graph import onnx_model


def write_openvino(
    path: Path,
    servable: Servable,
    about: dict,
    precision: str,
    calibration: Iterable[np.ndarray] = (),
) -> None:
    """Writes model.xml at `path` and model.bin beside it; inputs and outputs as `onnx_model`.

    Args:
        precision: one of table.PRECISIONS.
        calibration: for int8, clips (1, T, S, S, C) as the network takes them.
    """
    model = ov.Core().read_model(onnx_model(servable, about).SerializeToString())
    if precision == "int8":
        model = _quantised(model, list(calibration))
    model.set_rt_info(json.dumps(about), ["r21d"])
    model.set_rt_info(" ".join(name.replace(" ", "_") for name in about["classes"]), _LABELS)
    try:
        ov.save_model(model, path, compress_to_fp16=precision == "float16")
    except RuntimeError as error:  # of a stream of C++, which does not say why
        raise OSError(f"{path} cannot be written ({error}). Is the disk full?") from None


_LABELS = ["model_info", "labels"]  # where OpenVINO's Model API looks for them, spaces between


def _quantised(model: ov.Model, clips: list[np.ndarray]) -> ov.Model:
    os.environ.setdefault("NNCF_CI", "1")  # or it tells its makers of every call
    import nncf

    with contextlib.redirect_stdout(sys.stderr):  # its progress
        return nncf.quantize(model, nncf.Dataset(clips), subset_size=len(clips))
