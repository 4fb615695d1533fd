"""A small run and what is made of it, written and read; a process of another stack does the same.

python -m tests.stack_files write FOLDER
python -m tests.stack_files read FOLDER
"""

import pathlib
import sys

import numpy as np
import tensorflow as tf

CLASSES = ("left", "right", "still")
NETWORKS = {"paper": "r2plus1d_10", "torchvision": "mc3_10"}
"""Variants by the convention they are in."""
TOLERANCE = 1e-5  # of probabilities, between two builds of TensorFlow


def some_clips(config) -> np.ndarray:
    """Two clips of noise as a client sends them: uint8 (2, T, H, W, 3)."""
    shape = (2, config.clip_frames, config.resize_height, config.resize_width, 3)
    clips = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    clips[1] //= 4  # the second in the dark
    return clips


def write(folder: pathlib.Path) -> None:
    """Makes a run of each of NETWORKS, exports it, and keeps what it answers."""
    import keras

    from r21d_keras.training.model_dir import ModelDir, build_model, save_weights
    from r21d_keras.training.recipes import resolve
    from r21d_keras.training.serving.saved_model import export
    from r21d_keras.zoo import preprocess_input

    for name, variant in NETWORKS.items():
        run = ModelDir(folder / name)
        run.root.mkdir()
        options = {"variant": variant, "convention": name, "clip_frames": 4}
        config = resolve("demo", overrides={**options, "model_dir": str(run.root)})
        run.write_run(config, CLASSES)
        keras.utils.set_random_seed(1)
        model = build_model(config, len(CLASSES))
        for place, weight in enumerate(model.weights):  # no statistics of 0 and 1
            draw = np.random.default_rng(place)
            weight.assign(weight + 0.02 * draw.uniform(0.0, 1.0, weight.shape))
        clips = some_clips(config)
        logits = np.asarray(model(preprocess_input(clips, config.preprocessing)))
        for weight in model.layers[-1].weights:  # answers between 0 and 1
            weight.assign(4.0 * weight / np.ptp(logits))
        save_weights(model, run.weights("final"))
        export(run.root, run.root / "export")
        np.save(run.root / "answers.npy", answers_of_run(run.root, clips))
        exported = answers_of_export(run.root / "export" / "1", clips)
        np.testing.assert_allclose(exported, np.load(run.root / "answers.npy"), atol=TOLERANCE)


def read(folder: pathlib.Path) -> None:
    """Checks that the runs and exports of another process answer here what they did there."""
    from r21d_keras.training.model_dir import load_run

    for name in NETWORKS:
        expected = np.load(folder / name / "answers.npy")
        assert np.ptp(expected) > 0.01, "answers that tell nothing"
        config, classes, _ = load_run(folder / name)
        assert classes == CLASSES
        clips = some_clips(config)
        for kind, found in (
            ("weights", answers_of_run(folder / name, clips)),
            ("SavedModel", answers_of_export(folder / name / "export" / "1", clips)),
        ):
            np.testing.assert_allclose(found, expected, atol=TOLERANCE, err_msg=f"{name} {kind}")


def answers_of_run(root, clips) -> np.ndarray:
    """Probabilities (2, K) by the final weights of a run."""
    from r21d_keras.training.model_dir import load_run
    from r21d_keras.zoo import preprocess_input

    config, _, model = load_run(root)
    ready = preprocess_input(clips, config.preprocessing)
    return tf.convert_to_tensor(model(ready, training=False)).numpy()


def answers_of_export(path, clips) -> np.ndarray:
    """Probabilities (2, K) by a SavedModel."""
    loaded = tf.saved_model.load(str(path))  # whose variables go when it goes
    serving = loaded.signatures["serving_default"]
    (name,) = serving.structured_input_signature[1]
    return serving(**{name: tf.constant(clips)})["probabilities"].numpy()


if __name__ == "__main__":
    {"write": write, "read": read}[sys.argv[1]](pathlib.Path(sys.argv[2]))
