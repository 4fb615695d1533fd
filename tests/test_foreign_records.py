"""Records that other programs wrote, with the Model Garden's keys."""

import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.data import pipeline
from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.options import ConfigError
from r21d_keras.training.records.foreign import scan


def write_foreign(path, count, label, rate=None, **features):
    """A file as the Model Garden's tools make them, by TensorFlow alone."""
    draw = np.random.default_rng(label)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(count):
            example = tf.train.SequenceExample()
            example.context.feature["clip/label/index"].int64_list.value.append(label)
            for key, value in features.items():
                example.context.feature[key].bytes_list.value.append(value)
            if rate:
                example.context.feature["image/frame_rate"].float_list.value.append(rate)
            frames = example.feature_lists.feature_list["image/encoded"]
            for frame in draw.integers(0, 256, (20, 36, 40, 3), np.uint8):
                jpeg = tf.io.encode_jpeg(frame, quality=95).numpy()
                frames.feature.add().bytes_list.value.append(jpeg)
            writer.write(example.SerializeToString())


def test_records_of_others_are_read(make_config, tmp_path):
    for label, name in enumerate((b"jump", b"run")):
        train, test = (f"{subset}-0000{label}-of-00002" for subset in ("train", "validation"))
        write_foreign(tmp_path / train, 3, label, 30.0, **{"clip/label/string": name})
        write_foreign(tmp_path / f"{test}.tfrecord", 1, label, 30.0)
    (tmp_path / "readme.txt").write_text("none of them")
    config = make_config(records=str(tmp_path))
    train, test = load_dataset(config, "train"), load_dataset(config, "test")
    assert train.classes == test.classes == ("jump", "run")
    assert train.labels == (0, 0, 0, 1, 1, 1) and test.labels == (0, 1)
    assert train.names[1].startswith("train-00000-of-00002#")
    ((clips, _),) = pipeline.train_batches(train, config, 0)
    assert clips.shape == (4, *config.clip_shape)
    scan(tmp_path, "folder").write(tmp_path)
    again = load_dataset(config, "train")
    np.testing.assert_array_equal(next(iter(pipeline.train_batches(again, config, 0)))[0], clips)


def test_clips_of_one_video_have_names_of_their_own(tmp_path):
    for subset in ("train", "test"):
        path = tmp_path / f"{subset}-00000-of-00001"
        write_foreign(path, 2, 0, 30.0, **{"clip/data_path": b"a/film.mp4"})
    found = [record.name for record in scan(tmp_path, "folder").records]
    assert len(set(found)) == 4 and all(name.startswith("a/film.mp4#") for name in found)


def test_what_others_do_not_say_is_asked_for(make_config, tmp_path):
    config = make_config(records=str(tmp_path))
    with pytest.raises(ConfigError, match="holds no records: neither manifest.json"):
        load_dataset(config, "train")
    write_foreign(tmp_path / "train-00000-of-00001", 2, 0)
    write_foreign(tmp_path / "test-00000-of-00001", 2, 1)
    with pytest.raises(ConfigError, match="does not say its frame rate. Index the folder once by"):
        load_dataset(config, "train")
    manifest = scan(tmp_path, "folder", frame_rate=25.0)
    assert manifest.classes == ("0", "1") and manifest.records[0].duration_s == 20 / 25
    (tmp_path / "classes.txt").write_text("run\n")
    with pytest.raises(ConfigError, match="has 1 lines; labels go up to 1"):
        scan(tmp_path, "folder", frame_rate=25.0)
    octets = (tmp_path / "train-00000-of-00001").read_bytes()
    (tmp_path / "train-00000-of-00001").write_bytes(octets[:-7])
    with pytest.raises(ConfigError, match="the file ends within a record"):
        scan(tmp_path, "folder", frame_rate=25.0)
    with tf.io.TFRecordWriter(str(tmp_path / "test-00000-of-00001")) as writer:
        writer.write(tf.train.Example().SerializeToString())
    (tmp_path / "train-00000-of-00001").unlink()
    with pytest.raises(ConfigError, match="has no image/encoded; expected the keys of the Model"):
        scan(tmp_path, "folder", frame_rate=25.0)
