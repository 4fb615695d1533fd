"""How much a request may hold. Needs no TensorFlow, so that clients can know it."""

from dataclasses import dataclass

_MAX_FRAMES = 512  # of a clip: 16 times those of the longest published network
# Pixels that the network sees of a request. R(2+1)D-18 takes 2.6 GB for them on a CPU, 5 MB a frame
# of 112x112; the request itself may be a few hundred kilobytes, of frames that are enlarged.
_MAX_PIXELS = 512 * 112 * 112
BATCH = 8
"""Clips of the largest batch that a server puts together, is warmed up for, and a client sends."""


@dataclass(frozen=True)
class Limits:
    """What is answered; beyond it a request is refused by name, before it costs memory.

    min_side, max_side: of frames before they are resized, pixels. Below 8 there is no picture;
    frames of 4K and 8K are 10 to 40 times what Full HD takes, for a network that sees 112 pixels.
    max_frames: of one clip. max_frames_in_all: of all clips of a request, or of the requests that a
    server puts together.
    max_aspect: the longer side over the shorter one, where frames keep their shape when resized.
    max_descriptions: of the model, each of some kilobytes; a client wants one.
    """

    max_frames: int
    max_frames_in_all: int
    min_side: int = 8
    max_side: int = 2048
    max_aspect: int = 8
    max_descriptions: int = 64


def limits_of(clip_frames: int, side: int) -> Limits:
    """What a network answers that was trained with clips of `clip_frames` of `side` x `side`.

    Any clip that is answered alone is answered among seven others too, so that no request fails for
    its neighbours, or for those that a server adds to come to an allowed batch size.
    """
    fit = min(_MAX_PIXELS // (BATCH * side**2), _MAX_FRAMES)
    longest = max(fit, clip_frames)
    return Limits(longest, BATCH * longest)
