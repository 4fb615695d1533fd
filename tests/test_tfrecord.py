import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras.training.records import sequence_example, tfrecord

int64s = st.integers(-(2**63), 2**63 - 1)
float32s = st.floats(width=32, allow_nan=False)
values = st.lists(st.binary(max_size=20)) | st.lists(float32s) | st.lists(int64s)
names = st.text(st.characters(codec="utf-8"), max_size=8)


@settings(deadline=None)
@given(st.dictionaries(names, values), st.dictionaries(names, st.lists(values, max_size=4)))
def test_what_is_encoded_is_read_by_tensorflow_and_here(context, lists):
    record = sequence_example.encode(context, lists)
    message = tf.train.SequenceExample.FromString(record)
    assert {key: plain(f) for key, f in message.context.feature.items()} == context
    of_lists = message.feature_lists.feature_list
    assert {key: [plain(f) for f in of_lists[key].feature] for key in of_lists} == lists
    for octets in (record, message.SerializeToString()):  # in an order of its own
        example = sequence_example.SequenceExample(octets)
        assert example.keys == (set(context), set(lists))
        assert {key: example.context(key) for key in context} == context
        steps = {key: example.steps(key) for key in lists}
        assert {k: list(map(sequence_example.values, steps[k])) for k in lists} == lists
        found = steps_in(octets, [*lists, "none of them"])
        assert {key: list(map(bytes, steps[key])) for key in lists} | {"none of them": []} == found


def steps_in(octets, keys):
    """The features of lists of a record that lies somewhere in a file."""
    file = io.BytesIO(b"before" + octets + b"\x0a\x01behind")
    places = sequence_example.find_steps(file, 6, len(octets), keys)
    return {k: [sequence_example.read_between(file, *p) for p in places[k]] for k in keys}


def plain(feature):
    kind = feature.WhichOneof("kind")
    return list(getattr(feature, kind).value) if kind else []


def test_absent_keys_are_empty():
    example = sequence_example.SequenceExample(sequence_example.encode({"a": [1]}, {}))
    assert example.context("b") == example.steps("b") == []


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_bytes_that_are_no_message_are_refused_or_harmless(octets):
    try:
        example = sequence_example.SequenceExample(octets)
        for key in example.keys[0]:
            example.context(key)
        for key in example.keys[1]:
            list(map(sequence_example.values, example.steps(key)))
        lists = {key: list(map(bytes, example.steps(key))) for key in example.keys[1]}
        assert steps_in(octets, list(lists)) == lists
    except tfrecord.RecordError:
        pass


@settings(deadline=None)
@given(st.binary(max_size=60), st.lists(names, max_size=3))
def test_places_in_bytes_that_are_no_message_are_refused_or_within(octets, keys):
    try:
        for steps in steps_in(octets, keys).values():
            assert sum(map(len, steps)) <= len(octets) * len(steps)
    except tfrecord.RecordError:
        pass


def test_a_cut_message_is_refused():
    record = sequence_example.encode({"a": [b"12345678"]}, {"b": [[1, 2, 3]]})
    with pytest.raises(tfrecord.RecordError, match="cut off or damaged"):
        sequence_example.SequenceExample(record[:-1])
    with pytest.raises(tfrecord.RecordError, match="cut off or damaged"):
        sequence_example.find_steps(io.BytesIO(record), 0, len(record) - 1, ["b"])
    with pytest.raises(tfrecord.RecordError, match="cut off or damaged"):
        sequence_example.find_steps(io.BytesIO(record[:-1]), 0, len(record), ["b"])


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=6))
def test_files_are_read_by_tensorflow(tmp_path_factory, records):
    path = tmp_path_factory.getbasetemp() / "ours.tfrecord"
    path.write_bytes(b"".join(map(written, records)))
    assert [record.numpy() for record in tf.data.TFRecordDataset(str(path))] == records


def test_files_of_tensorflow_are_read(tmp_path):
    path, records = tmp_path / "theirs", [b"", b"one", bytes(range(256)) * 9]
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    with open(path, "rb") as file:
        assert [tfrecord.read_record(file) for _ in range(4)] == [*records, None]
        offset = len(records[0]) + tfrecord.OVERHEAD_BYTES
        assert tfrecord.read_record(file, offset) == b"one"


@pytest.mark.parametrize(
    ("place", "what"),
    [
        (3, "no record begins"),  # in its length
        (9, "no record begins"),  # in the checksum of that
        (14, "checksum does not fit"),
        (-1, "checksum does not fit"),
    ],
)
def test_a_changed_byte_is_found(place, what):
    octets = bytearray(written(b"some record"))
    octets[place] ^= 1
    with pytest.raises(tfrecord.RecordError, match=what):
        tfrecord.read_record(io.BytesIO(octets))
    with pytest.raises(tfrecord.RecordError, match=what):
        tfrecord.check_record(io.BytesIO(octets), 0, len(b"some record"))


@pytest.mark.parametrize("size", [1, 11, 12, 20, -1])
def test_a_cut_file_is_found(size):
    with pytest.raises(tfrecord.RecordError, match="no record begins|ends within a record"):
        tfrecord.read_record(io.BytesIO(written(b"some record")[:size]))
    assert not tfrecord.is_whole(io.BytesIO(written(b"some record")[:size]), 0, len(b"some record"))


def test_records_are_looked_over_a_piece_at_a_time():
    record = bytes(range(256)) * (tfrecord.PIECE_BYTES // 100)
    file = io.BytesIO(written(b"one") + written(record))
    offset = len(b"one") + tfrecord.OVERHEAD_BYTES
    assert tfrecord.is_whole(file, offset, len(record))
    for place, length in ((0, len(record)), (offset, len(record) - 1), (len(file.getvalue()), 0)):
        with pytest.raises(tfrecord.RecordError, match="not the one that the manifest describes"):
            tfrecord.check_record(file, place, length)


def written(record):
    file = io.BytesIO()
    tfrecord.write_record(file, record)
    return file.getvalue()


def test_a_flow_of_numbers_survives():
    row = np.linspace(-1, 1, 7, dtype=np.float32).tolist()
    example = sequence_example.SequenceExample(sequence_example.encode({}, {"scale": [row, row]}))
    assert [sequence_example.values(step) for step in example.steps("scale")] == [row, row]
