"""Long videos in records: what is read of the file, and what memory holds."""

import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from r21d_keras.training.data.blocks import grid_frames, video_blocks
from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.flow.encode import PREFIX, SCALE
from r21d_keras.training.flow.quantise import encode_levels
from r21d_keras.training.flow.source import FlowSource
from r21d_keras.training.records.keys import IMAGE
from r21d_keras.training.records.manifest import Record
from r21d_keras.training.records.reader import REMEMBERED, RecordSource
from r21d_keras.training.records.sequence_example import encode
from r21d_keras.training.records.tfrecord import write_record
from r21d_keras.zoo.preprocessing import Preprocessing

FRAMES, SIZE = 800, (96, 128)
SPEC = ClipSpec(num_frames=8, preprocessing=Preprocessing(resize=SIZE, crop_size=96))
BLOCKS = [16] * (FRAMES // 16)


def source_of(source, folder, lists, count=1):
    """A source of `count` videos, all of them alike."""
    octets = encode({}, lists)
    records = []
    with open(folder / "shard", "wb") as file:
        for place in range(count):
            records.append(
                Record(
                    name=str(place),
                    labels=(0,),
                    splits={},
                    shard=0,
                    offset=file.tell(),
                    length=len(octets),
                    frames=len(next(iter(lists.values()))),
                    frame_rate=15.0,
                    duration_s=len(next(iter(lists.values()))) / 15,
                    height=SIZE[0],
                    width=SIZE[1],
                )
            )
            write_record(file, octets)
    return source(folder, ["shard"], records)


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.fixture
def rgb(tmp_path):
    jpeg = cv2.imencode(".jpg", noise(*SIZE, 3))[1].tobytes()
    return source_of(RecordSource, tmp_path, {IMAGE: [[jpeg]] * FRAMES})


@pytest.fixture
def flow(tmp_path):
    png = encode_levels(noise(*SIZE, 2))
    lists = {PREFIX + IMAGE: [[png]] * FRAMES, SCALE: [[1.0]] * FRAMES}
    return source_of(FlowSource, tmp_path, lists)


def bytes_read():
    """Bytes that this process has read of files so far."""
    with open("/proc/self/io") as file:
        return int(file.readline().removeprefix("rchar:"))


@pytest.mark.skipif(not os.path.isfile("/proc/self/io"), reason="who counts the bytes is Linux")
@pytest.mark.parametrize("kind", ["rgb", "flow"])
def test_a_video_in_many_pieces_is_read_twice_and_no_more(kind, request):
    """Once for its checksum, and once for its frames."""
    source = request.getfixturevalue(kind)
    before = bytes_read()
    assert grid_frames(source, 0, SPEC) == FRAMES - (kind == "flow")
    assert sum(len(block) for block in video_blocks(source, 0, SPEC, BLOCKS)) == sum(BLOCKS)
    assert 1.9 < (bytes_read() - before) / source.records[0].length < 2.2
    before = bytes_read()
    source.read(0, [0.0, 3.0], SPEC)  # which another protocol may ask for
    assert (bytes_read() - before) / source.records[0].length < 0.1


@pytest.mark.parametrize("kind", ["rgb", "flow"])
def test_memory_holds_a_piece_of_a_long_record(kind, request):
    source = request.getfixturevalue(kind)
    length = source.records[0].length
    assert length > 10_000_000
    tracemalloc.start()
    try:
        source.read(0, [1.0], SPEC)
        assert tracemalloc.get_traced_memory()[1] < length / 3
    finally:
        tracemalloc.stop()


def test_what_is_remembered_of_many_videos_is_bounded(tmp_path):
    jpeg = cv2.imencode(".jpg", np.zeros((*SIZE, 3), np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 1])[1]
    lists = {IMAGE: [[jpeg.tobytes()]] * 100}
    source = source_of(RecordSource, tmp_path, lists, count=2 * REMEMBERED)
    one = ClipSpec(num_frames=1, preprocessing=SPEC.preprocessing)
    source.read(0, [0.0], one)
    tracemalloc.start()
    try:
        for index in range(len(source.records)):
            source.read(index, [0.0], one)
        assert tracemalloc.get_traced_memory()[0] < REMEMBERED * (100 * 16 + 700)
    finally:
        tracemalloc.stop()


def test_any_thread_may_read_any_video(tmp_path):
    jpegs = [cv2.imencode(".jpg", noise(*SIZE, 3) // (k + 1))[1].tobytes() for k in range(20)]
    source = source_of(RecordSource, tmp_path, {IMAGE: [[j] for j in jpegs]}, count=8)
    starts = [(index, start) for start in (0.0, 0.4, 0.8) for index in range(8)] * 4
    with ThreadPoolExecutor(8) as pool:
        clips = list(pool.map(lambda at: source.read(at[0], [at[1]], SPEC), starts))
    for (index, start), clip in zip(starts, clips, strict=True):
        np.testing.assert_array_equal(clip, source.read(index, [start], SPEC))
