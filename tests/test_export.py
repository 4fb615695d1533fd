import json
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from r21d_keras.training.cli import main
from r21d_keras.training.data.frames import center_crop, resize_clip
from r21d_keras.training.data.pipeline import normalise
from r21d_keras.training.model_dir import load_run, save_weights
from r21d_keras.training.predict import predict
from r21d_keras.training.predictor import load_predictor
from r21d_keras.training.serving.names import CLASSES, DESCRIBE, METADATA, SIGNATURES
from r21d_keras.training.serving.pixels import seen
from r21d_keras.training.serving.saved_model import export
from r21d_keras.walk import leaf_layers
from r21d_keras.zoo.preprocessing import Preprocessing, crop_frames

IN_A_FRESH_PROCESS = """
import sys, numpy as np, tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
answer = model.signatures["serving_default"](clips=tf.constant(np.load(sys.argv[2])))
np.savez(sys.argv[3], **{name: value.numpy() for name, value in answer.items()})
"""


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """A run and its SavedModel."""
    run, out = tiny_run(), tmp_path_factory.mktemp("exports") / "new"
    assert export(run, out) == str(out / "1")
    return run, out / "1"


def random_clips(shape, seed=0):
    """Smooth clips: noise on every pixel would turn a rounding into another picture."""
    coarse = np.random.default_rng(seed).integers(0, 256, (*shape[:2], 6, 6, 3), dtype=np.uint8)
    return np.stack([resize_clip(clip, shape[2:4]) for clip in coarse])


def keras_answer(run, clips):
    """What the Keras model says, by the preparation that training uses."""
    config, _, model = load_run(run)
    numbers = config.preprocessing
    resized = np.stack([resize_clip(clip, numbers.resize) for clip in clips])
    return model(normalise(center_crop(resized, numbers.crop_size), numbers)).numpy()


def test_it_says_what_the_keras_model_says(exported):
    run, out = exported
    classes = load_run(run)[1]
    loaded = tf.saved_model.load(str(out))
    serve = loaded.signatures["serving_default"]
    for shape in [(2, 4, 36, 40, 3), (1, 4, 64, 64, 3), (3, 4, 20, 90, 3)]:
        clips = random_clips(shape)
        expected = keras_answer(run, clips)
        answer = {name: value.numpy() for name, value in serve(clips=tf.constant(clips)).items()}
        # At the network's own size nothing is resized; else OpenCV's bilinear differs by rounding.
        tolerance = 1e-6 if shape[2:4] == (36, 40) else 2e-3
        np.testing.assert_allclose(answer["probabilities"], expected, atol=tolerance)
        order = np.argsort(-answer["probabilities"], axis=1)[:, :5]
        assert [[name.decode() for name in row] for row in answer["top_labels"]] == [
            [classes[i] for i in row] for row in order
        ]
        scores = np.take_along_axis(answer["probabilities"], order, axis=1)
        np.testing.assert_array_equal(answer["top_scores"], scores)
    assert np.ptp(expected) > 0.1  # not a model that says the same of everything


def test_clips_float_takes_prepared_clips(exported):
    run, out = exported
    loaded = tf.saved_model.load(str(out))
    clips = np.random.default_rng(0).normal(size=(2, 4, 32, 32, 3)).astype(np.float32)
    answer = loaded.signatures["clips_float"](clips=tf.constant(clips))
    expected = load_run(run)[2](clips).numpy()
    np.testing.assert_allclose(answer["probabilities"].numpy(), expected, atol=1e-6)


def test_signatures_are_what_clients_are_told(exported):
    loaded = tf.saved_model.load(str(exported[1]))
    assert set(loaded.signatures) == {*SIGNATURES["rgb"], DESCRIBE}
    pixels = tf.TensorSpec((None, None, None, None, 3), tf.uint8, "clips")
    answer = {
        "probabilities": ("float32", 8),
        "top_labels": ("string", 5),
        "top_scores": ("float32", 5),
        "embedding": ("float32", 64),
    }
    expected = {
        "serving_default": (pixels, answer),
        "clips_float": (tf.TensorSpec((None, None, 32, 32, 3), tf.float32, "clips"), answer),
        "frames_bytes": (tf.TensorSpec((None, None), tf.string, "frames_bytes"), answer),
        "features": (pixels, {"embedding": ("float32", 64)}),
        "describe": (tf.TensorSpec((None,), tf.string, "describe"), {"about": ("string", None)}),
    }
    for name, (given, answered) in expected.items():
        inputs = loaded.signatures[name].structured_input_signature[1]
        assert inputs == {given.name: given}
        outputs = loaded.signatures[name].structured_outputs
        assert {key: (out.dtype.name, out.shape[-1]) for key, out in outputs.items()} == answered


@pytest.mark.parametrize(
    ("variant", "length"), [("r2plus1d_10", 7), ("mc3_10", 2), ("f_r2d_10", 1), ("r2d_10", 4)]
)
def test_clip_length_is_free_except_for_r2d(tiny_run, tmp_path, variant, length):
    run = tiny_run(variant=variant)
    export(run, tmp_path)
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    free = serve.structured_input_signature[1]["clips"].shape[1] is None
    assert free == (variant != "r2d_10")
    answer = serve(clips=tf.constant(random_clips((2, length, 36, 40, 3))))
    assert answer["probabilities"].shape == (2, 8)


def test_few_classes_have_as_many_labels(tiny_run, tmp_path):
    export(tiny_run(classes=("yes", "no")), tmp_path)
    serve = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    answer = serve(clips=tf.constant(random_clips((1, 4, 36, 40, 3))))
    assert {name.decode() for name in answer["top_labels"].numpy()[0]} == {"yes", "no"}


def test_a_fresh_process_and_a_tf1_session_agree(exported, tmp_path):
    run, out = exported
    clips = random_clips((2, 4, 36, 40, 3))
    np.save(tmp_path / "clips.npy", clips)
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS, out, tmp_path / "clips.npy"]
    subprocess.run([*command, tmp_path / "answer.npz"], check=True, timeout=120)
    with np.load(tmp_path / "answer.npz") as fresh:
        np.testing.assert_allclose(fresh["probabilities"], keras_answer(run, clips), atol=1e-6)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], str(out))
        signature = graph.signature_def["serving_default"]
        names = {key: signature.outputs[key].name for key in ("probabilities", "top_labels")}
        answer = session.run(names, {signature.inputs["clips"].name: clips})
    np.testing.assert_allclose(answer["probabilities"], keras_answer(run, clips), atol=1e-6)
    assert answer["top_labels"].shape == (2, 5)


def test_every_weight_is_written_once(exported):
    run, version = exported
    written = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    shapes = written.get_variable_to_shape_map().values()
    model = load_run(run)[2]
    norms = sum(isinstance(la, keras.layers.BatchNormalization) for la, _ in leaf_layers(model))
    # Of each normalisation's four one is left, the bias; TensorFlow adds its graph of objects.
    assert len(shapes) == len(model.weights) - 3 * norms + 1


def test_metadata_tells_a_reader_what_the_model_wants(exported):
    run, out = exported
    config, classes, _ = load_run(run)
    about = json.loads((out / METADATA).read_text("utf-8"))
    assert about["variant"] == "r2plus1d_10"
    assert about["clip_frames"] == 4
    assert about["classes"] == list(classes)
    assert about["preprocessing"] == {
        "frame_rate": 15.0,
        "resize": [36, 40],
        "crop_size": 32,
        "scale": 255.0,
        "mean": list(config.mean),
        "std": list(config.std),
    }
    assert (out / CLASSES).read_text("utf-8").splitlines() == list(classes)


def test_weights_that_are_not_finite_are_refused(tiny_run, tmp_path):
    run = tiny_run()
    model = load_run(run)[2]
    model.layers[-1].set_weights([value * np.nan for value in model.layers[-1].get_weights()])
    save_weights(model, run / "final.weights.h5")
    with pytest.raises(ValueError, match="final weights are not all finite"):
        export(run, tmp_path / "exports")
    assert not (tmp_path / "exports").exists()


@pytest.mark.parametrize(
    "file", ["saved_model.pb", "variables/variables.data-00000-of-00001", METADATA.as_posix()]
)
def test_a_damaged_export_is_named(exported, motion_videos, tmp_path, file, capsys):
    version = shutil.copytree(exported[1], tmp_path / "1")
    (version / file).write_bytes((version / file).read_bytes()[:99])
    video = str(next(motion_videos.rglob("*.mp4")))
    for command in (["predict", f"--model={version}", video], ["serve-check", str(version)]):
        assert main(command) == 1
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert str(version) in last and "xport " in last and "again" in last


def test_published_weights_are_exported_by_name(published_row, motion_videos, tmp_path):
    row = published_row()
    with pytest.raises(ValueError, match="weights='best' is for the folder of a run alone"):
        export(row.name, tmp_path / "models", weights="best")
    version = export(row.name, tmp_path / "models")
    video = str(next(motion_videos.rglob("*.mp4")))
    found, expected = (predict(load_predictor(model), video, 1) for model in (version, row.name))
    assert found.labels == expected.labels
    np.testing.assert_allclose(found.scores, expected.scores, atol=2e-3)  # rounding, as above


def test_frames_that_keep_their_shape_are_at_most_eight_times_as_long(published_row, tmp_path):
    """Those of a network that resizes the shorter side; in a session, as servers have."""
    row = published_row(preprocessing=Preprocessing(resize=116))
    version, scorer = export(row.name, tmp_path / "models"), load_predictor(row.name).scorer
    asked = [random_clips((1, 16, *size, 3)) for size in ((8, 64), (64, 8))]
    sizes = [row.preprocessing.resized(*clips.shape[2:4]) for clips in asked]
    expected = [
        scorer(resize_clip(clips[0], size)[None]) for clips, size in zip(asked, sizes, strict=True)
    ]
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], version)
        signature = graph.signature_def["serving_default"]
        given, scores = signature.inputs["clips"].name, signature.outputs["probabilities"].name
        found = [session.run(scores, {given: clips}) for clips in asked]
        with pytest.raises(tf.errors.InvalidArgumentError, match="8x65 pixels: .* at most 8 times"):
            session.run(scores, {given: np.zeros((1, 16, 8, 65, 3), np.uint8)})
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("resize", [(36, 40), 24, 33])
@pytest.mark.parametrize("size", [(36, 40), (60, 50), (50, 61), (24, 24), (8, 63)])
def test_the_graph_sees_what_the_zoo_does(resize, size):
    """A number to resize to is the shorter side's, as GluonCV has it."""
    numbers = Preprocessing(resize=resize, crop_size=20)
    frames = random_clips((1, 3, *size, 3))[0]
    found = seen(tf.constant(frames), numbers).numpy()
    assert np.abs(found - crop_frames(frames, numbers)).max() <= 1  # where one rounds up
    assert np.abs(found - crop_frames(frames, numbers)).mean() < 0.03
