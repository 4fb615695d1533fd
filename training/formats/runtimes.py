"""Exports run by the runtimes they are for."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..config import ConfigError
from .table import FORMATS, check_packages

Session = Callable[[np.ndarray], dict[str, np.ndarray]]
"""Clips (B, T, S, S, C), as the export takes them, in; outputs by name."""


def open_session(folder: Path, name: str, threads: int | None = None) -> Session:
    """An export as a function, computed by its own runtime on this machine's CPU in float32.

    Args:
        folder: of the version. name: of FORMATS. threads: None for those of all cores.

    Raises:
        ConfigError: a runtime that is not installed, or a model that it does not read.
    """
    row = FORMATS[name]
    check_packages(row)
    path = folder / row.files[0]
    try:
        run = _OPEN[name](path, threads)
    except Exception as error:  # those of ONNX Runtime have no class of their own
        problem = str(error).strip().splitlines()
        raise ConfigError(
            f"{row.runtime} does not read {path}: {problem[-1] if problem else error!r}. Expected "
            "a model of `r21d export`; export it again."
        ) from error
    return lambda clips: run(np.ascontiguousarray(clips))


def _open_openvino(path: Path, threads: int | None) -> Session:
    # CPUs that can would compute in bfloat16 unasked, and scores be 1e-3 away.
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    if threads:
        options["INFERENCE_NUM_THREADS"] = threads
    compiled = _openvino_core().compile_model(path, "CPU", options)

    def run(clips):
        answer = compiled([clips])
        return {output.any_name: np.array(answer[output]) for output in compiled.outputs}

    return run


@functools.cache
def _openvino_core():
    """That which runs exports: one for the process, that never goes.

    The CPU plugin of each gives the thread another stack for signals, and takes it away when the
    Core goes: with two of them, the older gone first, to no stack at all. Python's handlers run on
    it, so that Ctrl-C or SIGTERM would then be a segmentation fault (OpenVINO 2026.4).
    """
    import openvino as ov

    return ov.Core()


def _open_onnx(path: Path, threads: int | None) -> Session:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0  # 0: one for each core
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    given = session.get_inputs()[0].name
    return lambda clips: dict(zip(names, session.run(names, {given: clips}), strict=True))


def _open_litert(path: Path, threads: int | None) -> Session:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=threads or os.cpu_count())  # None would be 1
    run = interpreter.get_signature_runner()
    (given,) = run.get_input_details()
    return lambda clips: run(**{given: clips})


_OPEN = {"openvino": _open_openvino, "onnx": _open_onnx, "litert": _open_litert}
