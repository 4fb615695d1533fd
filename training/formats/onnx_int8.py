"""ONNX with 8-bit integers: ONNX Runtime's own quantiser, by the ranges that given clips show."""

import logging
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ..serving.names import CLIPS

_OPERATORS = ("Conv", "Add", "Relu", "GlobalAveragePool", "Gemm")
_IN_FLOAT = ("scaled", "normalised")  # nodes: what they normalise has 256 values as it is


def quantised(model: onnx.ModelProto, clips: Iterable[np.ndarray]) -> onnx.ModelProto:
    """The model with quantised convolutions, sums and classifier.

    Args:
        model: of `onnx_graph.onnx_model`.
        clips: (1, T, S, S, C) as the network takes them, of which the ranges are found.
    """
    with tempfile.TemporaryDirectory(prefix="r21d-int8-") as folder:
        source, made = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(model, source)
        # It advises shape inference, which these graphs do not need, by the root logger.
        with _without_advice(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            quantize_static(
                source,
                made,
                _Clips(clips),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(_OPERATORS),
                nodes_to_exclude=list(_IN_FLOAT),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        quantised_model = onnx.load(made)
    onnx.helper.set_model_props(
        quantised_model, {entry.key: entry.value for entry in model.metadata_props}
    )
    return quantised_model


class _Clips(CalibrationDataReader):
    def __init__(self, clips: Iterable[np.ndarray]):
        self._clips = iter(clips)

    def get_next(self):
        clip = next(self._clips, None)
        return None if clip is None else {CLIPS: clip}


class _without_advice:
    def __enter__(self):
        self._level = logging.root.level
        logging.root.setLevel(logging.ERROR)

    def __exit__(self, *_):
        logging.root.setLevel(self._level)
