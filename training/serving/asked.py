"""What a client looks at before it sends clips: faults that the server would find, without it."""

import numpy as np

from .names import CLIPS_FLOAT, FRAMES_BYTES, SIGNATURES


def check_request(about: dict, signature: str, clips: np.ndarray) -> None:
    """Looks over what is to be sent to a signature of a model.

    Args:
        about: of the model, r21d.json.

    Raises:
        ValueError: a signature that it has not; clips of another type, rank, length or size than
            it takes, or none; more frames than it answers at once.
    """
    stream = "flow" if len(about["preprocessing"]["mean"]) == 2 else "rgb"
    if signature not in SIGNATURES[stream]:
        raise ValueError(
            f"signature={signature!r}: this model of {stream} has {', '.join(SIGNATURES[stream])}."
        )
    kind, last = _expected(about, signature, stream)
    shown = f"{kind} (N, T{''.join(f', {size or name}' for name, size in last)})"
    sizes = [size for _, size in last]
    if (
        not _is_of(kind, clips)
        or clips.ndim != 2 + len(last)
        or any(size and size != got for size, got in zip(sizes, clips.shape[2:], strict=True))
        or clips.size == 0
    ):
        given = f"clips for {signature} of {clips.dtype} {clips.shape}"
        # NumPy's own strings lose what ends in zeros.
        advice = " Make the array with dtype=object." if kind == "bytes" else ""
        raise ValueError(f"{given}: expected {shown}, none 0.{advice}")
    _check_length(about, clips.shape[1])


def _expected(about: dict, signature: str, stream: str):
    """Type of a signature's input, and (name, size) of its dimensions after (N, T); 0: any."""
    if signature == FRAMES_BYTES:
        return "bytes", []
    if stream == "flow" or signature == CLIPS_FLOAT:
        side, depth = about["preprocessing"]["crop_size"], len(about["preprocessing"]["mean"])
        return "float32", [("S", side), ("S", side), ("C", depth)]
    return "uint8", [("H", 0), ("W", 0), ("C", 3)]


def _is_of(kind: str, clips: np.ndarray) -> bool:
    if kind == "bytes":
        return clips.dtype == object and all(isinstance(value, bytes) for value in clips.flat)
    return clips.dtype.name == kind


def _check_length(about: dict, frames: int) -> None:
    if not about["any_length"] and frames != about["clip_frames"]:
        raise ValueError(
            f"clips of {frames} frames: {about['variant']} takes {about['clip_frames']}, no more "
            "and no fewer."
        )
    if frames > about["limits"]["max_frames"]:
        raise ValueError(
            f"clips of {frames} frames: the model answers at most {about['limits']['max_frames']}. "
            "Cut them."
        )
