"""What a server is asked under load, and whether it answers right."""

import pathlib
from collections.abc import Iterator

import cv2
import numpy as np

TIMEOUT_S = 120.0
# What is asked: weight, signature, clips, frames, height and width; bad ones by what is wrong.
MIX = (
    (6, "serving_default", 1, 8, 64, 86),
    (3, "serving_default", 2, 8, 64, 86),
    (1, "serving_default", 8, 4, 32, 32),
    (2, "serving_default", 1, 4, 120, 160),
    (1, "serving_default", 1, 12, 40, 40),
    (3, "frames_bytes", 1, 8, 64, 86),
    (1, "frames_bytes", 2, 4, 120, 160),
    (2, "features", 1, 8, 64, 86),
)
BAD = ((1, "channels"), (1, "JPEG"))
BY_REST = ("frames_bytes", "JPEG")  # pixels as text would measure JSON alone


def requests_for(model: pathlib.Path) -> Iterator[dict]:
    """Each row of MIX and BAD with its input, and what the SavedModel answers here."""
    from r21d_keras.training.serving.local_transport import LocalTransport
    from r21d_keras.training.serving.versions import version_in

    local, draw = LocalTransport(version_in(model)), np.random.default_rng(0)
    for weight, signature, clips, frames, height, width in MIX:
        value = draw.integers(0, 256, (clips, frames, 6, 8, 3), np.uint8)
        value = np.stack([[cv2.resize(frame, (width, height)) for frame in clip] for clip in value])
        inputs = {"clips": value}
        if signature == "frames_bytes":
            inputs = {"frames_bytes": _encoded(value)}
        expected = local.predict(signature, inputs, TIMEOUT_S)
        row = {"kind": signature, "weight": weight, "signature": signature, "inputs": inputs}
        yield {**row, "expected": expected, "clips": clips, "refused": False}
    cut = _encoded(np.zeros((1, 8, 32, 32, 3), np.uint8))
    cut[0, -1] = cut[0, -1][:60]
    bad = {
        "channels": ("serving_default", {"clips": np.zeros((1, 8, 32, 32, 4), np.uint8)}),
        "JPEG": ("frames_bytes", {"frames_bytes": cut}),
    }
    for weight, kind in BAD:
        signature, inputs = bad[kind]
        row = {"kind": kind, "weight": weight, "signature": signature, "inputs": inputs}
        yield {**row, "expected": {}, "clips": 0, "refused": True}


def ask(transport, row: dict) -> str:
    """Asks once; what is wrong with the answer, "" if nothing."""
    from r21d_keras.training.serving.comparison import WrongError, compared
    from r21d_keras.training.serving.transport import ServerError

    try:
        answer = transport.predict(row["signature"], row["inputs"], TIMEOUT_S)
    except ServerError as error:
        right = row["refused"] and error.code == "INVALID_ARGUMENT"
        return "" if right else f"{row['kind']}: {error}"[:300]
    if row["refused"]:
        return f"{row['kind']}: answered"
    try:
        compared(answer, row["expected"])
    except WrongError as error:
        return f"{row['kind']}: {error}"
    return ""


def _encoded(clips: np.ndarray) -> np.ndarray:
    frames = np.empty(clips.shape[:2], object)
    for place in np.ndindex(frames.shape):
        frames[place] = cv2.imencode(".png", clips[place])[1].tobytes()
    return frames
