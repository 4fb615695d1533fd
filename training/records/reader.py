"""Clips from records: the frames that are wanted, read from their place and decoded."""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from r21d_keras.clips import frame_times, random_start

from ..data.decoder import TOLERANCE_S, VideoError
from ..data.frames import ClipSpec, resize_frame
from ..data.video import filled
from .keys import IMAGE
from .manifest import Record
from .rgb import decode_frame
from .sequence_example import SequenceExample, values
from .tfrecord import RecordError, read_record

LOOK = "`r21d prepare --verify` looks the whole folder over."


class RecordSource:
    """Records of RGB frames: a source of a VideoSet, as `video_set.Files` is. Any thread may read.

    A record is to be read as a video of its own frame rate; at the rate that is asked for, the
    frames are those that clips of the video itself have.
    """

    stream = "rgb"

    def __init__(self, folder: str | os.PathLike, shards: Sequence[str], records: Sequence[Record]):
        """Takes the names of all shards, and the records that are to be read."""
        self._folder, self._shards = pathlib.Path(folder), tuple(shards)
        self.records = tuple(records)

    @property
    def paths(self) -> tuple[str, ...]:
        """FOLDER/SHARD#NAME of each video, for messages."""
        return tuple(self._path(record) for record in self.records)

    def example(self, index: int) -> SequenceExample:
        """The record of video `index`.

        Raises:
            VideoError: it is not as it was written.
        """
        record = self.records[index]
        try:
            with open(self._folder / self._shards[record.shard], "rb") as file:
                found = read_record(file, record.offset)
            if found is None or len(found) != record.length:
                raise RecordError("the file is not the one that the manifest describes")
            return SequenceExample(found)
        except RecordError as error:
            raise self.error(index, str(error)) from None
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
        steps = self.example(index).steps(IMAGE)
        clips = np.empty((*places.shape, *size, 3), np.uint8)
        for place in np.unique(places):
            clips[places == place] = resize_frame(self._frame(index, steps, place), size)
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

    def _frame(self, index: int, steps: list[memoryview], place: int) -> np.ndarray:
        """uint8 RGB (H, W, 3)."""
        try:
            frame = decode_frame(values(steps[place])[0])
        except (IndexError, RecordError):
            raise self.error(index, f"it lacks frame {place}") from None
        if frame is None:
            raise self.error(index, f"frame {place} is no picture")
        return frame

    def _path(self, record: Record) -> str:
        return f"{self._folder / self._shards[record.shard]}#{record.name}"


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
