"""Fixtures for tests that need a trained run: a plugin that such a test file names."""

import pytest

from r21d_keras.training.motion import CLASSES

ALL_CLASSES = tuple(sorted(CLASSES))  # as a folder of class folders lists them


@pytest.fixture(scope="session")
def motion_videos(tmp_path_factory):
    """Two real video files of each of the eight motions: <folder>/{train,test}/<class>/*.mp4."""
    from r21d_keras.training import motion

    folder = tmp_path_factory.mktemp("motion_videos")
    for seed, subset in enumerate(("train", "test")):
        motion.write_videos(folder / subset, 1, seed)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, motion_videos):
    """A function that writes a run as training leaves it, with random weights, and says where."""
    import keras

    from r21d_keras.training import model_dir
    from r21d_keras.training.recipes import resolve

    def write(classes=ALL_CLASSES, **options):
        folder = model_dir.ModelDir(tmp_path_factory.mktemp("run"))
        options = {
            "dataset": "folder",
            "videos": str(motion_videos),
            "width_multiplier": 0.125,
            "clip_frames": 4,
            "resize_height": 36,
            "resize_width": 40,
            "eval_clips": 2,
            "model_dir": str(folder.root),
            **options,
        }
        config = resolve("demo", overrides=options)
        folder.write_run(config, classes)
        keras.utils.set_random_seed(1)
        model = model_dir.build_model(config, len(classes))
        kernel = model.layers[-1].weights[0]
        kernel.assign(kernel * 20.0)  # so that probabilities differ visibly
        for which in ("best", "final"):
            model_dir.save_weights(model, folder.weights(which))
        return folder.root

    return write
