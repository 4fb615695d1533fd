"""Whether an answer is the one that was expected: of numbers, of labels, of refusals."""

from collections.abc import Callable

import numpy as np

from .names import TOP_LABELS, TOP_SCORES
from .transport import ServerError

TOLERANCE = 1e-4
"""Of scores and features: other processors add in another order."""


class WrongError(Exception):
    """An answer that is not as it should be; the message says how."""


def fault_of(ask: Callable[[], object], codes: tuple[str, ...]) -> str:
    """What a server says of a request that it has to refuse."""
    try:
        ask()
    except ServerError as error:
        if error.code not in codes:
            raise WrongError(f"expected {codes[0]}, got {error}") from None
        return " ".join(error.fault.split())
    raise WrongError(f"answered; expected {codes[0]}")


def compared(answer: dict[str, np.ndarray], own: dict[str, np.ndarray]) -> float:
    """The largest difference of numbers, where all of it is as it should be."""
    if set(answer) != set(own):
        raise WrongError(f"outputs {', '.join(sorted(answer))}; expected {', '.join(sorted(own))}")
    differences = [0.0]
    for name, expected in sorted(own.items()):
        if answer[name].shape != expected.shape:
            raise WrongError(f"{name} {answer[name].shape}; expected {expected.shape}")
        if expected.dtype.kind == "f":
            differences.append(np.abs(answer[name] - expected).max())
    largest = float(np.max(differences))  # NaN where one is; Python's max would leave it out
    if not largest <= TOLERANCE:
        raise WrongError(f"differs by {largest:.1e} from the SavedModel; expected {TOLERANCE:g}")
    if TOP_LABELS in own:
        _compare_labels(answer[TOP_LABELS], own)
    return largest


def _compare_labels(labels: np.ndarray, own: dict[str, np.ndarray]) -> None:
    """Labels are in the same order, but for those whose scores are as good as equal."""
    steps = np.abs(np.diff(own[TOP_SCORES], axis=1))
    far = np.pad(steps, ((0, 0), (1, 0)), constant_values=1.0) > 2 * TOLERANCE
    far &= np.pad(steps, ((0, 0), (0, 1)), constant_values=0.0) > 2 * TOLERANCE
    other = far & (labels != own[TOP_LABELS])
    if other.any():
        raise WrongError(
            f"labels {labels[other].tolist()}; expected {own[TOP_LABELS][other].tolist()}"
        )
