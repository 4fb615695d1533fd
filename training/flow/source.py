"""Clips of flow from records, whose vectors were computed once."""

import numpy as np

from ..data.frames import ClipSpec, resize_frame
from ..records import keys
from ..records.reader import RecordSource, frame_places
from .encode import PREFIX, SCALE
from .quantise import decode_levels, restored


class FlowSource(RecordSource):
    """Records of flow: a source of a VideoSet. Any thread may read.

    At the rate and size of the records, clips have the flow of the frames that clips of the videos
    have, but for its 8 bits, and as it is in whole frames.
    """

    stream = "flow"
    keys = (PREFIX + keys.IMAGE, SCALE)

    def read(self, index: int, starts_s, spec: ClipSpec) -> np.ndarray:
        """Clips of video `index`, resized, not cropped: float32 (N, T, H, W, 2), in pixels.

        `starts_s` are seconds, or a function to them from the time of which there is flow: one
        frame less than the video's. Pixels are of the resized frames.

        Raises:
            VideoError: a record that is not as it was written, or ends before a clip starts.
        """
        record, numbers = self.records[index], spec.preprocessing
        if callable(starts_s):
            starts_s = starts_s(max(record.duration_s - 1 / record.frame_rate, 0.0))
        self.check_starts(index, starts_s)
        rate, size = numbers.frame_rate, numbers.resized(record.height, record.width)
        frames = frame_places(record, starts_s, spec.num_frames + 1, rate, spec.short_video)
        places, after = frames[:, :-1], frames[:, 1:]  # of each field the two frames
        clips = np.zeros((*places.shape, *size, 2), np.float32)
        moves = places != after  # where the last frame is repeated, nothing does
        wanted = np.unique(places[moves])
        pictures, scales = (self.values(index, key, wanted) for key in self.keys)
        for place, png, scale in zip(wanted, pictures, scales, strict=True):
            clips[(places == place) & moves] = resize_frame(
                self._field(index, place, png, scale), size
            )
        return clips

    def _field(self, index: int, place: int, png: bytes, scale: float) -> np.ndarray:
        """float32 (H, W, 2)."""
        try:
            return restored(decode_levels(png), scale)
        except ValueError as error:
            raise self.error(index, f"field {place} {error}") from None
