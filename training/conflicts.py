"""Options that are right alone and wrong together."""

from .data.catalog import DATASETS, unread_places
from .data.listings import PLACES
from .flow.streams import conflict as stream_conflict
from .optimization.options import option_conflict
from .remote.urls import is_remote


def conflicts(config) -> list[str]:
    """What does not go together in a TrainConfig, a line each."""
    return [
        text
        for found in (
            _places,
            _unread,
            _split,
            _crop,
            _batch,
            _warmup,
            _start,
            _freezing,
            stream_conflict,
            option_conflict,
        )
        if (text := found(config))
    ]


def _unread(config) -> str:
    row = DATASETS.get(config.dataset)
    return unread_places(row, {name: getattr(config, name) for name in PLACES}) if row else ""


def _places(config) -> str:
    wrong = [name for name in PLACES if is_remote(getattr(config, name))]
    if not wrong:
        return ""
    return (
        f"{wrong[0]}={getattr(config, wrong[0])!r}: expected a path of this machine, as files of "
        "videos and lists are read from it alone. At URLs there may be records, --records."
    )


def _split(config) -> str:
    row = DATASETS.get(config.dataset)
    if row is None or config.split in row.splits:
        return ""
    has = f"splits {', '.join(map(str, row.splits))}" if row.splits[1:] else "one split, 1"
    return f"split={config.split}: {config.dataset} has {has}."


def _crop(config) -> str:
    if config.crop_size <= min(config.resize_height, config.resize_width):
        return ""
    return (
        f"crop_size={config.crop_size} does not fit in frames of "
        f"{config.resize_height}x{config.resize_width}; make the crop smaller or resize larger."
    )


def _batch(config) -> str:
    if config.gradient_accumulation_steps <= config.global_batch_size:
        return ""
    return (
        f"gradient_accumulation_steps={config.gradient_accumulation_steps} is more than "
        f"global_batch_size={config.global_batch_size}, which is cut into so many; make it smaller."
    )


def _warmup(config) -> str:
    if config.head_epochs > config.epochs:
        return (
            f"head_epochs={config.head_epochs} is more than epochs={config.epochs}, which counts "
            "them too; make it larger."
        )
    after = config.epochs - config.head_epochs
    if config.warmup_epochs <= after or (not after and config.head_epochs):
        return ""
    left = f" less head_epochs={config.head_epochs}" if config.head_epochs else ""
    return (
        f"warmup_epochs={config.warmup_epochs:g} is more than epochs={config.epochs}{left}; "
        "the learning rate would never be reached."
    )


def _start(config) -> str:
    if not config.init_from or config.weights == "none":
        return ""
    return (
        f"init_from={config.init_from!r} and weights={config.weights!r}: expected one of them, as "
        "a run starts from one set of weights."
    )


def _freezing(config) -> str:
    wanted = [
        f"{name}={getattr(config, name)!r}"
        for name in ("freeze_until", "head_epochs")
        if getattr(config, name)
    ]
    if not wanted or config.init_from or config.weights != "none":
        return ""
    return (
        f"{' and '.join(wanted)} with weights='none' would keep random layers as they are; give "
        "the --weights or the run, --init_from, to start from."
    )
