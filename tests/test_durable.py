"""Files have their names only when they are on the disk; so has each of a conversion's two."""

import os

from r21d_keras.zoo.checkpoints.convert import convert_checkpoint
from r21d_keras.zoo.durable import partial_name
from tests.cached_rows import checkpoint


def test_both_files_of_a_conversion_are_on_the_disk_before_they_have_names(tmp_path, monkeypatch):
    """Watches, and does, what the system is asked for."""
    source, done = tmp_path / "net.pkl", []
    source.write_bytes(checkpoint())
    fsync, replace = os.fsync, os.replace

    def watched_fsync(number):
        done.append(("sync", os.fstat(number).st_ino))
        fsync(number)

    def watched_replace(old, new):
        done.append(("name", os.stat(old).st_ino))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    convert_checkpoint(source, tmp_path / "out")
    card, weights, folder = (
        path.stat().st_ino
        for path in (tmp_path / "out.json", tmp_path / "out.weights.h5", tmp_path)
    )
    of_each = [[("sync", file), ("name", file), ("sync", folder)] for file in (card, weights)]
    assert done == [*of_each[0], *of_each[1]]


def test_two_processes_write_to_different_partial_names(tmp_path):
    path = tmp_path / "best.weights.h5"
    name = partial_name(path).name
    assert str(os.getpid()) in name and name.endswith(".weights.h5")
