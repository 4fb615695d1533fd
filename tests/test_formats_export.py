"""`r21d export --format=...`: versions, what is told of them, what is refused, `r21d predict`."""

import json
import os
import signal
import sys

import numpy as np
import pytest

from r21d_keras.training.cli import main
from r21d_keras.training.config import ConfigError
from r21d_keras.training.formats.agreement import TOLERANCE, agreement
from r21d_keras.training.formats.convert import convert, write_format
from r21d_keras.training.formats.runtimes import open_session
from r21d_keras.training.formats.table import FORMATS, check_format
from r21d_keras.training.predict import predict
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving.names import CLASSES, METADATA
from tests import processes
from tests.trained_networks import servable_of

RUNTIMES = [name for name in FORMATS if name != "tf"]


def need(name, precision="float32"):
    """Skips where the runtime is not installed."""
    try:
        check_format(name, precision)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def run(tiny_run):
    return tiny_run()


@pytest.fixture(scope="module")
def video(motion_videos):
    return str(next(iter(sorted(motion_videos.rglob("*.mp4")))))


@pytest.mark.parametrize("name", RUNTIMES)
def test_an_export_predicts_as_its_run(run, video, tmp_path, name, capsys):
    need(name)
    out = tmp_path / "models"
    assert main(["export", f"--model_dir={run}", f"--out={out}", f"--format={name}"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{FORMATS[name].runtime}, float32: scores are those of Keras within")
    assert "decode JPEG or PNG" in told.partition(f"{FORMATS[name].runtime}: scores differ")[0]
    assert f"r21d predict --model={out / '1'} VIDEO" in told
    assert {path.name for path in (out / "1").iterdir()} == {*FORMATS[name].files, "assets.extra"}
    found, expected = (predict(load_predictor(model), video, 3) for model in (out / "1", run))
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    with pytest.raises(ValueError, match=f"Did you mean {out / '1'}"):
        load_predictor(out)


def test_versions_go_on_but_never_where_tensorflow_serving_would_take_them(run, tmp_path):
    """It takes the highest number for its newest model, and fails where that is another's."""
    need("onnx")
    from r21d_keras.training.serving.saved_model import export

    assert [convert(run, tmp_path, "onnx").place for _ in range(2)] == [
        str(tmp_path / "1"),
        str(tmp_path / "2"),
    ]
    with pytest.raises(FileExistsError, match="exists already and is not overwritten"):
        convert(run, tmp_path, "onnx", version=1)
    with pytest.raises(ConfigError, match="holds ./model.onnx, .*another runtime.* Give another"):
        export(run, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"1", "2"}
    models = tmp_path / "models"
    assert export(run, models) == str(models / "1")
    with pytest.raises(ConfigError, match="holds models.config: .* Give another folder"):
        convert(run, models, "onnx")
    assert {path.name for path in models.iterdir() if path.is_dir()} == {"1"}


def test_metadata_tells_what_the_model_wants(run, tmp_path):
    need("onnx")
    import onnx

    place = convert(run, tmp_path / "onnx", "onnx", "float16").place
    about = json.loads((tmp_path / "onnx" / "1" / METADATA).read_text("utf-8"))
    assert about["format"] == "onnx" and about["precision"] == "float16"
    assert about["clip_frames"] == 4 and about["any_length"]
    (entry,) = onnx.load(f"{place}/model.onnx").metadata_props
    assert json.loads(entry.value) == about
    classes = (tmp_path / "onnx" / "1" / CLASSES).read_text("utf-8").splitlines()
    assert classes == about["classes"]


def test_openvino_tells_it_too(run, tmp_path):
    need("openvino")
    import openvino

    place = convert(run, tmp_path, "openvino").place
    model = openvino.Core().read_model(f"{place}/model.xml")
    about = json.loads((tmp_path / "1" / METADATA).read_text("utf-8"))
    assert json.loads(model.get_rt_info(["r21d"]).astype(str)) == about
    labels = model.get_rt_info(["model_info", "labels"]).astype(str).split()
    assert labels == [name.replace(" ", "_") for name in about["classes"]]


def test_a_network_of_flow_predicts_too(tiny_run, video, tmp_path):
    need("onnx")
    run = tiny_run(stream="flow", variant="f_r2d_10")
    place = convert(run, tmp_path, "onnx").place
    found, expected = (predict(load_predictor(model), video, 2) for model in (place, run))
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


REFUSED = {
    "tf in 8 bits": (["--precision=int8"], "Formats that have it: openvino, litert, onnx"),
    "tf by clips": (["--calibrate=videos"], "--calibrate is for --precision=int8"),
    "labels": (["--format=onnx", "--top_k=3"], "--top_k is for --format=tf; onnx answers with all"),
    "no clips": (
        ["--format=onnx", "--precision=int8"],
        "precision='int8' needs clips to find ranges by; give calibrate",
    ),
    "clips for nothing": (
        ["--format=onnx", "--calibrate=."],
        "calibrate is for precision='int8'; got 'float32'",
    ),
    "a number of clips for nothing": (
        ["--format=onnx", "--calibration_clips=4"],
        "--calibration_clips is for --precision=int8",
    ),
    "no video": (
        ["--format=onnx", "--precision=int8", "--calibrate=nowhere"],
        "calibrate='nowhere' is not there; expected videos, or folders of videos",
    ),
    "a place that is empty": (
        ["--format=onnx", "--precision=int8", "--calibrate="],
        "calibrate='': expected a video of this machine",
    ),
    "a place at a URL": (
        ["--format=onnx", "--precision=int8", "--calibrate=gs://videos/train"],
        "calibrate='gs://videos/train': expected a video of this machine",
    ),
    "no videos": (
        ["--format=onnx", "--precision=int8", "--calibrate=EMPTY"],
        "holds no videos; name another folder",
    ),
    "not a video": (
        ["--format=onnx", "--precision=int8", "--calibrate=FILE"],
        "notes.txt",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(run, tmp_path, case, capfd):
    need("onnx")
    options, told = REFUSED[case]
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("not a video")
    places = {"EMPTY": str(tmp_path / "empty"), "FILE": str(tmp_path / "notes.txt")}
    for word, place in places.items():
        options = [option.replace(word, place) for option in options]
    out = tmp_path / "models"
    assert main(["export", f"--model_dir={run}", f"--out={out}", *options]) != 0
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert told in line
    assert not out.exists()


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_that_is_absent_is_named_with_its_cure(run, tmp_path, name, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, FORMATS[name].packages[-1], None)
    out = tmp_path / "models"
    assert main(["export", f"--model_dir={run}", f"--out={out}", f"--format={name}"]) != 0
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert f"pip install 'r21d_keras[{FORMATS[name].extra}]'" in line
    assert not out.exists()


def test_programs_are_told_too():
    with pytest.raises(ConfigError, match="format='pb': expected one of tf, openvino"):
        check_format("pb", "float32")
    with pytest.raises(ConfigError, match="precision='int4': expected one of float32"):
        check_format("onnx", "int4")
    with pytest.raises(ConfigError, match="Formats that have it: openvino, litert, onnx"):
        check_format("tf", "int8")
    with pytest.raises(ConfigError, match="calibrate='videos': expected several, as a list"):
        convert("run", "out", "onnx", "int8", calibrate="videos")
    with pytest.raises(ConfigError, match="num_clips=0: expected 1 or more"):
        convert("run", "out", "onnx", "int8", calibrate=["videos"], num_clips=0)


def test_an_export_that_answers_otherwise_is_not_written(tmp_path):
    """As a runtime would that computes a kernel wrongly: here one weight is another."""
    need("onnx")
    import onnx

    servable = servable_of("r3d_10")
    write_format(tmp_path, servable, "onnx")
    assert agreement(tmp_path, "onnx", "float32", servable).largest < 1e-5
    model = onnx.load(tmp_path / "model.onnx")
    (bias,) = (weight for weight in model.graph.initializer if weight.name == "fc.bias")
    values = onnx.numpy_helper.to_array(bias) + np.eye(1, 7, dtype=np.float32)[0]
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match=rf"are [\d.e-]+ from those of Keras, .*{TOLERANCE:.0e}"):
        agreement(tmp_path, "onnx", "float32", servable)


def test_features_that_are_others_are_found_behind_scores_that_are_not(tmp_path):
    need("onnx")
    import onnx

    servable = servable_of("r3d_10")
    dense = servable.model.get_layer("fc")
    dense.set_weights([0 * dense.get_weights()[0], dense.get_weights()[1]])  # sure, whatever comes
    write_format(tmp_path, servable, "onnx")
    assert agreement(tmp_path, "onnx", "float32", servable).largest < 1e-5
    model = onnx.load(tmp_path / "model.onnx")
    bias = next(weight for weight in model.graph.initializer if weight.name.endswith(".bias"))
    values = onnx.numpy_helper.to_array(bias) + 1
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ConfigError, match="and features .* of their size"):
        agreement(tmp_path, "onnx", "float32", servable)


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_damaged_model_is_named(run, video, tmp_path, name, capfd):
    need(name)
    place = convert(run, tmp_path, name).place
    file = tmp_path / "1" / FORMATS[name].files[0]
    file.write_bytes(file.read_bytes()[:100])
    assert main(["predict", f"--model={place}", video]) == 1
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert f"{FORMATS[name].runtime} does not read {file}" in last


@pytest.mark.parametrize("name", RUNTIMES)
def test_threads_may_be_limited(tmp_path, name):
    need(name)
    servable = servable_of("r2d_10")
    write_format(tmp_path, servable, name)
    clip, answers, begun = np.zeros((1, 4, 24, 24, 3), np.uint8), [], []
    for threads in (1, 4):
        before = set(os.listdir("/proc/self/task"))
        session = open_session(tmp_path, name, threads)
        answers.append(session(clip)["probabilities"])
        begun.append(len(set(os.listdir("/proc/self/task")) - before))
    np.testing.assert_allclose(*answers, atol=1e-5)
    assert name == "openvino" or begun[0] < begun[1]  # OpenVINO's are begun whoever wants them


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_process_may_be_signalled_when_sessions_have_gone(tmp_path, name):
    need(name)
    write_format(tmp_path, servable_of("r2d_10"), name)
    assert processes.result(signalled, tmp_path, name) == [signal.SIGTERM]


def signalled(folder, name):
    """What a handler notes when two sessions have gone, the older before the newer."""
    session = open_session(folder, name)
    session = open_session(folder, name)  # as a program does that serves versions in turn
    del session
    noted = []
    signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
    signal.raise_signal(signal.SIGTERM)
    return noted


@pytest.mark.parametrize("name", RUNTIMES)
def test_versions_at_urls(run, video, name):
    """TensorFlow's own file system in memory; the file that makes a version whole comes last."""
    need(name)
    out = f"ram://formats/{name}"
    assert convert(run, out, name).place == f"{out}/1"
    with pytest.raises(FileExistsError, match=f"{out}/1 exists already"):
        convert(run, out, name, version=1)
    found, expected = (predict(load_predictor(model), video, 1) for model in (f"{out}/1", run))
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
