"""progress.json while a loop trains: what is in it when, and that it beats."""

import os
import shutil
import socket
import threading

import keras
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from r21d_keras.training.callbacks.heart import Heart
from r21d_keras.training.callbacks.profile import Profile
from r21d_keras.training.callbacks.scalars import Scalars
from r21d_keras.training.config import ConfigError, TrainConfig, validate
from r21d_keras.training.heartbeat import read_heartbeat
from r21d_keras.training.options import step_range
from r21d_keras.training.pace import RECENT_S, Pace
from r21d_keras.training.run_folder import ModelDir
from r21d_keras.training.state.place import Place
from tests.loops import batches, linear_model, make_loop
from tests.waits import until

CLIPS = 29  # three batches of 8 and one of 5


class Look(keras.callbacks.Callback):
    """Notes what progress.json says at each of its calls, after the heart's."""

    def __init__(self, folder):
        super().__init__()
        self.folder, self.seen = folder, []

    def look(self, when):
        heartbeat = read_heartbeat(self.folder)
        self.seen.append((when, heartbeat.phase, heartbeat.epoch, heartbeat.step))
        return heartbeat

    def on_train_begin(self, logs=None):
        self.look("train")

    def on_train_batch_end(self, batch, logs=None):
        self.look("step")

    def on_epoch_end(self, epoch, logs=None):
        self.heartbeat = self.look("epoch")


@pytest.fixture
def folder(tmp_path):
    return ModelDir(tmp_path)


def trained(loop, folder, *callbacks, validates=True):
    heart = Heart(loop, folder, CLIPS, validates)
    with heart:
        validate = (lambda: loop.evaluate(batches(9), heart.validated)) if validates else None

        def data(epoch, first=0):
            return batches(CLIPS).skip(first)

        loop.run(data, validate, [heart, *callbacks])
    return read_heartbeat(folder)


def test_a_heart_tells_what_the_loop_does(folder):
    loop = make_loop(linear_model, epochs=3, validate_every=2, steps_per_call=2)
    look = Look(folder)
    last = trained(loop, folder, look)
    assert [seen[:2] for seen in look.seen] == [
        ("train", "starting"),
        *(("step", "training"), ("step", "training"), ("epoch", "training")),
        *(("step", "training"), ("step", "validating"), ("epoch", "training")),
        *(("step", "training"), ("step", "validating"), ("epoch", "training")),
    ]
    assert look.seen[1][2:] == (1, 2) and look.seen[5][2:] == (2, 4)
    assert (last.phase, last.reason, last.epoch, last.step) == ("finished", "", 3, 4)
    assert last.seconds_left is None
    told = look.heartbeat
    assert (told.host, told.pid) == (socket.gethostname(), os.getpid())
    assert (told.epochs, told.steps_per_epoch, told.replicas) == (3, 4, 1)
    assert told.clips_per_second > 0 and 0 <= told.input_wait <= 1 and told.usual_s > 0
    assert set(told.metrics) == {"loss", "accuracy"}
    assert told.began_at <= told.moved_at <= told.beat_at


def test_the_time_left_is_least_until_a_validation_was_timed(folder):
    class LeftIsLeast(Look):
        def on_epoch_end(self, epoch, logs=None):
            self.seen.append((self.look("epoch").left_is_least, self.look("").seconds_left))

    look = LeftIsLeast(folder)
    trained(make_loop(linear_model, epochs=3), folder, look)
    left = [seen for seen in look.seen if len(seen) == 2]
    assert [least for least, _ in left] == [True, False, False]
    assert all(seconds is not None and seconds >= 0.0 for _, seconds in left)


def test_without_validation_nothing_is_missing(folder):
    look = Look(folder)
    trained(make_loop(linear_model, epochs=2), folder, look, validates=False)
    assert not look.heartbeat.left_is_least
    assert "validating" not in {phase for _, phase, _, _ in look.seen}


def test_a_run_that_goes_on_amid_an_epoch(folder):
    loop = make_loop(linear_model, epochs=2, steps_per_call=1)
    loop.place = Place(1, 3, (1.0, 1.0, 24.0))
    look = Look(folder)
    trained(loop, folder, look)
    assert look.seen[0] == ("train", "starting", 2, 3)
    assert [step for when, *_, step in look.seen if when == "step"] == [4]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("a\n long   story"), "a long story"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (KeyboardInterrupt("kept after step 3"), "kept after step 3"),
    ],
)
def test_how_it_ended_is_told(folder, error, reason):
    with (
        pytest.raises(type(error)),
        Heart(make_loop(linear_model), folder, CLIPS, validates=False),
    ):
        raise error
    last = read_heartbeat(folder)
    assert (last.phase, last.reason) == ("stopped", reason)
    assert "r21d heart" not in {thread.name for thread in threading.enumerate()}


def test_it_beats_while_nothing_moves(folder, monkeypatch):
    monkeypatch.setattr("r21d_keras.training.callbacks.heart.BEAT_S", 0.01)
    with Heart(make_loop(linear_model), folder, CLIPS, validates=False):
        first = read_heartbeat(folder)
        until(lambda: read_heartbeat(folder).beat_at >= first.beat_at + 0.1)
        later = read_heartbeat(folder)
    assert later.moved_at == first.moved_at


def test_a_disk_that_cannot_be_written_ends_no_run(tmp_path, log):
    folder = ModelDir(tmp_path / "run")
    folder.root.mkdir()
    with Heart(make_loop(linear_model), folder, CLIPS, validates=False) as heart:
        shutil.rmtree(folder.root)
        heart.on_epoch_end(0)
        heart.on_epoch_end(1)
        folder.root.mkdir()
        heart.on_epoch_end(2)
    assert log.text.count("`r21d status` will be out of date") == 1
    assert read_heartbeat(folder).phase == "finished"


def test_pace_is_of_the_last_minute_without_the_first_call():
    pace = Pace()
    assert pace.clips_per_second is pace.input_wait is pace.seconds_per_step is None
    assert pace.longest_call_s is None
    pace.add(30.0, steps=2, clips=16, waited_s=3.0)
    assert pace.clips_per_second is None
    pace.add(1.0, steps=2, clips=16, waited_s=0.25)
    assert (pace.clips_per_second, pace.seconds_per_step, pace.input_wait) == (16.0, 0.5, 0.25)
    for _ in range(100):
        pace.add(2.0, steps=2, clips=8, waited_s=0.0)
    assert pace.clips_per_second == 4.0 and pace.input_wait == 0.0 and pace.longest_call_s == 2.0
    for _ in range(2):
        pace.add(2 * RECENT_S, steps=1, clips=12, waited_s=-1.0)  # a call may take longer than that
    assert pace.clips_per_second == pytest.approx(12 / (2 * RECENT_S)) and pace.input_wait == 0.0


def scalars(folder):
    """(tag, step, value) of the points in the event files of a folder."""
    found = []
    for path in folder.rglob("*tfevents*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                number = tf.make_ndarray(value.tensor)
                found += [(value.tag, event.step, float(number))] if number.ndim == 0 else []
    return found


def test_speed_by_step(folder):
    loop = make_loop(linear_model, epochs=2, schedule="constant", warmup_epochs=2.0)
    loop.run(lambda epoch: batches(CLIPS), callbacks=[Scalars(loop, folder, CLIPS)])
    found = scalars(folder.events / "speed")
    assert {tag for tag, _, _ in found} == {
        *("clips_per_second", "input_wait", "learning_rate", "replicas")
    }
    # The first call, and that which ends each epoch of four steps.
    rates = {step: value for tag, step, value in found if tag == "learning_rate"}
    assert rates == pytest.approx({n: float(loop.schedule(n - 1)) for n in (3, 4, 8)})
    assert {value for tag, _, value in found if tag == "replicas"} == {1.0}
    assert all(0.0 <= value <= 1.0 for tag, _, value in found if tag == "input_wait")
    assert all(value > 0.0 for tag, _, value in found if tag == "clips_per_second")


def steps_of_profile(folder):
    """The numbers by which viewers tell the steps of a profile apart."""
    (path,) = folder.events.glob("plugins/profile/*/*.xplane.pb")
    space, found = xplane_pb2.XSpace.FromString(path.read_bytes()), set()
    for plane in space.planes:
        steps = [number for number, event in plane.event_metadata.items() if event.name == "train"]
        for event in (event for line in plane.lines for event in line.events):
            if event.metadata_id in steps:
                for stat in event.stats:
                    if plane.stat_metadata[stat.metadata_id].name == "step_num":
                        found.add(stat.int64_value or stat.uint64_value)
    return found


def test_a_profile_of_chosen_steps(folder, log):
    loop = make_loop(linear_model, epochs=2, steps_per_call=3)  # steps 1-3, 4, 5-7, 8
    with Profile(loop, folder, 4, 6) as profile:
        loop.run(lambda epoch: batches(CLIPS), callbacks=[profile])
    assert steps_of_profile(folder) == {4, 5}  # the first of each call
    assert "Profile of steps 4 to 7: " in log.text


def test_a_profile_begins_with_the_call_that_has_its_first_step(folder, log):
    """Calls are shorter where the state is kept: steps 1-2, 3-4."""
    loop = make_loop(linear_model, epochs=1, steps_per_call=3, checkpoint_interval=2)
    with Profile(loop, folder, 3, 3) as profile:
        loop.run(lambda epoch: batches(CLIPS), callbacks=[profile])
    assert "Profile of steps 3 to 4: " in log.text


def test_a_profile_is_written_also_of_a_run_that_fails(folder, log):
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise ValueError("fails")

    loop = make_loop(linear_model, epochs=1, steps_per_call=1)
    profile = Profile(loop, folder, 1, 3)
    with pytest.raises(ValueError, match="fails"), profile:
        loop.run(lambda epoch: batches(CLIPS), callbacks=[Fail(), profile])
    assert steps_of_profile(folder) == {1}


def test_a_profile_of_steps_that_never_come(folder, log):
    loop = make_loop(linear_model, epochs=1)
    with Profile(loop, folder, 100, 200) as profile:
        loop.run(lambda epoch: batches(CLIPS), callbacks=[profile])
    assert "begins with step 100, and only 4 were trained" in log.text
    assert not list(folder.events.rglob("*"))


@pytest.mark.parametrize("text", ["10", "20,10", "0,3", "1,2,3", "a,b", "1, 2", "-1,2"])
def test_steps_that_are_no_range_are_refused(text):
    with pytest.raises(ConfigError, match="profile_steps=.*the first and the last step, counted"):
        validate(TrainConfig(profile_steps=text))


def test_ranges_of_steps():
    assert step_range("") is None
    assert step_range("10,20") == (10, 20) and step_range("3,3") == (3, 3)
