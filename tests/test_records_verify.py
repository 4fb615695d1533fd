"""Shards that are hurt are found, named, and made anew."""

import pytest

from r21d_keras.training.options import ConfigError
from r21d_keras.training.records.manifest import read_manifest
from r21d_keras.training.records.prepare import prepare
from r21d_keras.training.records.verify import verify
from tests.preparing import contents, plan_of, stop_at


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_videos):
    """The files of a preparation."""
    folder = tmp_path_factory.mktemp("whole")
    prepare(plan_of(tiny_videos), folder, processes=1)
    return contents(folder)


@pytest.fixture
def made(whole, tmp_path):
    """A folder of records to hurt."""
    for name, octets in whole.items():
        (tmp_path / name).write_bytes(octets)
    return tmp_path


def test_verify_says_which_videos_are_hurt(made):
    manifest, wrong = verify(made)
    assert not wrong
    record = manifest.records[1]
    path = made / manifest.shards[record.shard]["name"]
    octets = bytearray(path.read_bytes())
    octets[record.offset + record.length // 2] ^= 1
    path.write_bytes(octets)
    (made / manifest.shards[3]["name"]).unlink()
    last = made / manifest.shards[2]["name"]
    last.write_bytes(last.read_bytes()[:-1])
    (made / "train-1.tfrecord").write_bytes(b"")
    hurt, cut, gone, strange = verify(made)[1]
    assert hurt.startswith(path.name) and hurt.endswith(f"1 of 2 videos is hurt: {record.name}.")
    assert cut.startswith(f"{last.name} has ") and ": 1 of 2 videos is hurt: " in cut
    assert gone == f"{manifest.shards[3]['name']} cannot be read: No such file or directory"
    assert strange == "1 file is not in the manifest: train-1.tfrecord."


def test_hurt_shards_are_made_anew(made, whole, tiny_videos, log):
    (made / "all-00002-of-00004.tfrecord").unlink()
    path = made / "all-00000-of-00004.tfrecord"
    path.write_bytes(path.read_bytes()[:-5])
    prepare(plan_of(tiny_videos), made, processes=1)
    assert log.text.count("it is made anew") == 2
    assert contents(made) == whole


def test_a_folder_that_was_not_finished_cannot_be_verified(tiny_videos, tmp_path):
    stop_at(tiny_videos, tmp_path, 2)
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(ConfigError, match="has no manifest.json: it was not finished"):
            verify(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"version": 9}', '{"version": 1}'])
def test_a_manifest_of_something_else_is_refused(text, tmp_path):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ConfigError, match="is no manifest of `r21d prepare`"):
        read_manifest(tmp_path)
