"""ONNX, written operation by operation.

The networks are six operations, each of which ONNX has in three dimensions. Converters of
TensorFlow's graphs (tf2onnx, which Keras 3 calls too) would have to find them again among the
reshapes by which the Keras layers compute them in two.
"""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ..serving.names import CLIPS, EMBEDDING, PROBABILITIES
from ..serving.servable import Servable
from .plan import Step, plan_of

OPSET, IR_VERSION = 17, 8  # of ONNX 1.12, 2022: what runtimes of the last years all read
_CHANNELS_FIRST = (0, 4, 1, 2, 3)  # (B, T, H, W, C) -> (B, C, T, H, W)


def onnx_model(servable: Servable, about: dict, half: bool = False) -> onnx.ModelProto:
    """A network as ONNX, from "clips" to "embedding" and "probabilities".

    Clips are uint8 RGB (B, T, S, S, 3), resized and cropped, or flow in pixels, float32
    (B, T, S, S, 2); B is free, and T where the network takes any.

    Args:
        about: what a reader is to know; kept as JSON under the key r21d.
        half: keep weights in float16, from which they are made float32 when the model is loaded.
    """
    graph = _Graph(half)
    graph.normalise(servable)
    for step in plan_of(servable.model):
        getattr(graph, step.operation)(step)
    length, classes = servable.length or "frames", len(servable.classes)
    given = TensorProto.UINT8 if servable.stream == "rgb" else TensorProto.FLOAT
    features = graph.features
    made = helper.make_graph(
        graph.nodes,
        servable.variant,
        [helper.make_tensor_value_info(CLIPS, given, ["batch", length, *servable.crop])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size])
            for name, size in ((PROBABILITIES, classes), (EMBEDDING, features))
        ],
        graph.weights,
    )
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="r21d_keras",
    )
    helper.set_model_props(model, {"r21d": json.dumps(about)})
    onnx.checker.check_model(model)
    return model


class _Graph:
    """Nodes and weights as they come; values are (B, C, T, H, W), then (B, F)."""

    def __init__(self, half: bool):
        self.nodes, self.weights, self.features = [], [], 0
        self._half, self._names = half, {CLIPS: "prepared"}

    def normalise(self, servable: Servable) -> None:
        """Clips as they are given, normalised as zoo.preprocess_input does, channels first."""
        numbers = servable.preprocessing
        mean, std = (np.asarray(values, np.float64) for values in (numbers.mean, numbers.std))
        source = CLIPS
        if servable.stream == "rgb":
            source = self._node("Cast", "pixels", [CLIPS], to=TensorProto.FLOAT)
        factor = self._exact("factor", 1 / (numbers.scale * std))
        offset = self._exact("offset", -mean / std)
        scaled = self._node("Mul", "scaled", [source, factor])
        shifted = self._node("Add", "normalised", [scaled, offset])
        self._node("Transpose", "prepared", [shifted], perm=_CHANNELS_FIRST)

    def convolution(self, step: Step) -> None:
        """Of any kernel: (kt, kh, kw, C, F) here, (F, C, kt, kh, kw) there."""
        kernel = self._weight(f"{step.name}.weight", step.kernel.transpose(4, 3, 0, 1, 2))
        bias = self._exact(f"{step.name}.bias", step.bias)
        form = {"strides": step.strides, "pads": step.pads * 2}
        self._step("Conv", step, [*self._taken(step), kernel, bias], **form)

    def relu(self, step: Step) -> None:
        """max(x, 0)."""
        self._step("Relu", step, self._taken(step))

    def add(self, step: Step) -> None:
        """Of two."""
        self._step("Add", step, self._taken(step))

    def mean(self, step: Step) -> None:
        """Over time and space: (B, C)."""
        pooled = self._node("GlobalAveragePool", f"{step.name}.pooled", self._taken(step))
        self._step("Flatten", step, [pooled])

    def dense(self, step: Step) -> None:
        """x @ kernel + bias."""
        self.features = step.kernel.shape[0]
        kernel = self._weight(f"{step.name}.weight", step.kernel)
        bias = self._exact(f"{step.name}.bias", step.bias)
        self._step("Gemm", step, [*self._taken(step), kernel, bias])

    def softmax(self, step: Step) -> None:
        """Over classes."""
        self._step("Softmax", step, self._taken(step), axis=1)

    def _taken(self, step: Step) -> list[str]:
        return [self._names.get(source, source) for source in step.sources]

    def _step(self, operator: str, step: Step, inputs: list[str], **attributes) -> None:
        self._node(operator, step.output, inputs, **attributes)

    def _node(self, operator: str, output: str, inputs: list[str], **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def _exact(self, name: str, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    def _weight(self, name: str, values: np.ndarray) -> str:
        if not self._half:
            return self._exact(name, np.ascontiguousarray(values))
        values = np.ascontiguousarray(values, np.float16)
        self.weights.append(numpy_helper.from_array(values, f"{name}.half"))
        return self._node("Cast", name, [f"{name}.half"], to=TensorProto.FLOAT)
