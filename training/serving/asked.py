"""What a client looks at before it sends clips, and how many it sends at a time."""

from collections.abc import Callable

import numpy as np

from .names import CLIPS_FLOAT, FRAMES_BYTES, SIGNATURES
from .transport import ServerError

_MAX_BYTES = 1 << 30  # of a request: messages of gRPC end at 2 GiB


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
    most = about.get("limits", {}).get("max_frames", frames)
    if frames > most:
        raise ValueError(f"clips of {frames} frames: the model answers at most {most}. Cut them.")


def in_parts(
    ask: Callable[[np.ndarray], dict[str, np.ndarray]],
    clips: np.ndarray,
    limits: dict,
    most: int | None = None,
) -> dict[str, np.ndarray]:
    """The outputs by name of clips (N, T, ...), N > 0, of which `ask` gets some at a time.

    Args:
        limits: of the model, r21d.json; {} of exports that have none.
        most: clips at a time, however short.

    Raises:
        ServerError: as `ask`; parts that another model has answered.
    """
    count, frames = clips.shape[:2]
    size = limits.get("max_frames_in_all", count * frames) // frames
    if clips.dtype != object:
        size = min(size, _MAX_BYTES // clips[0].nbytes)
    size = max(1, min(size, most or count))
    answers = [ask(clips[start : start + size]) for start in range(0, count, size)]
    if len({_kind_of(answer) for answer in answers}) > 1:
        raise ServerError(
            "FAILED_PRECONDITION",
            "another model",
            "The server has got another model between two parts of the clips. Ask again.",
        )
    return {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}


def _kind_of(answer: dict[str, np.ndarray]) -> tuple:
    return tuple((name, answer[name].shape[1:]) for name in sorted(answer))
