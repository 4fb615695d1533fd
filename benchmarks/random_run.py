"""A run of full size without a training, for measurements of what does not depend on one.

Weights are random, yet what flows through them is of the size that it has in a trained network: the
statistics of the normalisations are those of given clips, and scores are neither flat nor certain.
"""

import pathlib

import keras
import numpy as np

CLASSES = tuple(f"class {number}" for number in range(400))
CLIP = {"clip_frames": 16, "crop_size": 112, "resize_height": 128, "resize_width": 171}
SPREAD = 3.0  # standard deviation of a clip's logits: the best of 400 scores is 0.1 to 0.9


def write_random_run(
    folder: pathlib.Path, variant: str, videos: pathlib.Path, num_clips: int = 8, **options
) -> None:
    """Writes the folder of a run, as training leaves it.

    Args:
        videos: a folder of videos, of which `num_clips` clips are seen.
        options: over a run's; by default clips of 16x112x112 and full width.
    """
    from r21d_keras.training import model_dir
    from r21d_keras.training.data.pipeline import normalise
    from r21d_keras.training.formats.calibration import calibration_clips, videos_of
    from r21d_keras.training.recipes import resolve
    from r21d_keras.training.serving.servable import servable_of_run

    run = model_dir.ModelDir(folder)
    given = {"dataset": "folder", "videos": str(videos), "num_cpu_replicas": 1, "dropout": 0.0}
    places = {"model_dir": str(folder), "variant": variant}
    config = resolve(
        "demo", overrides={"width_multiplier": 1.0, **CLIP, **given, **places} | options
    )
    run.write_run(config, CLASSES)
    keras.utils.set_random_seed(0)
    model = model_dir.build_model(config, len(CLASSES))
    model_dir.save_weights(model, run.weights("final"))
    servable = servable_of_run(folder, "final")
    clips = np.concatenate(calibration_clips(servable, videos_of([videos]), num_clips))
    _adapt(model, normalise(clips, config.preprocessing))
    model_dir.save_weights(model, run.weights("final"))


def _adapt(model: keras.Model, clips) -> None:
    """Takes statistics from the clips (N, T, H, W, C), and spreads their logits."""
    from r21d_keras.walk import leaf_layers

    for layer, _ in leaf_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(clips, training=True)
    features = keras.Model(model.input, model.get_layer("avgpool").output)(clips, training=False)
    kernel, bias = model.get_layer("fc").get_weights()
    logits = np.asarray(features) @ kernel  # (N, K)
    model.get_layer("fc").set_weights([kernel * SPREAD / logits.std(axis=1).mean(), bias])
