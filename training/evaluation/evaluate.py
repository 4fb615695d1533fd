"""Accuracy of a run on its test videos, by the paper's protocol or another."""

import contextlib
import dataclasses
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from absl import logging

from ..config import WEIGHTS, ConfigError, TrainConfig, typed, validate
from ..data.catalog import get_dataset
from ..data.counted import counted
from ..data.datasets import load_dataset
from ..data.decoder import LostSourceError
from ..data.listings import Places
from ..data.pipeline import BadVideos
from ..data.video import VideoError
from ..data.video_set import VideoSet
from ..distribution.strategy import in_one_process, make_strategy
from ..remote.copies import fetched, sent
from ..remote.files import check_writable
from ..remote.urls import is_remote
from ..run_folder import ModelDir, run_files
from .multi_label import MultiLabelTally
from .network import Network, load_networks
from .protocols import Protocol, as_json, settled
from .report import Report
from .tally import Tally
from .viewing import Viewing

PROGRESS_S = 10.0  # seconds between two lines on how far the evaluation has come


def evaluate(
    model_dir: str | os.PathLike,
    protocol: Protocol | None = None,
    weights: str = WEIGHTS[0],
    places: Mapping[str, str] | None = None,
    out: str | os.PathLike | None = None,
) -> dict:
    """Evaluates a run on its test videos; each counts once.

    By default `eval_clips` of the run, evenly spaced centre-crop clips of a video, are classified
    and their softmax averaged (section 4.1 of the paper; VMZ c2/tools/test_net.py). Writes
    evaluation.json, predictions.csv, per_class.csv, reliability.png and, where videos have one
    label each, confusion.png: all or none. Every GPU, or config.num_cpu_replicas, has a copy of
    the network and is shown videos of its own.

    Args:
        model_dir: the folder of a run, here or at a URL.
        protocol: how videos are shown; None: Protocol(), the above.
        weights: one of config.WEIGHTS.
        places: values of videos, splits, manifest, records, where they are others than in training.
            Where they name any of the first three and no records, no records are read, even if the
            run was trained on some.
        out: the folder for the files, here or at a URL; None: `model_dir`.

    Returns:
        What evaluation.json holds: accuracies, calibration, number of videos, those skipped and
        missing, the protocol.

    Raises:
        ConfigError: no run, a file where `out` is to be, a protocol that it cannot do, other
            classes than those of training, or no readable test video.
        VideoError: a video that fails in mid-run, with on_bad_video="stop".
        RemoteError: a server that does not give the run, or take the results.
    """
    if out and not is_remote(out):
        _check_out(Path(out))
    out = out or model_dir
    if is_remote(out):
        check_writable(os.fspath(out))
    with fetched(model_dir, run_files(weights)) as run, sent(out) as results:
        return _evaluate(run, protocol or Protocol(), weights, places or {}, ModelDir(results))


def _evaluate(
    model_dir: Path, protocol: Protocol, weights: str, places: Mapping[str, str], folder: ModelDir
) -> dict:
    config, classes = ModelDir(model_dir).read_run()
    config = dataclasses.replace(config, **_settled_places(places))
    validate(config)
    networks, protocol = _prepared(model_dir, protocol, weights, config)
    videos = load_dataset(config, "test")
    _check_classes(classes, videos)
    with contextlib.ExitStack() as stack:
        report = stack.enter_context(Report(folder, classes, bool(videos.label_sets)))
        tally = Tally(classes)
        if videos.label_sets:
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder.root))
            tally = MultiLabelTally(classes, file)
        viewing = Viewing(networks, videos, config, protocol)
        skipped = _answer(viewing, tally, report)
        text = json.dumps(_result(viewing, tally, skipped, weights), indent=2)
        report.finish(tally, f"{text}\n")
    return json.loads(text)


def summary(result: dict) -> str:
    """The accuracies of an evaluation in one line, with what they were measured on."""
    rates = ", ".join(f"{name} {value:.1%}" for name, value in result["accuracy"].items())
    ece = f"ECE {result['calibration']['ece']:.1%}"
    shown = videos_shown(result["videos"], len(result["skipped"]), len(result["missing"]))
    return f"{rates}, {ece} ({shown}, {protocol_shown(result['protocol'])})"


def videos_shown(videos: int, skipped: int, missing: int) -> str:
    """The number of videos that were tested on, and of those that were not."""
    left_out = f", {skipped} skipped" * (skipped > 0) + f", {missing} missing" * (missing > 0)
    return f"{counted(videos, 'videos')}{left_out}"


def protocol_shown(protocol: Mapping) -> str:
    """The protocol of an evaluation in a few words."""
    if protocol["name"] == "dense":
        return f"dense, clips every {protocol['stride']} frames"
    crops = f", crops a clip: {protocol['num_crops']}" if protocol.get("num_crops") == 3 else ""
    return f"clips a video: {protocol['clips_per_video']}{crops}"


def _check_out(out: Path) -> None:
    """What is in the way is found before hours of videos."""
    file = next((path for path in (out, *out.parents) if path.exists() and not path.is_dir()), None)
    if file:
        raise ConfigError(f"out={str(out)!r}: {file} is a file; expected a folder for the results.")


def _settled_places(places: Mapping[str, str]) -> dict:
    """`places`; without records where they say where videos or lists are, and name no records."""
    of_videos = any(places.get(field.name) for field in dataclasses.fields(Places))
    return {"records": ""} | typed(places) if of_videos else typed(places)


def _prepared(
    model_dir: str | os.PathLike, protocol: Protocol, weights: str, config: TrainConfig
) -> tuple[list[Network], Protocol]:
    """A network for each device, ready for the protocol, of which nothing is left open."""
    devices = make_strategy(in_one_process(config)).extended.worker_devices
    networks = load_networks(model_dir, weights, protocol, devices)
    protocol = settled(protocol, config, networks[0].reach)
    if protocol.overlap == "share":
        for network in networks:
            network.prepare_blocks()
    return networks, protocol


def _answer(viewing: Viewing, tally: Tally, report: Report) -> list[tuple[str, str]]:
    """Counts and reports each video; (path, reason) of those that cannot be read."""
    videos, bad, said_s = viewing.videos, BadVideos(), time.monotonic()
    for index, scores in viewing.scores():
        if isinstance(scores, VideoError):
            if viewing.config.on_bad_video == "stop" or isinstance(scores, LostSourceError):
                raise scores
            bad.add(scores)
            continue
        labels = videos.label_sets[index] if videos.label_sets else (videos.labels[index],)
        report.add(videos.names[index], labels, tally.add(labels, scores), scores.mean)
        if time.monotonic() - said_s > PROGRESS_S:
            logging.info("Evaluated %d of %d videos.", tally.videos, len(videos))
            said_s = time.monotonic()
    skipped = [*videos.left_out, *bad.files]
    if not tally.videos:
        reasons = "; ".join(": ".join(item) for item in skipped[:3])
        raise ConfigError(
            f"None of the {len(skipped)} test videos could be read. Expected at least one: "
            f"replace them. {reasons}"
        )
    return skipped


def _check_classes(classes: tuple[str, ...], videos: VideoSet) -> None:
    if tuple(videos.classes) != classes:
        differing = sorted(set(videos.classes) ^ set(classes)) or "the order"
        raise ConfigError(
            f"The test videos have other classes than the run: {differing} differ. Expected "
            f"{len(classes)} classes as in the run's classes.txt. Evaluate on the data set of the "
            "training."
        )


def _result(viewing: Viewing, tally: Tally, skipped: list[tuple[str, str]], weights: str) -> dict:
    """What evaluation.json holds."""
    config = viewing.config
    splits = get_dataset(config.dataset).splits
    return {
        "accuracy": tally.rates(),
        "calibration": tally.calibration.as_json(),
        "videos": tally.videos,
        "skipped": [{"video": path, "reason": reason} for path, reason in skipped],
        "missing": list(viewing.videos.missing),
        "protocol": as_json(viewing.protocol, config, viewing.networks[0].reach),
        "variant": config.variant,
        "stream": config.stream,
        "dataset": config.dataset,
        "split": config.split if len(splits) > 1 else None,
        "source": "records" if config.records else "videos",
        "weights": weights,
        "classes": list(tally.classes),
        **tally.as_json(),
    }
