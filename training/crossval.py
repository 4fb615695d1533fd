"""Every official split trained and evaluated, and the mean: how UCF101 and HMDB51 are reported."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from statistics import fmean

import keras
from absl import logging

from .config import FIELDS, ConfigError, TrainConfig
from .data.catalog import DATASETS
from .data.datasets import load_dataset
from .data.listings import SUBSETS
from .evaluation.evaluate import evaluate, protocol_shown, videos_shown
from .origins import begun_from
from .recipes import given_values, resolve
from .run_folder import ModelDir, write_text
from .start import find_start
from .state.resume import check_resumable
from .state.run_lock import sole_writer
from .train import train

RESULT = "crossval.json"
_FOLDER = "split_{}"  # of one split's run


def split_configs(
    root: str, recipe: str = "default", config_file: str = "", overrides: Mapping | None = None
) -> dict[int, TrainConfig]:
    """The configuration of each official split's run, in the folder `root`/split_N.

    Args:
        root: folder of all the runs.
        recipe, config_file, overrides: as for `resolve`. Where `init_from` is the folder of a cross
            validation, each split starts from its own run there.

    Raises:
        ConfigError: as `resolve`; a data set of one split; `split`, which is no choice here; a
            strategy of several processes.
    """
    if "split" in (overrides or {}):
        raise ConfigError(
            f"split={overrides['split']!r}: a cross validation has all of them. Leave it out; "
            "`r21d train` trains one."
        )
    given = given_values(config_file, overrides)
    config = resolve(recipe, overrides=_places(root, given, 1))
    _check_strategy(config)
    dataset = config.dataset
    splits = DATASETS[dataset].splits
    if len(splits) < 2:
        several = ", ".join(row.name for row in DATASETS.values() if row.splits[1:])
        raise ConfigError(
            f"dataset={dataset!r} has one split; expected one of several: {several}. `r21d train` "
            "and `r21d evaluate` do the one."
        )
    return {
        split: resolve(recipe, overrides=_places(root, given, split) | {"split": split})
        for split in splits
    }


def crossval(root: str, configs: Mapping[int, TrainConfig]) -> dict:
    """Trains and evaluates the run of each split, one after the other.

    Called again with the same configurations it goes on where it was; splits that are finished are
    not trained again. Writes crossval.json into `root` after each split.

    Args:
        root: folder of all the runs.
        configs: as `split_configs` gives them.

    Returns:
        What crossval.json holds: for each split its accuracies, how many videos were tested on,
        skipped and missing, the protocol and the folder, and the mean of the accuracies.

    Raises:
        ConfigError: a folder holds a run of another configuration, another process works in `root`,
            or a split has lists, videos or records that are not as expected; nothing has been
            trained then. Otherwise as `train` and `evaluate`.
    """
    folder = pathlib.Path(root)
    for config in configs.values():
        started = check_resumable(ModelDir(pathlib.Path(config.model_dir)), config)
        if config.init_from and not started:
            find_start(config)
    with sole_writer(folder):
        path = folder / RESULT
        results = _finished(_read(path), configs)
        for split, config in configs.items():
            if split not in results:
                _check_videos(split, config)
        for split, config in configs.items():
            if split not in results:
                results[split] = _run(split, config)
            result = _summed(results, configs)
            write_text(path, json.dumps(result, indent=2) + "\n")
    return result


def summary(result: Mapping) -> str:
    """A cross validation as a line for each split and one for their mean."""
    lines = [
        f"split {split}: {_rates(entry['accuracy'])} ({_videos(entry)}, "
        f"{protocol_shown(entry['protocol'])})"
        for split, entry in result["splits"].items()
    ]
    return "\n".join([*lines, f"mean:    {_rates(result['mean'])}"])


def _videos(entry: Mapping) -> str:
    return videos_shown(entry["videos"], entry["skipped"], entry["missing"])


def _places(root: str, given: Mapping, split: int) -> dict:
    """`given` with what differs between the splits' runs."""
    own = {"model_dir": str(pathlib.Path(root, _FOLDER.format(split)))}
    if given.get("init_from"):
        start = pathlib.Path(given["init_from"], _FOLDER.format(split))
        if start.is_dir() or begun_from(str(start), own["model_dir"]):
            own["init_from"] = str(start)
    return {**given, **own}


def _check_strategy(config: TrainConfig) -> None:
    if config.strategy == "multi_worker_mirrored":
        raise ConfigError(
            f"strategy={config.strategy!r}: a cross validation trains in one process. Leave "
            "it out, or train each split by `r21d train`."
        )


def _check_videos(split: int, config: TrainConfig) -> None:
    """Checks what is trained and tested on: the last split is reached after days."""
    for subset in SUBSETS:
        try:
            load_dataset(config, subset)
        except ValueError as error:
            raise ConfigError(f"split {split}: {error}") from None


def _run(split: int, config: TrainConfig) -> dict:
    logging.info("Split %d: %s.", split, config.model_dir)
    train(config)
    result = evaluate(config.model_dir)
    keras.backend.clear_session()  # of its networks, before the next split's
    return {
        "accuracy": result["accuracy"],
        "videos": result["videos"],
        "skipped": len(result["skipped"]),
        "missing": len(result["missing"]),
        "protocol": result["protocol"],
        "model_dir": pathlib.Path(config.model_dir).name,
        "configuration": _hash(config),
    }


def _finished(before: Mapping, configs: Mapping[int, TrainConfig]) -> dict[int, dict]:
    """The results of the splits that are finished with their very configuration."""
    found = {}
    for split, config in configs.items():
        entry = before.get("splits", {}).get(str(split), {})
        folder = ModelDir(pathlib.Path(config.model_dir))
        there = folder.weights("final").is_file() and folder.evaluation.is_file()
        if there and entry.get("configuration") == _hash(config):
            logging.info("Split %d: finished before; %s.", split, _rates(entry["accuracy"]))
            found[split] = entry
    return found


def _hash(config: TrainConfig) -> str:
    """Of all that decides a split's numbers: options of a run that are free decide none.

    But the number of clips in evaluation is free to change on a run, and decides.
    """
    values = dataclasses.asdict(config)
    free = {name for name in FIELDS if FIELDS[name].metadata.get("resume") == "free"}
    kept = {name: values[name] for name in values if name not in free - {"eval_clips"}}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _summed(results: Mapping[int, dict], configs: Mapping[int, TrainConfig]) -> dict:
    """What crossval.json holds: the mean is of all splits, and null before they are finished."""
    config = next(iter(configs.values()))
    mean = None
    if len(results) == len(configs):
        names = next(iter(results.values()))["accuracy"]
        mean = {
            name: fmean(entry["accuracy"][name] for entry in results.values()) for name in names
        }
    return {
        "dataset": config.dataset,
        "variant": config.variant,
        "stream": config.stream,
        "clip_frames": config.clip_frames,
        "splits": {str(split): results[split] for split in sorted(results)},
        "mean": mean,
    }


def _read(path: pathlib.Path) -> dict:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}). Remove it: splits that are finished are evaluated "
            "again, not trained again."
        ) from None


def _rates(accuracy: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items())
