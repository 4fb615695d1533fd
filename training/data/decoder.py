"""One open video file: its frames by the second at which they are shown."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import av
import numpy as np
from av.video.reformatter import VideoReformatter

# A frame counts as shown this much before its time stamp. More than the rounding of time stamps
# (1 ms in Matroska), less than any frame: 15 Hz clips of a 30 Hz video take times that lie exactly
# on its time stamps, and without it rounding alone would choose between two neighbours.
TOLERANCE_S = 0.002
# A keyframe no farther off than this is reached faster by decoding than by a seek.
NEAR_FRAMES = 4
# Where a file has no usable index, times this far apart are worth a seek.
SEEK_GAP_S = 2.0
# How far before the wanted time to look for a keyframe, in turn; then the file is read from its
# start. Without an index a place is found by bisection, and may lie behind the wanted keyframe.
SEEK_BACK_S = (0.0, 1.0, 4.0)
INDEXED_FORMATS = ("avi", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2")  # they list keyframes
# MPEG program streams give several frames one time stamp: right only if counted from the start.
SEEKLESS_FORMATS = ("mpeg",)
# Demuxers of pictures and text files, both of which FFmpeg can show as video.
STILL_FORMATS = ("image2", "tty")


class VideoError(ValueError):
    """A file that cannot be read as video. `path` names it, `reason` says what is wrong."""

    def __init__(self, path, reason: str):
        super().__init__(f"{os.fspath(path)}: {reason}")
        self.path, self.reason = os.fspath(path), reason


class LostSourceError(VideoError):
    """A video whose server does not give it: nothing is wrong with the video.

    It ends what is under way, whatever is done about bad ones, as the next would fare no better.
    """


class UntrustedStamps(Exception):
    """Time stamps that are absent or do not grow: count frames instead (`by_count=True`)."""


@contextmanager
def open_video(path, by_count: bool = False) -> Iterator["Video"]:
    """An open Video; whatever FFmpeg says of the file becomes a VideoError.

    Args:
        path: the file.
        by_count: take the n-th frame to be shown at n / frame rate, whatever its time stamp.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        raise VideoError(path, "is a folder, not a video file.")
    try:
        container = _open(path)
    except av.FFmpegError as error:
        raise VideoError(path, _why_not_opened(path, error)) from None
    video = None
    try:
        video = Video(path, container, by_count)
        yield video
    except av.FFmpegError as error:
        reason = f"cannot be decoded; it is truncated or damaged ({error.strerror}). Replace it."
        raise VideoError(path, reason) from None
    finally:
        (video or container).close()


class Frame:
    """A decoded frame and the second at which the video first shows it."""

    def __init__(self, frame: av.VideoFrame, time_s: float, converter: VideoReformatter):
        self._frame, self._converter, self.time_s = frame, converter, time_s
        self.is_key = frame.key_frame
        # Degrees anticlockwise, a multiple of 90: what the file asks players to turn it by.
        self.rotation = round(frame.rotation / 90) * 90

    @cached_property
    def pixels(self) -> np.ndarray:
        """uint8 RGB (H, W, 3), the right way up."""
        # One thread: for small frames the hand-over costs more than the work, much more on busy
        # cores (0.03 ms against 1.2 ms for 320x240).
        pixels = self._converter.reformat(self._frame, format="rgb24", threads=1).to_ndarray()
        return np.ascontiguousarray(np.rot90(pixels, self.rotation // 90))


class Video:
    """A cursor over the frames of an open file, which moves forward only.

    Seconds count from the first frame that the file shows. Not for two threads at once; two of
    them on one file are fine.
    """

    def __init__(self, path: str, container, by_count: bool = False):
        self.path, self._by_count = path, by_count
        self.end_s = None
        """Where the last frame's time ends; None until the cursor has come there."""
        self._converter = VideoReformatter()
        self._attach(container)
        rate = self.stream.average_rate or self.stream.guessed_rate
        self.frame_s = float(1 / rate) if rate else 0.04  # 25 Hz: FFmpeg's own guess
        # AVI has no time stamps of its own, and those derived from the order of its packets are
        # wrong where the packets are not in the order of display.
        if container.format.name == "avi" and self.stream.codec_context.has_b_frames:
            self._by_count = True
        self._restart_frames()

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    def frame_at(self, time_s: float) -> Frame:
        """The frame on show at `time_s`, no earlier than in the call before; beyond, the last."""
        if self._seek_pays(time_s):
            self._seek(time_s)
        while self._peek() is not None and self._ahead.time_s <= time_s + TOLERANCE_S:
            self._shown, self._ahead = self._ahead, None
        return self._shown

    def packet_ends(self) -> dict[int, float]:
        """Seconds at which the last packet of each stream ends, by stream index.

        By the stream's own clock, which need not start at 0. Only the end of the file is read,
        where it can be found, and so no stream whose last packet begins long before. The cursor is
        lost.
        """
        try:
            self.container.seek((self.container.start_time or 0) + (self.container.duration or 0))
            ends = self._packet_ends()
        except av.FFmpegError:
            ends = {}
        return ends if self.stream.index in ends else self.all_packet_ends()

    def all_packet_ends(self) -> dict[int, float]:
        """The same of all streams: goes through the whole file, without decoding."""
        self._reopen()
        return self._packet_ends()

    def _packet_ends(self) -> dict[int, float]:
        ends = {}
        try:
            for packet in self.container.demux():
                stamp = packet.dts if packet.pts is None else packet.pts
                if stamp is not None:
                    index, base = packet.stream.index, packet.time_base
                    unstated_s = self.frame_s if index == self.stream.index else 0.0
                    lasts_s = float((packet.duration or 0) * base) or unstated_s
                    end_s = float(stamp * base) + lasts_s
                    ends[index] = max(end_s, ends.get(index, end_s))
        except av.FFmpegError:
            pass  # a damaged end: what came before it is what there is
        return ends

    def _attach(self, container) -> None:
        """Takes the first video stream that is no cover picture."""
        self.container = container
        name, cover = container.format.name, av.stream.Disposition.attached_pic
        pictures = name in STILL_FORMATS or name.endswith("_pipe")
        streams = [s for s in container.streams.video if not s.disposition & cover]
        if pictures or not streams:
            has = "is a picture or text" if pictures else "has no video stream"
            sound = " (it has sound only)" if container.streams.audio else ""
            raise VideoError(self.path, f"{has}{sound}; expected a video file.")
        self.stream = streams[0]
        if self.stream.codec_context is None:
            raise VideoError(self.path, "is in a codec that this build of FFmpeg cannot decode.")
        self.stream.thread_type = "NONE"  # many files at once are the parallelism

    def _reopen(self) -> None:
        self.container.close()
        self._attach(_open(self.path))

    def _restart_frames(self) -> None:
        """Puts the cursor on the first frame that the file shows."""
        self.first_pts, self._ahead = None, None
        self._frames = self._decode()
        self._shown = next(self._frames, None)
        if self._shown is None:
            raise VideoError(self.path, "has no frame that can be decoded. Replace it.")

    def _decode(self) -> Iterator[Frame]:
        """Frames in order of display, from wherever the file stands."""
        for count, frame in enumerate(self.container.decode(self.stream)):
            if frame.pts is None and not self._by_count:
                raise UntrustedStamps
            if self.first_pts is None:
                self.first_pts = frame.pts or 0
            ticks = (frame.pts or 0) - self.first_pts
            time_s = count * self.frame_s if self._by_count else float(ticks * frame.time_base)
            yield Frame(frame, time_s, self._converter)

    def _peek(self) -> Frame | None:
        """The frame after the one on show; None at the end."""
        if self._ahead is None and self.end_s is None:
            self._ahead = next(self._frames, None)
            if self._ahead is None:
                self.end_s = self._shown.time_s + self.frame_s
            elif self._ahead.time_s <= self._shown.time_s:
                raise UntrustedStamps
        return self._ahead

    def _seek_pays(self, time_s: float) -> bool:
        """Whether a keyframe lies, or may lie, between the frame on show and `time_s`."""
        name = self.container.format.name
        near = time_s - self._shown.time_s < NEAR_FRAMES * self.frame_s
        if near or self._by_count or self.end_s is not None or name in SEEKLESS_FORMATS:
            return False
        index, base = self.stream.index_entries, self.stream.time_base
        if name in INDEXED_FORMATS and len(index) > 1:
            place = index.search_timestamp(self.first_pts + int(time_s / base))
            shown_pts = self.first_pts + round(self._shown.time_s / base)
            return place >= 0 and index[place].timestamp > shown_pts
        return time_s - self._shown.time_s > SEEK_GAP_S

    def _seek(self, time_s: float) -> None:
        """Puts the cursor on a keyframe at or before `time_s`, else back on the first frame."""
        base = self.stream.time_base
        for back_s in SEEK_BACK_S:
            try:
                target = self.first_pts + int(max(0.0, time_s - back_s) / base)
                self.container.seek(target, stream=self.stream)
                self._frames, self._ahead = self._decode(), None
                # Frames that come before the keyframe lack what they refer to.
                key = next((frame for frame in self._frames if frame.is_key), None)
            except av.FFmpegError:
                break
            if key is not None and key.time_s <= time_s + TOLERANCE_S:
                self._shown = key
                return
        self._reopen()
        self._restart_frames()


def _open(path: str):
    # "file:" because a name may hold a colon; the whitelist because a play list could otherwise
    # reach the network; the cartwheel clip of HMDB51 has metadata that are not UTF-8.
    options = {"protocol_whitelist": "file"}
    return av.open("file:" + path, metadata_errors="ignore", options=options)


def _why_not_opened(path: str, error: av.FFmpegError) -> str:
    if not os.path.exists(path):
        return "no such file."
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return "is empty (0 bytes)."
    if isinstance(error, av.InvalidDataError):
        return "is not a video file, or is one truncated before its index."
    if isinstance(error, av.EOFError) or error.errno == errno.EIO and _is_readable(path):
        return "is truncated before its first frame. Replace it."
    return f"cannot be opened: {error.strerror}."


def _is_readable(path: str) -> bool:
    """Whether all of a file can be read: FFmpeg calls its end what a broken disk is called."""
    try:
        with open(path, "rb") as file:
            while file.read(1 << 20):
                pass
    except OSError:
        return False
    return True
