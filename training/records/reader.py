"""Clips from records: the frames that are wanted, read from their place and decoded."""

import functools
import os
from collections.abc import Iterable, Sequence
from typing import BinaryIO

import numpy as np

from r21d_keras.clips import frame_times, random_start

from ..data.decoder import TOLERANCE_S, LostSourceError, VideoError
from ..data.frames import ClipSpec, resize_frame
from ..data.video import filled
from ..remote.folders import folder_at
from ..remote.urls import RemoteError
from .keys import IMAGE
from .manifest import Record
from .rgb import decode_frame
from .sequence_example import Value, find_steps, read_between, values
from .tfrecord import HEAD, OVERHEAD_BYTES, RecordError, check_record

LOOK = "`r21d prepare --verify` looks the whole folder over."
# Records of which is kept where their frames lie, 16 bytes for each: more than are ever read at
# once, so that a long video is looked through once, however many clips of it are asked for.
REMEMBERED = 256


class RecordSource:
    """Records of RGB frames: a source of a VideoSet, as `video_set.Files` is. Any thread may read.

    A record is to be read as a video of its own frame rate; at the rate that is asked for, the
    frames are those that clips of the video itself have.
    """

    stream = "rgb"
    keys = (IMAGE,)
    """The feature lists that clips are made of."""

    def __init__(self, folder: str | os.PathLike, shards: Sequence[str], records: Sequence[Record]):
        """Takes a path or a URL, the names of all shards, and the records that are to be read."""
        self._folder, self._shards = folder_at(folder), tuple(shards)
        self.records = tuple(records)
        self._steps = functools.lru_cache(REMEMBERED)(self._find_steps)

    @property
    def paths(self) -> tuple[str, ...]:
        """FOLDER/SHARD#NAME of each video, for messages."""
        return tuple(self._path(record) for record in self.records)

    @property
    def shard_paths(self) -> tuple[str, ...]:
        """Path or URL of each shard."""
        return tuple(self._folder.path(name) for name in self._shards)

    def sizes(self) -> list[int]:
        """Bytes of each record."""
        return [record.length for record in self.records]

    def values(self, index: int, key: str, places: Iterable[int]) -> list[Value]:
        """The value of each of the features `places` of a feature list of video `index`.

        Of the file these alone are read, and once before all of the record, which has to be as it
        was written: a video may be read in as many pieces as one likes.

        Raises:
            VideoError: it is not, or has no such features.
            LostSourceError: the server that has it does not give it.
        """
        record = self.records[index]
        try:
            steps = self._steps(record.shard, record.offset, record.length)[key]
            with self._opened(record.shard, record.offset, record.length) as file:
                return [values(read_between(file, *steps[place]))[0] for place in places]
        except IndexError:
            raise self.error(index, f"it has too few {key}") from None
        except RecordError as error:
            raise self.error(index, str(error)) from None
        except RemoteError as error:
            raise LostSourceError(self._path(record), error.reason) from None
        except OSError as error:
            raise self.error(index, error.strerror) from None

    def error(self, index: int, reason: str) -> VideoError:
        """What is wrong with the record of video `index`."""
        return VideoError(self._path(self.records[index]), f"damaged record: {reason}. {LOOK}")

    def read(self, index: int, starts_s, spec: ClipSpec) -> np.ndarray:
        """Clips of video `index`, resized, not cropped: uint8 (N, T, H, W, 3).

        `starts_s` are seconds, or a function from the video's duration to them.

        Raises:
            VideoError: a record that is not as it was written, or ends before a clip starts.
        """
        record, numbers = self.records[index], spec.preprocessing
        starts_s = starts_s(record.duration_s) if callable(starts_s) else starts_s
        rate, size = numbers.frame_rate, numbers.resized(record.height, record.width)
        self.check_starts(index, starts_s)
        places = frame_places(record, starts_s, spec.num_frames, rate, spec.short_video)
        clips = np.empty((*places.shape, *size, 3), np.uint8)
        wanted = np.unique(places)
        for place, jpeg in zip(wanted, self.values(index, IMAGE, wanted), strict=True):
            frame = decode_frame(jpeg)
            if frame is None:
                raise self.error(index, f"frame {place} is no picture")
            clips[places == place] = resize_frame(frame, size)
        return clips

    def check_starts(self, index: int, starts_s: Sequence[float]) -> None:
        """Raise VideoError where video `index` ends before one of the clips starts."""
        record = self.records[index]
        if max(starts_s) >= max(record.duration_s, record.frames / record.frame_rate):
            raise VideoError(
                self._path(record),
                f"ends at {record.duration_s:.2f} s, before the wanted clip starts.",
            )

    def training_clip(
        self, index: int, label: int, draw: np.random.Generator, spec: ClipSpec
    ) -> np.ndarray:
        """One clip of video `index` at a random time, resized, not cropped: uint8 (T, H, W, 3)."""
        rate = spec.preprocessing.frame_rate
        return self.read(index, lambda s: [random_start(s, spec.num_frames, rate, draw)], spec)[0]

    def _find_steps(self, shard: int, offset: int, length: int) -> dict[str, np.ndarray]:
        """Where the features of a record lie in its file, as `find_steps` has it."""
        with self._opened(shard, offset, length) as file:
            check_record(file, offset, length)
            return find_steps(file, offset + HEAD.size, length, self.keys)

    def _opened(self, shard: int, offset: int, length: int) -> BinaryIO:
        return self._folder.opened(self._shards[shard], offset, offset + length + OVERHEAD_BYTES)

    def _path(self, record: Record) -> str:
        return f"{self._folder.path(self._shards[record.shard])}#{record.name}"


def frame_places(
    record: Record, starts_s: Sequence[float], num_frames: int, frame_rate: float, short: str
) -> np.ndarray:
    """Which frames of a record make up clips: int64 (N, T).

    As `video.read_clips` has it: each is the one on show at its time, and `short` fills clips that
    are longer than the video.
    """
    times_s = np.stack([frame_times(start, num_frames, frame_rate) for start in starts_s])
    end_s = record.frames / record.frame_rate
    times_s = filled(times_s, end_s, frame_rate, short)
    places = np.floor((times_s + TOLERANCE_S) * record.frame_rate).astype(np.int64)
    return np.minimum(places, record.frames - 1)
