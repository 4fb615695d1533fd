"""The names by which servers and clients know what an export holds. Needs no TensorFlow."""

from pathlib import Path

SAVED_MODEL = "saved_model.pb"
OPENVINO, OPENVINO_WEIGHTS = "model.xml", "model.bin"
LITERT, ONNX = "model.tflite", "model.onnx"
LAST_FILES = (SAVED_MODEL, OPENVINO, LITERT, ONNX)
"""Of each format the file that makes a version complete."""
METADATA = Path("assets.extra", "r21d.json")  # for readers; no runtime loads assets.extra
CLASSES = Path("assets.extra", "classes.txt")
WARMUP = Path("assets.extra", "tf_serving_warmup_requests")
"""Where TensorFlow Serving looks for the requests it answers itself before it takes others'."""
FILES = (
    *LAST_FILES,
    OPENVINO_WEIGHTS,
    "fingerprint.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    METADATA.as_posix(),
    CLASSES.as_posix(),
)
"""What the network of a version is read from."""

SERVING_DEFAULT, CLIPS_FLOAT = "serving_default", "clips_float"
FRAMES_BYTES, FEATURES = "frames_bytes", "features"
SIGNATURES = {
    "rgb": (SERVING_DEFAULT, CLIPS_FLOAT, FRAMES_BYTES, FEATURES),
    "flow": (SERVING_DEFAULT, CLIPS_FLOAT, FEATURES),
}
"""By what a network takes. No serving runtime computes flow, so none is made of encoded frames."""

DESCRIBE = "describe"
"""The signature that says what the model is: METADATA, from any server. For a string of any value,
since servers want an input."""

CLIPS = "clips"
"""The input of every signature, but of frames_bytes, whose input has its own name."""
PROBABILITIES, TOP_LABELS, TOP_SCORES = "probabilities", "top_labels", "top_scores"
EMBEDDING = "embedding"
ABOUT = "about"
"""The output of DESCRIBE: JSON text."""
# REST clients get strings in base64 where an output's name ends in _bytes: none of these does.
OUTPUTS = (PROBABILITIES, TOP_LABELS, TOP_SCORES, EMBEDDING)
"""What signatures answer with; `features` with the last alone."""

BATCHING = "batching_parameters.txt"
MODELS = "models.config"
COMPOSE = "docker-compose.yml"
README = "README.md"
