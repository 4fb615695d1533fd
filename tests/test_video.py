import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras.clips import frame_times
from r21d_keras.training.data import frames
from r21d_keras.training.data.decoder import TOLERANCE_S, Video
from r21d_keras.training.data.video import VideoError, frames_in, probe, read_clip, read_clips

BITS = 12  # of a frame number, drawn as 3x4 blocks of 16x16 pixels
NUM_FRAMES = 120
RATE = 25
# How FFmpeg is to write a video of each kind. B-frames make packets come in another order than
# frames are shown; short groups of pictures make seeks possible.
KINDS = {
    "mpeg4.avi": {"codec": "mpeg4", "gop_size": 12},
    "mpeg4_b.avi": {"codec": "mpeg4", "gop_size": 12, "max_b_frames": 2},
    "h264.mp4": {"codec": "libx264", "gop_size": 30, "max_b_frames": 3},
    "h264_open_gop.mp4": {
        "codec": "libx264",
        "gop_size": 30,
        "max_b_frames": 3,
        "options": {"x264-params": "open-gop=1"},
    },
    "h264.mkv": {"codec": "libx264", "gop_size": 40, "max_b_frames": 2},
    "h264.avi": {"codec": "libx264", "gop_size": 30, "max_b_frames": 3},
    "h264.ts": {"codec": "libx264", "gop_size": 30, "max_b_frames": 3},
    "vp8.webm": {"codec": "libvpx", "gop_size": 25, "bit_rate": 400_000},
    "mpeg1.mpg": {"codec": "mpeg1video", "gop_size": 12, "max_b_frames": 2, "bit_rate": 2_000_000},
}


def _barcodes(count: int) -> np.ndarray:
    """Frames that show their number in black and white: uint8 (count, 48, 64, 3)."""
    bits = (np.arange(count)[:, None] >> np.arange(BITS)) & 1
    blocks = bits.reshape(count, 3, 4, 1) * 200 + 25
    return blocks.repeat(16, axis=1).repeat(16, axis=2).repeat(3, axis=3).astype(np.uint8)


def _numbers(clip: np.ndarray) -> np.ndarray:
    """The numbers that frames (..., 48, 64, 3) show."""
    blocks = clip[..., 8::16, 8::16, :].mean(axis=-1) > 125
    return blocks.reshape(*clip.shape[:-3], BITS) @ (1 << np.arange(BITS))


@pytest.fixture(scope="session")
def barcodes(tmp_path_factory, encode_video):
    """A folder with a video of each of KINDS."""
    folder = tmp_path_factory.mktemp("barcodes")
    for name, how in KINDS.items():
        encode_video(folder / name, _barcodes(NUM_FRAMES), rate=RATE, **how)
    return folder


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_once_where_the_rate_is_the_files(barcodes, name):
    clip = read_clip(barcodes / name, 0.0, NUM_FRAMES, RATE)
    np.testing.assert_array_equal(_numbers(clip), np.arange(NUM_FRAMES))


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_on_its_own(barcodes, name):
    for number in np.random.default_rng(0).permutation(NUM_FRAMES)[::2]:
        assert _numbers(read_clip(barcodes / name, number / RATE, 1, RATE)) == number


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=12, deadline=None)
@given(
    starts=st.lists(st.floats(0, 4), min_size=1, max_size=5),
    num_frames=st.integers(1, 10),
    rate=st.sampled_from([8.0, 15.0, 25.0, 30.0]),
)
def test_clips_at_any_times(barcodes, name, starts, num_frames, rate):
    seen = _numbers(read_clips(barcodes / name, starts, num_frames, rate))
    times = np.stack([frame_times(start, num_frames, rate) for start in starts])
    last_s = (frames_in(NUM_FRAMES / RATE, rate) - 0.5) / rate  # of the rate's own grid
    times = np.where(times < NUM_FRAMES / RATE + TOLERANCE_S, times, last_s)
    expected = np.floor((times + TOLERANCE_S) * RATE).clip(max=NUM_FRAMES - 1)
    near = np.abs((times + TOLERANCE_S) * RATE % 1) < 1e-3  # either neighbour is right
    np.testing.assert_array_equal(seen[~near], expected[~near])


def _counted(monkeypatch) -> list[float]:
    """The seconds of all frames that are decoded from now on."""
    decoded, decode = [], Video._decode

    def counting(self):
        for frame in decode(self):
            decoded.append(frame.time_s)
            yield frame

    monkeypatch.setattr(Video, "_decode", counting)
    return decoded


@pytest.mark.parametrize(
    "name", [name for name in KINDS if name not in ("mpeg4_b.avi", "h264.avi", "mpeg1.mpg")]
)
def test_a_late_clip_decodes_from_a_keyframe_before_it(barcodes, name, monkeypatch):
    decoded = _counted(monkeypatch)
    clip = read_clip(barcodes / name, 4.0, 5, RATE)
    np.testing.assert_array_equal(_numbers(clip), np.arange(100, 105))
    beside = 2  # the file's first frame, and one that shows where the clip ends
    assert 5 <= len(decoded) <= KINDS[name]["gop_size"] + 5 + beside


def test_half_the_rate_takes_every_other_frame(barcodes, encode_video, tmp_path):
    encode_video(tmp_path / "30.mkv", _barcodes(40), codec="libx264", rate=30)  # rounds to 1 ms
    np.testing.assert_array_equal(
        _numbers(read_clip(tmp_path / "30.mkv", 0.0, 20, 15.0)), np.arange(1, 40, 2)
    )


def _whole(path) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and frames, 32x32, of a video that PyAV decodes from start to end."""
    import av

    with av.open(str(path), metadata_errors="ignore") as container:
        rate = container.streams.video[0].average_rate
        decoded = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    times = np.array([time for time, _ in decoded])
    if not np.all(np.diff(times) > 0):  # old AVI: the order counts
        times = np.arange(len(times)) / float(rate)
    return times - times[0], np.stack([frames.resize_frame(f, (32, 32)) for _, f in decoded])


def test_real_clips_at_any_times(test_data):
    paths = sorted((test_data / "clips").iterdir())
    assert paths
    draw = np.random.default_rng(0)
    for path in paths:
        stamps, whole = _whole(path)
        for start in draw.uniform(0, stamps[-1] - 1, 5):
            times = frame_times(start, 8, 15.0)
            expected = whole[np.searchsorted(stamps, times + TOLERANCE_S, "right") - 1]
            clip = read_clip(path, start, 8, 15.0, size=(32, 32))
            np.testing.assert_array_equal(clip, expected, err_msg=str(path))


def test_probe_of_real_clips(test_data):
    info = probe(test_data / "clips" / "v_SoccerJuggling_g23_c01.avi")
    assert (info.width, info.height, info.rotation) == (320, 240, 0)
    assert info.frame_rate == pytest.approx(29.97, abs=0.001)
    assert info.duration_s == pytest.approx(8.008)
    assert probe(test_data / "clips" / "v_biking_01_01.mpg").duration_s == pytest.approx(5.04, 0.01)


def test_short_videos(barcodes, encode_video, tmp_path):
    path = encode_video(tmp_path / "short.mp4", _barcodes(5), rate=15)
    looped = _numbers(read_clip(path, 0.0, 12, 15.0, short="loop"))
    np.testing.assert_array_equal(looped, np.arange(12) % 5)
    repeated = _numbers(read_clip(path, 0.0, 12, 15.0, short="repeat_last"))
    np.testing.assert_array_equal(repeated, np.arange(12).clip(max=4))
    np.testing.assert_array_equal(  # a clip that merely ends late never jumps to the start
        _numbers(read_clip(path, 2.5 / 15, 4, 15.0, short="loop")), [3, 4, 4, 4]
    )
    with pytest.raises(VideoError, match="short.mp4: ends at 0.33 s, before"):
        read_clip(path, 1.0, 4)


def test_size_is_that_of_frames(barcodes):
    path = barcodes / "h264.mp4"
    whole = read_clip(path, 1.0, 4)
    assert whole.shape == (4, 48, 64, 3) and whole.dtype == np.uint8
    np.testing.assert_array_equal(
        read_clip(path, 1.0, 4, size=(20, 30)), frames.resize_clip(whole, (20, 30))
    )


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_rotation_is_honoured(tmp_path, degrees):
    import av

    path, frame = tmp_path / "turned.mp4", np.zeros((48, 64, 3), np.uint8)
    frame[:24, :32], frame[24:, 32:] = (255, 0, 0), (0, 255, 0)  # red at the top left
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_rotation(degrees)
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())
    info, ours = probe(path), read_clip(path, 0.0, 1)[0]
    # What OpenCV 5 and players show: the matrix turns anticlockwise, as numpy does.
    expected = np.rot90(frame, degrees // 90)
    assert abs(info.rotation) == abs(degrees)
    assert (info.height, info.width) == ours.shape[:2] == expected.shape[:2]
    assert np.abs(ours.astype(int) - expected).mean() < 8


def _bad_files(folder, good: bytes) -> dict[str, str]:
    """Files that are no videos, by name, and what is said of them."""
    import av
    import cv2

    picture = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    contents = {
        "empty.mp4": (b"", "is empty"),
        "text.mp4": (b"no video at all\n" * 50, "is not a video file"),
        "picture.mp4": (picture, "is a picture or text"),
        "noise.avi": (np.random.default_rng(0).bytes(20_000), "is not a video file"),
        "truncated.avi": (good[: len(good) // 2], "is truncated: 2.* s of 4.80 s are there"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.mp4").mkdir()
    with av.open(str(folder / "sound.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.sample_rate = 16_000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    reasons = {name: reason for name, (_, reason) in contents.items()}
    reasons |= {"folder.mp4": "is a folder", "missing.mp4": "cannot be opened: No such file"}
    return reasons | {"sound.m4a": "has no video stream .it has sound only."}


def test_files_that_are_no_videos(barcodes, encode_video, tmp_path):
    draw = np.random.default_rng(0)  # noise, so that the index is a small part of the file
    noise = draw.integers(0, 256, (NUM_FRAMES, 48, 64, 3), np.uint8)
    good = encode_video(tmp_path / "good.avi", noise, rate=RATE).read_bytes()
    for name, reason in _bad_files(tmp_path, good).items():
        with pytest.raises(VideoError, match=reason) as caught:
            probe(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)
        assert caught.value.path == str(tmp_path / name)
        with pytest.raises(VideoError):
            read_clip(tmp_path / name, 4.0, 4)


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_files_cut_off_before_their_first_frame(encode_video, tmp_path, suffix):
    """FFmpeg calls it an input/output error, which is what a broken disk is called."""
    frames = np.zeros((NUM_FRAMES, 48, 64, 3), np.uint8)
    codec = {"mkv": "mpeg4", "webm": "libvpx"}[suffix]
    good = encode_video(tmp_path / f"good.{suffix}", frames, rate=RATE, codec=codec).read_bytes()
    for octets in (50, 100, 200, 300):
        (tmp_path / "cut").write_bytes(good[:octets])
        with pytest.raises(VideoError, match="is truncated before its first frame. Replace it."):
            probe(tmp_path / "cut")


def test_a_subtitle_that_outlasts_the_video_is_no_truncation(barcodes, tmp_path):
    """Matroska's duration is that of its longest stream."""
    (tmp_path / "text.srt").write_text("1\n00:00:01,000 --> 00:00:09,000\nseen once\n\n")
    path, pictures, text = tmp_path / "both.mkv", barcodes / "h264.mkv", tmp_path / "text.srt"
    with av.open(str(pictures)) as video, av.open(str(text)) as words, av.open(path, "w") as both:
        streams = [both.add_stream_from_template(source.streams[0]) for source in (words, video)]
        for source, stream in zip((words, video), streams, strict=True):
            for packet in (packet for packet in source.demux() if packet.size):
                packet.stream = stream
                both.mux(packet)
    assert probe(path).duration_s == probe(pictures).duration_s == NUM_FRAMES / RATE
    path.write_bytes(path.read_bytes().partition(b"seen once")[0])  # a second of the pictures
    with pytest.raises(VideoError, match=r"is truncated: \d.* s of 9.00 s are there"):
        probe(path)


def test_a_name_that_looks_like_an_address(barcodes, tmp_path):
    path = tmp_path / "http:12%03d.mp4"
    path.write_bytes((barcodes / "h264.mp4").read_bytes())
    assert read_clip(path, 0.0, 2).shape == (2, 48, 64, 3)


def test_requests_that_make_no_sense(barcodes):
    path = barcodes / "h264.mp4"
    for wrong in (
        {"short": "stretch"},
        {"num_frames": 0},
        {"frame_rate": 0.0},
        {"start_s": -1.0},
        {"start_s": float("nan")},
    ):
        with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[0]):
            read_clip(path, **{"start_s": 0.0, "num_frames": 4} | wrong)
    with pytest.raises(ValueError, match="expected one or more"):
        read_clips(path, [], 4)
