"""One training in a process of its own, for the benchmarks that train several networks."""

import multiprocessing
import pathlib
import statistics
import time
from concurrent.futures import ProcessPoolExecutor

from absl import logging


def in_fresh_process(function, *arguments):
    """What `function(*arguments)` returns, called in a process that has done nothing before."""
    spawn = multiprocessing.get_context("spawn")  # a fork of TensorFlow's threads would hang
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(function, *arguments).result()


def train_and_evaluate(recipe: str, overrides: dict) -> dict:
    """Trains a run and evaluates its final weights.

    Returns:
        evaluation.json's content; of the training: minutes (data sets opened, compilation and
        validation included), epochs, and epoch_s, the seconds of each epoch without its
        validation.
    """
    from r21d_keras.training.evaluation.evaluate import evaluate
    from r21d_keras.training.history import read_history
    from r21d_keras.training.recipes import resolve
    from r21d_keras.training.train import train

    logging.set_verbosity(logging.INFO)
    config, start = resolve(recipe, overrides=overrides), time.monotonic()
    train(config)
    minutes = (time.monotonic() - start) / 60
    rows = read_history(pathlib.Path(config.model_dir) / "history.csv")
    return {
        **evaluate(config.model_dir),
        "minutes": minutes,
        "epochs": config.epochs,
        "epoch_s": [float(row["seconds"]) for row in rows],
    }


def typical_epoch_s(result: dict) -> float:
    """Seconds of an epoch, the first left out, in which TensorFlow compiles."""
    return statistics.median(result["epoch_s"][1:] or result["epoch_s"])
