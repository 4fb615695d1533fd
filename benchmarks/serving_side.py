"""A process that serves one artefact of benchmarks/serving.py, and tells what that takes."""

import os
import pathlib
import time

import numpy as np

from benchmarks.protocol import serve
from benchmarks.service import peak_mib

THREADS = os.cpu_count()


class Contestant:
    """One artefact, loaded once. `kind` is of KINDS; `option` is the kind's own."""

    def load(self, kind: str, place: str, option: str, variant: str, shape: list[int]) -> dict:
        """Seconds from the file to the first answer, what is imported before them left out.

        shape: clips, frames, height, width.
        """
        open_it = KINDS[kind]()
        draw = np.random.default_rng(0)
        clips = draw.integers(0, 256, (*shape, 3), np.uint8)
        start = time.perf_counter()
        self._run = open_it(place, variant, clips, option)
        self._run()
        took = time.perf_counter() - start
        self._run()  # compilers look twice
        return {"load_s": took}

    def time(self) -> dict:
        """Seconds of one batch."""
        start = time.perf_counter()
        self._run()
        return {"seconds": time.perf_counter() - start}

    def peak(self) -> dict:
        """The most memory that this process has had resident."""
        return {"mib": peak_mib()}


def _keras():
    import tensorflow as tf

    from r21d_keras.training.data.pipeline import normalise
    from r21d_keras.training.evaluation.scoring import clip_scorer
    from r21d_keras.training.model_dir import load_run

    def open_it(place, variant, clips, option):
        config, _, model = load_run(place)
        prepared = tf.constant(normalise(clips, config.preprocessing))
        scorer = clip_scorer(model)
        return lambda: scorer(prepared)

    return open_it


def _saved_model():
    import tensorflow as tf

    def open_it(place, variant, clips, option):
        loaded = tf.saved_model.load(place)
        answer = loaded.signatures["clips_float"]
        prepared = tf.constant(clips, tf.float32) / 255.0
        return lambda loaded=loaded: answer(clips=prepared)["probabilities"].numpy()

    return open_it


def _openvino():
    import openvino as ov

    def open_it(place, variant, clips, option):
        hints = {"INFERENCE_PRECISION_HINT": option, "INFERENCE_NUM_THREADS": THREADS}
        core = ov.Core()
        compiled = core.compile_model(_only_file(place, "*.xml", "*.onnx"), "CPU", hints)
        given = _as_asked(clips, compiled.input(0).get_element_type() == ov.Type.u8)
        request = compiled.create_infer_request()
        return lambda: request.infer([given])

    return open_it


def _onnx():
    import onnxruntime

    def open_it(place, variant, clips, option):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        session = onnxruntime.InferenceSession(
            _only_file(place, "*.onnx"), options, providers=["CPUExecutionProvider"]
        )
        (taken,) = session.get_inputs()
        given = {taken.name: _as_asked(clips, taken.type == "tensor(uint8)")}
        return lambda: session.run(None, given)

    return open_it


def _litert():
    from ai_edge_litert.interpreter import Interpreter

    def open_it(place, variant, clips, option):
        interpreter = Interpreter(_only_file(place, "*.tflite"), num_threads=THREADS)
        run = interpreter.get_signature_runner()
        return lambda: run(clips=clips)

    return open_it


def _torch():
    import torch
    import torch._dynamo
    import torch._inductor.compile_fx  # which torch.compile would import while it is timed

    from tests.torch_reference import tv

    def open_it(place, variant, clips, option):
        torch.set_num_threads(THREADS)
        last = "channels_last_3d" in option
        layout = torch.channels_last_3d if last else torch.contiguous_format
        state = torch.load(_only_file(place, "*.pt"), weights_only=True)
        network = getattr(tv, variant)(num_classes=400)
        network.load_state_dict(state)
        network = network.eval().to(memory_format=layout)
        given = torch.from_numpy(_as_asked(clips, False)).to(memory_format=layout)
        called = torch.compile(network) if "compiled" in option else network

        def run():
            with torch.inference_mode():
                return called(given).numpy()

        return run

    return open_it


KINDS = {
    "keras": _keras,
    "saved_model": _saved_model,
    "openvino": _openvino,
    "onnx": _onnx,
    "litert": _litert,
    "torch": _torch,
}
"""Each imports its framework, and gives a function that opens an artefact for a batch."""


def _only_file(place: str, *patterns: str) -> str:
    (path,) = (path for pattern in patterns for path in pathlib.Path(place).glob(pattern))
    return str(path)


def _as_asked(clips: np.ndarray, as_pixels: bool) -> np.ndarray:
    """Clips as our exports take them, or prepared as torchvision's do: (B, C, T, H, W)."""
    if as_pixels:
        return clips
    return np.ascontiguousarray(clips.transpose(0, 4, 1, 2, 3).astype(np.float32) / 255.0)


if __name__ == "__main__":
    serve(Contestant())
