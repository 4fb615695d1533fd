"""Two workers that train in microbatches, clipped, with blocks computed again: as one process."""

from r21d_keras.training.model_dir import load_run
from r21d_keras.training.recipes import resolve
from r21d_keras.training.train import train
from tests.conftest import SMALL_RUN
from tests.loops import largest_difference, moved
from tests.workers import tf_configs, train_together

OPTIONS = {
    **SMALL_RUN,
    "variant": "f_r2d_10",
    "crop_size": 32,
    "clips_per_epoch": 8,  # of batches of 4: a short one would be cut by the replicas
    "base_learning_rate": 2e-3,  # rounding does not grow yet
    "dropout": 0.25,
    "num_readers": 1,
    "validate_every": 0,
    "gradient_accumulation_steps": 2,
    "global_clipnorm": 0.5,
    "rematerialize": True,
    "worker_timeout_s": 300.0,
}


def test_two_workers_are_as_one_process(tiny_videos, tmp_path):
    options = {**OPTIONS, "videos": str(tiny_videos)}
    (pair, run), alone = train_together(options, tf_configs(2), tmp_path / "two"), tmp_path / "one"
    plain = {"strategy": "one", "rematerialize": False, "model_dir": str(alone)}
    train(resolve("demo", overrides=options | plain))
    (first, _), (second, _) = pair
    assert largest_difference(first, second) == 0.0
    weights = [load_run(folder)[2].get_weights() for folder in (run, alone)]
    assert largest_difference(*weights) < 1e-5 < 5e-5 < moved(alone)
