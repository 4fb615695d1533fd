"""Which part of a global batch a process reads, and that the parts are the whole."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r21d_keras.training.data.datasets import load_dataset
from r21d_keras.training.data.pipeline import BadVideos, train_batches, validation_batches
from r21d_keras.training.distribution.slices import Part

OPTIONS = {"clips_per_epoch": 10, "num_readers": 1}


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 40), st.integers(1, 4), st.integers(1, 4))
def test_parts_cover_a_batch_once_or_have_it_whole(size, processes, here):
    replicas = processes * here
    parts = [Part(i * here, (i + 1) * here, replicas) for i in range(processes)]
    bounds = [part.bounds(size) for part in parts]
    if size < replicas:
        assert set(bounds) == {(0, size)}
    else:
        assert [end for _, end in bounds[:-1]] == [first for first, _ in bounds[1:]]
        assert (bounds[0][0], bounds[-1][1]) == (0, size)
        assert all(end - first >= here for first, end in bounds)


@pytest.mark.parametrize("batch, replicas", [(4, 2), (4, 3), (9, 3), (3, 3)])
@pytest.mark.parametrize("first_step", [0, 1])
def test_what_processes_read_is_together_the_batches_of_one(
    make_config, batch, replicas, first_step
):
    config = make_config(global_batch_size=batch)
    videos = load_dataset(config, "train")
    whole = list(train_batches(videos, config, 1, None, first_step))
    parts = [
        train_batches(videos, config, 1, None, first_step, Part(i, i + 1, replicas))
        for i in range(replicas)
    ]
    assert {int(part.cardinality()) for part in parts} == {len(whole)}
    for (clips, labels), *found in zip(whole, *parts, strict=True):
        assert {int(size) for *_, size in found} == {len(labels)}
        if len(labels) < replicas:
            expected = [(clips, labels)] * replicas
        else:
            ends = [len(labels) * i // replicas for i in range(replicas + 1)]
            cuts = [slice(*pair) for pair in zip(ends, ends[1:], strict=False)]
            expected = [(clips[cut], labels[cut]) for cut in cuts]
        for (own, marks, counts, _), (clips_of, labels_of) in zip(found, expected, strict=True):
            np.testing.assert_array_equal(own, clips_of)
            np.testing.assert_array_equal(marks, labels_of)
            assert counts.numpy().tolist() == [1.0] * len(labels_of)


def test_a_process_reads_its_own_videos_alone(make_config, monkeypatch):
    config = make_config(global_batch_size=4)
    videos, seen = load_dataset(config, "train"), []
    read = type(videos.source).read

    def noted(source, index, *arguments):
        seen.append(index)
        return read(source, index, *arguments)

    monkeypatch.setattr(type(videos.source), "read", noted)
    list(train_batches(videos, config, 0, None, 0, Part(1, 2, 2)))
    assert len(seen) == 5  # 2, 2 and 1 of the 4, 4 and 2 clips


def test_a_video_that_validation_cannot_read_counts_nothing_and_shifts_none(
    make_config, tiny_videos, tmp_path
):
    folder = shutil.copytree(tiny_videos, tmp_path / "videos")
    config = make_config(videos=str(folder), global_batch_size=2)
    videos, bad = load_dataset(config, "train"), BadVideos()
    whole = [list(validation_batches(videos, config, bad, Part(i, i + 1, 2))) for i in (0, 1)]
    assert not bad
    os.truncate(videos.paths[2], 100)
    part = list(validation_batches(videos, config, bad, Part(0, 1, 2)))
    assert [path for path, _ in bad.files] == [videos.paths[2]]
    assert [batch[2].numpy().tolist() for batch in part] == [[1.0], [0.0], [1.0], [1.0]]
    assert len(whole[0]) == len(whole[1]) == len(part) == len(videos) // 2
    for (clips, *_), (expected, *_) in zip(part[2:], whole[0][2:], strict=True):
        np.testing.assert_array_equal(clips, expected)
