"""Whether a run may be continued: what may have changed since, and what may not."""

import hashlib
import json
import os
from collections.abc import Mapping

from absl import logging

from ..config import FIELDS, ConfigError, TrainConfig
from ..data.video_set import VideoSet
from ..run_folder import ModelDir
from .header import DAMAGED, Header, may_differ, read_header
from .shelf import Shelf


def check_resumable(folder: ModelDir, config: TrainConfig) -> bool:
    """Whether `folder` holds a run of `config` of which a state is kept.

    Raises:
        ConfigError: if it holds a run of another configuration; the message names the options.
            Those that do not change the weights may differ, and epochs may have grown.
    """
    shelf = Shelf(str(folder.checkpoints))
    kept = [shelf.prefix(place) for place in shelf.places()]
    if folder.config.is_file():
        before, _ = folder.read_run()
        _check_config(f"{folder.root} holds a run", before, config)
        _tell_of_stretching(before, config)
    for prefix in kept:
        try:
            header = read_header(prefix)
        except ConfigError:
            raise
        except DAMAGED:  # told when the state is restored
            continue
        check_header(prefix, header, config)
        break
    return bool(kept)


def check_header(
    prefix: str, header: Header, config: TrainConfig, data: Mapping[str, dict] | None = None
) -> None:
    """Checks that a checkpoint is of a run of `config`, on `data` where that is given.

    Raises:
        ConfigError: if it is not; the message says what differs.
    """
    _check_config(f"{prefix}.* is of a run", header.config, config)
    if data is not None and (changed := _changes(header.data, data)):
        raise ConfigError(f"{prefix}.* is of a run on other data: {changed}. {_DATA_ADVICE}")


def describe_data(sets: Mapping[str, VideoSet | None]) -> dict[str, dict]:
    """What data.json holds of the sets "train" and "test": numbers of videos, and hashes.

    They do not change where a set is moved as a whole: sha256 is of labels and names, sizes_sha256
    of how many bytes the videos have, or their records.
    """
    return {
        subset: {
            "videos": len(videos),
            "sha256": _hash(videos),
            "sizes_sha256": _sha256(videos.source.sizes()),
        }
        for subset, videos in sets.items()
        if videos is not None
    }


def check_data(folder: ModelDir, now: Mapping[str, dict]) -> None:
    """Checks that a run is continued on the videos that it was started on.

    Raises:
        ConfigError: if they are others; the message says which set has changed, and how.
    """
    if not folder.data.is_file():
        logging.warning("%s is missing: that the data has not changed is not checked.", folder.data)
        return
    try:
        changed = _changes(json.loads(folder.data.read_text("utf-8")), now)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder.data} cannot be read ({type(error).__name__}: {error}). Remove it to "
            "continue without a check of the data."
        ) from None
    if changed:
        raise ConfigError(f"{folder.root} holds a run on other data: {changed}. {_DATA_ADVICE}")


_DATA_ADVICE = "Put the videos back as they were to continue it, or give another --model_dir."


def _changes(before: Mapping[str, dict], now: Mapping[str, dict]) -> str:
    """In words, what has changed of the data; empty where nothing has."""
    found = []
    for subset, new in now.items():
        # Runs of before sizes were kept say nothing of them.
        old = {"sizes_sha256": new.get("sizes_sha256"), **before[subset]}
        changed = [name for name in new if old[name] != new[name]]
        if changed:
            numbers = f"the {subset} set had {old['videos']} videos and has {new['videos']} now"
            found.append(numbers + _CHANGED.get(changed[0], ""))
    return "; ".join(found)


_CHANGED = {
    "sha256": ", with other names, labels or order",
    "sizes_sha256": " of the same names, of which some have another size",
}


def _check_config(what: str, before: TrainConfig, config: TrainConfig) -> None:
    changed = []
    for name, field in FIELDS.items():
        old, new = getattr(before, name), getattr(config, name)
        same = old == new or ("path" in field.metadata and _same_path(old, new))
        grown = field.metadata.get("resume") == "grow" and new > old
        if not (same or grown or may_differ(name, config)):
            changed.append(f"{name} was {old!r} and is now {new!r}")
    if changed:
        raise ConfigError(
            f"{what} of another configuration: {'; '.join(changed)}. Start it with the same "
            "options to continue it, or give another --model_dir."
        )


def _tell_of_stretching(before: TrainConfig, config: TrainConfig) -> None:
    begun = before.epochs > before.head_epochs  # the classifier alone learns at a constant rate
    if config.epochs > before.epochs and begun and config.schedule == "cosine":
        logging.warning(
            "epochs was %d and is now %d: the cosine is stretched over %d from here on. The "
            "weights will not be those of a run that had %d from its start.",
            *(before.epochs, config.epochs, config.epochs, config.epochs),
        )


def _same_path(old: str, new: str) -> bool:
    return bool(old and new) and os.path.realpath(old) == os.path.realpath(new)


def _hash(videos: VideoSet) -> str:
    several = [videos.label_sets] if videos.label_sets else []
    return _sha256([videos.classes, videos.names, videos.labels, *several])


def _sha256(values: list) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
