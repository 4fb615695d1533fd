"""Training from a configuration to weights: `r21d train`.

    r21d train --recipe=demo --model_dir=runs/motion

trains a narrow R(2+1)D-10 on the built-in data set. Called again with the same --model_dir it
continues where it is kept and ends with the same weights as if it had not stopped.
"""

import contextlib
import json
from collections.abc import Callable, Iterable

import keras
from absl import logging

from .callbacks.history import HistoryFile
from .callbacks.keep import KeepState
from .callbacks.pictures import Curves
from .callbacks.progress import Progress
from .callbacks.watching import Watching
from .config import ConfigError, TrainConfig, validate
from .data.pipeline import BadVideos, clips_in_epoch, train_batches, validation_batches
from .data.video_set import VideoSet
from .distribution.agreement import agree
from .distribution.slices import Part
from .distribution.strategy import make_strategy
from .distribution.workers import Workers
from .endings import endings
from .found import Found, look
from .history import read_history
from .loop import Loop
from .model_dir import build_model, save_weights
from .optimization.schedule import make_schedule
from .optimization.stages import stage_factors, stage_of, trained_layers
from .records.service import service_batches
from .run_folder import ModelDir, write_text
from .start import Start, freeze, load_start
from .state.checkpoints import RunState
from .state.worker_folder import own_folder


def train(config: TrainConfig, callbacks: Iterable[keras.callbacks.Callback] = ()) -> dict:
    """Trains, or continues, the run of `config` in config.model_dir.

    Args:
        config: what to train; see TrainConfig.
        callbacks: any more keras.callbacks. They see a compiled model that shares the network's
            layers; setting its `stop_training` ends the run after the epoch.

    Returns:
        The last epoch's metrics by name (loss, accuracy, learning_rate, val_loss, val_accuracy)
        and best_val_accuracy, if ever validated.

    Raises:
        ConfigError: values that cannot be run, or values or data that are not those of the run in
            model_dir, or of another worker; a model_dir that cannot be made, or in which another
            process trains.
        ValueError: data or weights that are not as expected.
        DivergedError: if the loss or a weight is not finite.
        VideoError: a video that fails in mid-run, with on_bad_video="stop".
        WorkerLostError: with several workers, if another never came or has ended.
        OSError: if the state cannot be kept, as on a full disk.
        Preempted, KeyboardInterrupt: if SIGTERM or Ctrl-C has asked the run to end; it is kept.
    """
    validate(config)
    if not config.model_dir:
        raise ConfigError("model_dir='': expected the folder in which the run is kept.")
    strategy = make_strategy(config)
    workers = Workers(strategy)
    with workers.noticing_losses(), contextlib.ExitStack() as held:
        with workers.failing_together():
            folder = held.enter_context(own_folder(config, workers))
            found = look(config, folder, workers)
        with workers.failing_together():  # who ended first would be lost to the others
            agree(workers, config, found.data)
        logs = _train(config, folder, strategy, found, callbacks)
        workers.leave()  # who ends before the others have saved would be lost to them
        return logs


def _train(config: TrainConfig, folder: ModelDir, strategy, found: Found, callbacks) -> dict:
    videos, test_videos, workers = found.videos, found.test_videos, Workers(strategy)
    loop = _make_loop(config, strategy, videos, found.start)
    found.start = None
    state, bad_videos = RunState(loop, folder, found.data), BadVideos()
    with workers.failing_together():
        state.restore()
    state.share(workers)
    write_text(folder.data, json.dumps(found.data, indent=2) + "\n")
    folder.write_run(config, videos.classes)
    listeners = [*callbacks, KeepState(loop, state, folder)]
    clips = clips_in_epoch(videos, config)
    if workers.is_chief:
        listeners = _of_chief(listeners, folder, loop.place.epochs, clips)
    watching = Watching(loop, folder, clips, bool(test_videos), workers.is_chief)
    with watching, endings(loop, state, videos, bad_videos, workers) as interrupted:
        logs = loop.run(
            lambda epoch, step=0: _batches(videos, config, epoch, bad_videos, step, workers.part),
            test_videos and _validation(loop, test_videos, bad_videos, workers.part, watching),
            [*watching.callbacks, *listeners],
            interrupted,
        )
        _finish(loop, folder, validated=state.best_accuracy >= 0)
    _report_bad(videos, test_videos, bad_videos)
    logs = logs or (_last_logs(folder) if workers.is_chief else {})
    if state.best_accuracy >= 0:
        logs["best_val_accuracy"] = state.best_accuracy
    return logs


def _batches(videos, config: TrainConfig, epoch: int, bad_videos, step: int, part: Part):
    """What is left of an epoch from `step` on, for the replicas of `part`."""
    if config.data_service:
        return service_batches(videos, config, epoch, bad_videos, step, part)
    return train_batches(videos, config, epoch, bad_videos, step, part)


def _of_chief(listeners: list, folder: ModelDir, first_epoch: int, clips_per_epoch: int) -> list:
    """`listeners`, of which KeepState is the last, among those that write down what they see."""
    *others, keep = listeners
    return [
        HistoryFile(folder.history, first_epoch),
        keras.callbacks.TensorBoard(str(folder.events), write_graph=False),
        *others,
        Progress(clips_per_epoch),
        keep,
        Curves(folder),
    ]


def _make_loop(config: TrainConfig, strategy, videos: VideoSet, start: Start | None) -> Loop:
    keras.utils.set_random_seed(config.seed)
    steps = -(-clips_in_epoch(videos, config) // config.global_batch_size)
    schedule = make_schedule(config, steps)
    with _precision(config.precision):
        with strategy.scope():
            model = build_model(config, len(videos.classes))
        if start:  # on the chief alone: outside of the scope, in which all make the same variables
            load_start(model, config, start, videos.classes)
        freeze(model, config.freeze_until)
    with strategy.scope(), _precision(config.precision):
        loop = Loop(model, schedule, strategy, config)
    _log_network(model, config, videos)
    return loop


def _log_network(model: keras.Model, config: TrainConfig, videos: VideoSet) -> None:
    layers = trained_layers(model, config)
    trained = [weight for layer in layers for weight in layer.trainable_weights]
    logging.info(
        "%s: %s parameters, %s of them trained; %d classes; %d videos, %d clips an epoch.",
        config.variant,
        f"{model.count_params():,}",
        f"{sum(int(weight.shape.num_elements()) for weight in trained):,}",
        len(videos.classes),
        len(videos),
        clips_in_epoch(videos, config),
    )
    stages, factors = {stage_of(model, layer) for layer in layers}, stage_factors(config)
    if any(factors[stage] != 1.0 for stage in stages):
        text = ", ".join(f"{stage} {factors[stage]:.3g}" for stage in factors if stage in stages)
        logging.info("Learning rates over the schedule's: %s.", text)


@contextlib.contextmanager
def _precision(name: str):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(name)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _validation(
    loop: Loop, videos: VideoSet, bad_videos: BadVideos, part: Part, watching: Watching
) -> Callable[[], dict[str, float]]:
    """Loss and accuracy of the middle clip of each video, once each."""
    batches = validation_batches(videos, loop.config, bad_videos, part)
    return lambda: loop.evaluate(batches, watching.validated)


def _finish(loop: Loop, folder: ModelDir, validated: bool) -> None:
    with loop.final_weights() as model:
        save_weights(model, folder.weights("final"))
        if not validated:
            logging.warning("Never validated: best.weights.h5 is the last epoch's.")
            save_weights(model, folder.weights("best"))


def _report_bad(videos: VideoSet, test_videos: VideoSet | None, bad_videos: BadVideos) -> None:
    """Names every file that the run went without."""
    left_out = {*videos.left_out, *(test_videos.left_out if test_videos else ())}
    for path, reason in sorted({*left_out, *bad_videos.files}):
        logging.warning("Could not be read: %s: %s", path, reason)
    if left_out:
        logging.warning("%d videos were left out from the start.", len(left_out))
    if bad_videos:
        logging.warning("%d videos could not be read in mid-run.", len(bad_videos))


def _last_logs(folder: ModelDir) -> dict[str, float]:
    row = read_history(folder.history)[-1]
    return {name: float(text) for name, text in row.items() if text and name != "epoch"}
