"""Shows videos to networks as a protocol has it: several at once, each in parts of bounded size."""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from r21d_keras.clips import uniform_starts

from ..config import TrainConfig
from ..data.blocks import grid_frames, video_blocks
from ..data.frames import center_crop
from ..data.pipeline import clip_spec, num_readers
from ..data.video import VideoError
from ..data.video_set import VideoSet
from .crops import crops
from .network import Network
from .protocols import Protocol
from .scoring import CLIPS_PER_CALL, VideoScores

# Of a dense test, unless the network needs more: 64 frames of 128x171 are 4 MB, and their widest
# features in R(2+1)D-18 (144 channels at a quarter of the pixels) 200 MB.
BLOCK_FRAMES = 64


@dataclass(frozen=True)
class Viewing:
    """Videos of a set, shown to networks by a settled protocol; `config` is the run's."""

    networks: list[Network]
    videos: VideoSet
    config: TrainConfig
    protocol: Protocol

    def scores(self) -> Iterator[tuple[int, VideoScores | VideoError]]:
        """Each video's index and scores, in order, once; the error of one that cannot be read.

        config.num_readers videos are read at once; each network is shown one thing at a time. What
        memory holds does not depend on how many videos there are, or how long they are.
        """
        stop, waiting = threading.Event(), deque()
        workers = max(num_readers(self.config), len(self.networks))
        pool = ThreadPoolExecutor(workers)
        try:
            for index in range(len(self.videos)):
                waiting.append((index, pool.submit(self._result, index, stop)))
                if len(waiting) > 2 * workers:
                    yield _done(waiting.popleft())
            while waiting:
                yield _done(waiting.popleft())
        finally:
            stop.set()  # Ctrl-C need not wait for the end of a long video
            pool.shutdown(cancel_futures=True)

    def score(self, index: int, stop: threading.Event | None = None) -> VideoScores:
        """What a network says of video `index`; less than all where `stop` is set on the way.

        Raises:
            VideoError: a video that cannot be read.
            ValueError: probabilities that are not finite.
        """
        network = self.networks[index % len(self.networks)]
        scores = VideoScores(len(self.videos.classes))
        show = self._dense if self.protocol.name == "dense" else self._clips
        for probabilities in show(network, index):
            scores.add(probabilities)
            if stop is not None and stop.is_set():
                break
        return scores

    def _result(self, index: int, stop: threading.Event) -> VideoScores | VideoError:
        try:
            return self.score(index, stop)
        except VideoError as error:
            return error

    def _clips(self, network: Network, index: int) -> Iterator[np.ndarray]:
        """Probabilities (n, K) of evenly spaced clips, each of their crops for itself."""
        spec, count = clip_spec(self.videos, self.config), self.protocol.num_clips
        rate = spec.preprocessing.frame_rate
        for first in range(0, count, CLIPS_PER_CALL):
            part = slice(first, first + CLIPS_PER_CALL)
            clips = self.videos.source.read(
                index, lambda s, p=part: uniform_starts(s, spec.num_frames, rate, count)[p], spec
            )
            for view in self._views(clips):
                yield network.clips(spec.seen(view))

    def _dense(self, network: Network, index: int) -> Iterator[np.ndarray]:
        """Probabilities (n, K) of every clip at a multiple of the stride, and of the last one."""
        spec, length = clip_spec(self.videos, self.config), self.config.clip_frames
        source, stride = self.videos.source, self.protocol.stride
        ahead = spec.num_frames - length  # flow is of one frame more
        total = grid_frames(source, index, spec) - ahead
        if total <= length:
            clip = source.read(index, lambda _: [0.0], spec)
            yield network.clips(spec.seen(self._views(clip)[0]))
            return
        smallest = network.smallest_block if self.protocol.overlap == "share" else 1
        counts = even_parts(total, max(BLOCK_FRAMES, smallest))
        read = video_blocks(source, index, spec, [counts[0] + ahead, *counts[1:]])
        recent = Recent(self._seen(read, ahead), length)
        count = (total - length) // stride + 1
        show = self._shared if self.protocol.overlap == "share" else self._recomputed
        for probabilities in show(network, recent, len(counts)):
            yield probabilities[:count]
            count -= len(probabilities[:count])
        if (total - length) % stride:
            yield network.clips(recent.frames[None])

    def _seen(self, blocks: Iterable[np.ndarray], ahead: int) -> Iterator[np.ndarray]:
        """What the network gets of consecutive frames, in blocks (n, H, W, C)."""
        spec, before = clip_spec(self.videos, self.config), None
        for block in blocks:
            block = self._views(block)[0]
            if before is not None:
                block = np.concatenate([before, block])
            before = block[len(block) - ahead :]
            yield spec.seen(block)

    def _shared(self, network: Network, blocks: Iterable, num_blocks: int) -> Iterator[np.ndarray]:
        """Clips as averages of features that were computed once for all of them."""
        grid = network.reach.stride

        def features():
            state = network.start()
            for number, block in enumerate(blocks, start=1):
                found, state = network.block(block, number == num_blocks, state)
                yield found

        length, stride = self.config.clip_frames // grid, self.protocol.stride // grid
        for windows in sliding(features(), length, stride):
            yield network.answers(windows.mean(axis=1))

    def _recomputed(self, network: Network, blocks: Iterable, _: int) -> Iterator[np.ndarray]:
        """Clips each for itself."""
        for clips in sliding(blocks, self.config.clip_frames, self.protocol.stride):
            yield network.clips(clips)

    def _views(self, clips: np.ndarray) -> list[np.ndarray]:
        """The crops (..., S, S, C) of clips (..., H, W, C), or the clips as they are."""
        if self.protocol.frames == "whole":
            return [clips]
        side = self.config.crop_size
        return (
            crops(clips, side, self.protocol.num_crops)
            if self.protocol.num_crops
            else [center_crop(clips, side)]
        )


class Recent:
    """Blocks of frames, as they come; `frames` are the last `length` of those that have come."""

    def __init__(self, blocks: Iterable[np.ndarray], length: int):
        self._blocks, self._length = blocks, length
        self.frames: np.ndarray | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        """Each block."""
        for block in self._blocks:
            seen = block if self.frames is None else np.concatenate([self.frames, block])
            self.frames = seen[-self._length :].copy()  # not a view, which would keep all of it
            yield block


def even_parts(total: int, smallest: int) -> list[int]:
    """`total` in as many parts as may be, none less than `smallest`, but that there is one."""
    count = max(1, total // smallest)
    bounds = [total * part // count for part in range(count + 1)]
    return [end - start for start, end in zip(bounds, bounds[1:], strict=False)]


def sliding(
    blocks: Iterable[np.ndarray], length: int, stride: int, most: int = CLIPS_PER_CALL
) -> Iterator[np.ndarray]:
    """Windows over the joined blocks (n, ...): (m, length, ...), m at most `most`, in order.

    One begins at each multiple of `stride` from which `length` are left.
    """
    kept = None
    for block in blocks:
        kept = block if kept is None else np.concatenate([kept, block])
        starts = range(0, len(kept) - length + 1, stride)
        for first in range(0, len(starts), most):
            yield np.stack([kept[start : start + length] for start in starts[first : first + most]])
        kept = kept[len(starts) * stride :]


def _done(item) -> tuple[int, VideoScores | VideoError]:
    index, future = item
    return index, future.result()
