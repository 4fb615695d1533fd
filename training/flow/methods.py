"""How optical flow is computed: a row for each method, and the flow of clips.

Imports OpenCV only to compute, as the configuration takes the methods' names from here.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FlowFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From two grey frames, uint8 (H, W), to where the pixels of the first go in the second: float32
(H, W, 2), right and down in pixels."""

# pyr_scale, levels, winsize, iterations, poly_n, poly_sigma: PyTorch caffe2/video/optical_flow.cc,
# OpticalFlowExtractor, which made the flow that the paper's networks were trained on.
FARNEBACK = (2**-0.5, 5, 10, 2, 7, 1.5)


@dataclass(frozen=True, kw_only=True)
class FlowMethod:
    """A way to compute optical flow.

    about: for help texts. make: gives its function, which any thread may call. smallest: pixels of
    the smallest side of a frame that it takes.
    """

    about: str
    make: Callable[[], FlowFunction]
    smallest: int = 8


METHODS = {
    "farneback": FlowMethod(about="Farneback's, as the paper had it", make=lambda: _farneback()),
    # A patch of 8 pixels has to fit at half the resolution, to which this preset goes.
    "dis": FlowMethod(about="dense inverse search, fast", make=lambda: _dis(), smallest=16),
    "tvl1": FlowMethod(
        about="dual TV-L1, slow; needs opencv-contrib", make=lambda: _tvl1(), smallest=16
    ),
}
"""The methods by name."""


def check_method(name: str, side: int) -> None:
    """Checks that flow can be computed here.

    Args:
        name: one of METHODS.
        side: pixels of the smaller side of the frames.

    Raises:
        ValueError: an unknown method, one whose package is not installed, or frames too small.
    """
    if name not in METHODS:
        raise ValueError(f"flow_method={name!r}: expected one of {', '.join(METHODS)}.")
    if side < METHODS[name].smallest:
        raise ValueError(
            f"flow_method={name!r} takes frames of {METHODS[name].smallest} pixels or more; got "
            f"{side}. Crop less, or take flow_method='farneback'."
        )
    METHODS[name].make()


def clip_flow(clips: np.ndarray, method: str) -> np.ndarray:
    """The flow between neighbouring frames of clips: T flows of T + 1 frames.

    In grey, as VMZ computed it on cropped and mirrored frames (PyTorch caffe2/video/video_io.cc,
    ClipTransformOpticalFlow).

    Args:
        clips: uint8 RGB (..., T + 1, H, W, 3).
        method: one of METHODS.

    Returns:
        float32 (..., T, H, W, 2), right and down in pixels a frame.

    Raises:
        ValueError: clips of less than two frames, or as `check_method`.
    """
    *leading, num_frames, height, width, _ = clips.shape
    if num_frames < 2:
        raise ValueError(f"Flow is between frames; got {num_frames}. Give at least 2.")
    check_method(method, min(height, width))
    flow = np.empty((*leading, num_frames - 1, height, width, 2), np.float32)
    between = METHODS[method].make()
    clips = clips.reshape(-1, *clips.shape[-4:])
    for clip, into in zip(clips, flow.reshape(-1, *flow.shape[-4:]), strict=True):
        before = grey(clip[0])
        for frame, field in zip(clip[1:], into, strict=True):
            after = grey(frame)
            field[...] = between(before, after)
            before = after
    return flow


def grey(frame: np.ndarray) -> np.ndarray:
    """A uint8 RGB frame (H, W, 3) in grey, uint8 (H, W)."""
    import cv2

    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _farneback() -> FlowFunction:
    import cv2

    flags = cv2.OPTFLOW_FARNEBACK_GAUSSIAN
    return lambda before, after: cv2.calcOpticalFlowFarneback(
        before, after, None, *FARNEBACK, flags
    )


def _dis() -> FlowFunction:
    import cv2

    # Half as fast and three to six times as exact as PRESET_FAST on frames of 112 pixels, where
    # that one works on a quarter of the resolution (benchmarks/flow.md).
    # A new one each time: one that is used again starts from what it found before, so that flow
    # would depend on which pair came first (OpenCV 4.11 and 5.0).
    preset = cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
    return lambda before, after: cv2.DISOpticalFlow_create(preset).calc(before, after, None)


def _tvl1() -> FlowFunction:
    import cv2

    if not hasattr(cv2, "optflow"):
        raise ValueError(
            "flow_method='tvl1' needs OpenCV's contributed modules, which are not installed. Add "
            "them: pip install --no-deps 'opencv-contrib-python-headless=="
            f"{cv2.__version__}.*'. Or take flow_method='farneback' or 'dis'."
        )
    create = cv2.optflow.createOptFlow_DualTVL1  # as VMZ: all its defaults
    return lambda before, after: create().calc(before, after, None)
