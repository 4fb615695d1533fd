"""Whether all workers are of one mind before they train: options, data, versions."""

import json
import os
import platform
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from r21d_keras import __version__

from ..config import FIELDS, ConfigError, TrainConfig
from .workers import Workers

OWN = {"data_service", "model_dir", "num_readers", "worker_timeout_s"}
"""Options in which workers may differ: where a run is kept is the chief's alone."""


def agree(workers: Workers, config: TrainConfig, data: Mapping[str, Mapping]) -> None:
    """Compares what each worker is about to do with what all others are. All have to call it.

    `data` is as `resume.describe_data` has it. Folders may lie elsewhere on each machine, and hold
    the same videos.

    Raises:
        ConfigError: on every worker, if one differs from the chief; it says in what.
    """
    if len(workers) == 1:
        return
    mine = {**_options(config), **_data(data), **_versions()}
    chief, *others = map(json.loads, workers.exchange(json.dumps(mine)))
    differences = [
        f"{name} is {chief.get(name)!r} on {workers.name(0)} and {other.get(name)!r} on "
        f"{workers.name(number)}"
        for number, other in enumerate(others, 1)
        for name in chief | other
        if chief.get(name) != other.get(name)
    ]
    if differences:
        raise ConfigError(
            f"The workers do not agree: {'; '.join(differences)}. Start all of them with the same "
            "options, data and versions."
        )


def _options(config: TrainConfig) -> dict:
    values = {name: getattr(config, name) for name in FIELDS if name not in OWN}
    for name, value in values.items():
        if "path" in FIELDS[name].metadata and value and os.path.exists(value):
            values[name] = "a file or folder"
    return values


def _data(data: Mapping[str, Mapping]) -> dict:
    return {
        f"{key} of the {subset} set": value
        for subset, numbers in data.items()
        for key, value in numbers.items()
    }


def _versions() -> dict:
    """What the same weights may depend on, and the GPUs, of which each has to have as many."""
    return {
        "Python": platform.python_version_tuple()[:2],
        "r21d_keras": __version__,
        "TensorFlow": tf.__version__,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
        "number of GPUs": len(tf.config.list_physical_devices("GPU")),
    }
