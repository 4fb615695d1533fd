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
    except tfrecord.RecordError:
        pass


def test_a_cut_message_is_refused():
    record = sequence_example.encode({"a": [b"12345678"]}, {"b": [[1, 2, 3]]})
    with pytest.raises(tfrecord.RecordError, match="cut off or damaged"):
        sequence_example.SequenceExample(record[:-1])


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


@pytest.mark.parametrize("size", [1, 11, 12, 20, -1])
def test_a_cut_file_is_found(size):
    with pytest.raises(tfrecord.RecordError, match="no record begins|ends within a record"):
        tfrecord.read_record(io.BytesIO(written(b"some record")[:size]))


def written(record):
    file = io.BytesIO()
    tfrecord.write_record(file, record)
    return file.getvalue()


def test_a_flow_of_numbers_survives():
    row = np.linspace(-1, 1, 7, dtype=np.float32).tolist()
    example = sequence_example.SequenceExample(sequence_example.encode({}, {"scale": [row, row]}))
    assert [sequence_example.values(step) for step in example.steps("scale")] == [row, row]
