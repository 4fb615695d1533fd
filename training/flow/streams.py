"""The streams of the paper's two-stream networks: what a network sees of a video."""

from r21d_keras.zoo.preprocessing import FLOW, KINETICS, Preprocessing

from ..data.augmentation_options import OF_COLORS

STREAMS = {"rgb": KINETICS, "flow": FLOW}
"""By name, the numbers that apply where none are given: scale and channels are the stream's."""

PUBLISHED_METHOD = "farneback"
"""The row of methods.METHODS by which the flow of the published weights was computed."""
# Section 4.4 of the paper averages; so does VMZ's tool unless told (its script has 0.6:
# c2/scripts/fuse_prediction.sh).
FUSION_WEIGHT = 0.5
"""The share of the first stream, by custom RGB, where two are fused."""


def stream_of(numbers: Preprocessing) -> str:
    """The stream, a name of STREAMS, whose input a Preprocessing describes."""
    return "flow" if numbers.takes_flow else "rgb"


def frames_shown(clip_frames: int, numbers: Preprocessing) -> int:
    """Frames of a video that make a clip of `clip_frames` for a network with these numbers.

    Flow is between frames, of which it takes one more: VMZ's 32 flows are of 33 frames.
    """
    return clip_frames + int(numbers.takes_flow)


def conflict(config) -> str:
    """What in a TrainConfig does not go with its stream; "" if all does."""
    if config.stream not in STREAMS:
        return ""  # its choices say so
    channels = len(STREAMS[config.stream].mean)
    for name in ("mean", "std"):
        value = getattr(config, name)
        if len(value) != channels:
            return (
                f"{name}={value!r} has {len(value)} numbers; expected {channels}, one for each "
                f"channel of stream={config.stream!r}."
            )
        if config.stream == "rgb" and not all(0 <= number <= 1 for number in value):
            return f"{name}={value!r}: expected numbers from 0 to 1, as R, G and B then have."
    if config.stream == "flow":
        for name in OF_COLORS:
            if getattr(config, name):
                return (
                    f"{name}={getattr(config, name):g} with stream='flow': flow has no colours. "
                    f"Give {name}=0."
                )
    return ""
