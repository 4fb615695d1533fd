"""How much a request may hold. Needs no TensorFlow, so that clients can know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What is answered; beyond it a request is refused by name, before it costs memory.

    min_side, max_side: of frames before they are resized, pixels. Below 8 there is no picture;
    frames of 4K and 8K are 10 to 40 times what Full HD takes, for a network that sees 112 pixels.
    max_frames: of one clip: 16 times those of the longest published network.
    max_frames_in_all: of all clips of a request, or of the requests that a server puts together.
    max_aspect: the longer side over the shorter one, where frames keep their shape when resized.
    max_descriptions: of the model, each of some kilobytes; a client wants one.
    """

    min_side: int = 8
    max_side: int = 2048
    max_frames: int = 512
    max_frames_in_all: int = 4096
    max_aspect: int = 8
    max_descriptions: int = 64


LIMITS = Limits()
