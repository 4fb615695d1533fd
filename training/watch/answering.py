"""Probabilities of the windows of a segment: each for itself, or with what they share."""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np

from ..evaluation.network import Network
from ..evaluation.scoring import ClipScorer, score_clips
from ..evaluation.viewing import sliding
from .feed import Segment

Windows = Iterator[tuple[int, np.ndarray, np.ndarray]]
"""Of windows in order: number of the first frame, probabilities (K,), a frame of it (H, W, 3)."""


class Answering(Protocol):
    """What answers for the windows of a segment.

    needs: frames that it takes at once. lookahead: frames behind a window that it waits for.
    """

    needs: int
    lookahead: int

    def windows(self, segment: Segment) -> Windows:
        """The windows of `segment`, as they are complete."""


class Alone:
    """Every window for itself: `needs` frames at every `every`, as `score` takes them."""

    lookahead = 0

    def __init__(self, score: ClipScorer, length: int, every: int):
        self._score, self.needs, self._every = score, length, every

    def windows(self, segment: Segment) -> Windows:
        """As Answering has it."""
        start = 0
        while taken := segment.take(start, self.needs, self._every):
            start, frames = taken
            yield start, score_clips(self._score, frames[None])[0], frames[len(frames) // 2]
            start += self._every


class Shared:
    """Windows as averages of features that are computed once for all of them.

    The network sees frames `every` at a time: once its layers have all they need for the first
    features, that many frames complete just the features of the next window.

    Args:
        network: with blocks prepared.
        seen: from resized frames to what the network takes, n of them or of flow n - 1.
        clip_frames: of the network. every: frames between windows. Both lie on its grid.
        length: frames of a window.
    """

    def __init__(self, network: Network, seen: Callable, clip_frames: int, every: int, length: int):
        self._network, self._seen, self._every, self._length = network, seen, every, length
        grid = network.reach.stride
        self._window, self._hop = clip_frames // grid, every // grid
        self._ahead = length - clip_frames  # flow is of one frame more
        # No less than a window: of a video that is shorter, nothing is taken.
        self._block = -(-max(network.smallest_block, length) // every) * every
        self.lookahead = network.reach.radius
        self.needs = self._block + self._ahead + 1

    def windows(self, segment: Segment) -> Windows:
        """As Answering has it."""
        start, self._resume = 0, None
        while start is not None:
            yield from self._steady(segment, start)
            start, self._resume = self._resume, None

    def _steady(self, segment: Segment, start: int) -> Windows:
        """The windows from `start` on, until the segment ends or frames have been dropped."""
        for features in sliding(self._features(segment, start), self._window, self._hop):
            for probabilities in score_clips(self._network.answers, features.mean(axis=1)):
                if segment.length is not None and start + self._length > segment.length:
                    return  # its last features are of frames that are not all there
                yield start, probabilities, self._latest
                start += self._every

    def _features(self, segment: Segment, place: int) -> Iterator[np.ndarray]:
        state, count = self._network.start(), self._block
        # Of a video that ends, at least a frame is kept for its last block.
        spare = self._ahead + (0 if segment.live else 1)
        while taken := segment.take(place, count + spare, self._every):
            start, frames = taken
            if start != place:
                self._resume = start
                return
            self._latest = frames[-1]
            block = self._seen(frames[: count + self._ahead])
            features, state = self._network.block(block, False, state)
            yield features
            place, count = place + count, self._every if segment.live else self._block
        frames = None if segment.live else segment.rest(place)
        if frames is not None:
            self._latest = frames[-1]
            yield self._network.block(self._seen(frames), True, state)[0]
