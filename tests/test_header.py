"""What checkpoints say of themselves, and which of them a run refuses to go on from."""

import dataclasses
import json
import os
import shutil

import pytest
import tensorflow as tf

from r21d_keras.training.config import ConfigError, TrainConfig
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state import header as headers
from r21d_keras.training.state.checkpoints import RunState
from r21d_keras.training.state.header import FORMAT, Header, HeaderPart, config_hash, read_header
from r21d_keras.training.state.place import Place
from r21d_keras.training.state.resume import check_resumable
from tests.loops import linear_model, make_loop

DATA = {"train": {"videos": 8, "sha256": "ab"}}


def config(**options):
    return TrainConfig(**{"global_batch_size": 8, "epochs": 3, **options})


@pytest.fixture(scope="module")
def loop():
    return make_loop(linear_model, strategy="one")


@pytest.fixture
def kept(loop, tmp_path):
    """The folder of a run that is kept after step 4 of epoch 3, without its config.json."""
    folder = ModelDir(tmp_path / "run")
    loop.place = Place(2, 4, (0.1, 1 / 3, 7.0))
    state = RunState(loop, folder, DATA)
    state.save()
    return folder


def test_a_state_says_of_which_run_it_is_and_where_that_stood(loop, kept):
    found = read_header(str(kept.checkpoints / "ckpt-2-4"))
    assert found == Header(loop.config, DATA, loop.place)
    assert found.place.totals == (0.1, 1 / 3, 7.0)  # to the last bit
    reader = tf.train.load_checkpoint(str(kept.checkpoints / "ckpt-2-4"))
    values = json.loads(reader.get_tensor("header/.ATTRIBUTES/py_state"))
    assert values["format"] == FORMAT and values["config_sha256"] == config_hash(loop.config)


def test_the_hash_is_of_what_a_run_must_agree_in():
    first = config_hash(config())
    free = {"num_readers": 7, "max_to_keep": 9, "model_dir": "x", "epochs": 9, "videos": "y"}
    for name, value in free.items():
        assert config_hash(config(**{name: value})) == first, name
    for name, value in {"variant": "r3d_18", "seed": 1, "global_batch_size": 9}.items():
        assert config_hash(config(**{name: value})) != first, name
    split = {"strategy": "one", "num_cpu_replicas": 2}
    assert config_hash(config(**split)) == first
    assert config_hash(config(**split, sync_bn=False)) != config_hash(config(sync_bn=False))


def test_another_configuration_is_refused_with_what_differs(loop, kept):
    assert check_resumable(kept, dataclasses.replace(loop.config, epochs=9, num_readers=3))
    other = dataclasses.replace(loop.config, variant="mc3_18", base_learning_rate=0.5)
    message = (
        r"ckpt-2-4\.\* is of a run of another configuration: variant was 'r2plus1d_18' and is now "
        r"'mc3_18'; base_learning_rate was 0.004 and is now 0.5\. Start it with the same"
    )
    with pytest.raises(ConfigError, match=message):
        check_resumable(kept, other)


def test_states_of_another_run_that_were_put_there_are_refused(loop, kept, tmp_path):
    mine = dataclasses.replace(loop.config, seed=5)
    folder = ModelDir(tmp_path / "mine")
    folder.write_run(mine, ("a", "b"))
    shutil.copytree(kept.checkpoints, folder.checkpoints)
    with pytest.raises(ConfigError, match="is of a run of another .*: seed was 0 and is now 5"):
        check_resumable(folder, mine)


def test_other_data_is_refused_before_a_weight_changes(loop, kept):
    before = [weight.numpy() for weight in loop.model.weights]
    state = RunState(loop, kept, {"train": {"videos": 9, "sha256": "cd"}})
    with pytest.raises(ConfigError, match="ckpt-2-4.* other data: the train set had 8 .* has 9"):
        state.restore()
    for value, weight in zip(before, loop.model.weights, strict=True):
        assert (value == weight.numpy()).all()


def test_a_state_of_another_format_is_refused_with_the_version_that_wrote_it(
    loop, kept, monkeypatch
):
    monkeypatch.setattr(headers, "FORMAT", FORMAT + 1)
    message = rf"is of format {FORMAT}, of r21d_keras \S+; .* reads format {FORMAT + 1}"
    with pytest.raises(ConfigError, match=message):
        check_resumable(kept, loop.config)


def test_a_state_without_a_format_is_refused(loop, tmp_path):
    folder = ModelDir(tmp_path)
    os.mkdir(folder.checkpoints)
    tf.train.Checkpoint(model=loop.model).write(str(folder.checkpoints / "ckpt-1"))
    with pytest.raises(ConfigError, match=r"ckpt-1\.\* says no format; r21d_keras"):
        check_resumable(folder, loop.config)


def test_an_option_that_came_later_has_its_default(loop, kept):
    values = json.loads(HeaderPart(Header(loop.config, DATA)).serialize())
    del values["config"]["checkpoint_interval"]
    part = HeaderPart(Header(loop.config, {}))
    part.deserialize(json.dumps(values))
    assert part.header == Header(loop.config, DATA)
