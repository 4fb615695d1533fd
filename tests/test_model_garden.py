"""TensorFlow's Model Garden reads what `r21d prepare` writes."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest

from r21d_keras.training.data.frames import ClipSpec
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.reader import RecordSource
from r21d_keras.training.records.rgb import FrameOptions
from r21d_keras.zoo.preprocessing import Preprocessing
from tests.preparing import plan_of

ROOT = pathlib.Path(__file__).parent.parent
NOT_INSTALLED = 77
INSTALL = "pip install --no-deps -r stacks/modern.nodeps.txt"
SIZE = (36, 40)


@pytest.fixture(scope="module")
def read(tmp_path_factory, tiny_videos):
    """What is in the records, and what the Model Garden's decoder and parser make of them."""
    folder = tmp_path_factory.mktemp("records")
    options = FrameOptions(resize_height=SIZE[0], resize_width=SIZE[1])
    manifest = prepare(plan_of(tiny_videos, options=options, split=1), folder, processes=1)
    script, out = pathlib.Path(__file__).with_name("model_garden.py"), folder / "read.npz"
    command = [sys.executable, str(script), str(folder), str(out)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    if done.returncode == NOT_INSTALLED and keras.__version__ < "3":
        pytest.skip(f"tf-models-official is for newer TensorFlow ({done.stdout.strip()})")
    assert done.returncode != NOT_INSTALLED, f"{done.stdout.strip()}: {INSTALL}"
    assert done.returncode == 0, done.stderr
    names = [shard["name"] for shard in manifest.shards]
    return manifest, RecordSource(folder, names, manifest.records), np.load(out)


def test_its_decoder_finds_frames_and_labels(read):
    manifest, source, found = read
    records = manifest.records
    assert found["subsets"].tolist() == [record.splits[1] for record in records]
    assert [tuple(label) for label in found["labels"]] == [record.labels for record in records]
    for index, record in enumerate(records):
        spec = ClipSpec(num_frames=record.frames, preprocessing=Preprocessing(resize=SIZE))
        ours = source.read(index, [0.0], spec)[0].astype(int)
        assert found["frames"][index].shape == ours.shape
        # Two decoders of JPEG, TensorFlow's and OpenCV's, round and smooth colour differently.
        assert np.abs(found["frames"][index] - ours).mean() < 2


def test_its_parser_makes_clips_to_train_and_test_on(read):
    manifest, _, found = read
    for subset in ("train", "test"):
        labels = [r.labels[0] for r in manifest.records if r.splits[1] == subset]
        for is_training in (True, False):
            clips = found[f"{subset}_{is_training}"]
            assert clips.shape == (len(labels), 4, 32, 32, 3)
            assert clips.dtype == np.float32 and 0 <= clips.min() < clips.max() <= 1
            one_hot = found[f"{subset}_{is_training}_labels"]
            np.testing.assert_array_equal(one_hot.argmax(axis=1), labels)
            np.testing.assert_array_equal(one_hot.sum(axis=1), 1)
            bright = clips.mean(axis=(1, 2, 3, 4)) > 0.5  # class 0, and those alone
            np.testing.assert_array_equal(bright, np.array(labels) == 0)
