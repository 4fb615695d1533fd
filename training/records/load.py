"""The videos of a data set from the records that were made of it."""

import pathlib
from collections.abc import Sequence

from ..data.catalog import get_dataset
from ..data.listings import first
from ..data.video_set import VideoSet
from ..flow.kept import KIND as FLOW
from ..flow.kept import check_flow
from ..flow.source import FlowSource
from ..options import ConfigError
from ..remote.folders import Folder, RemoteFolder, folder_at
from ..remote.urls import is_remote
from .foreign import scan
from .manifest import NAME, Manifest, Record, read_manifest
from .reader import RecordSource
from .rgb import KIND as RGB

SOURCES = {RGB: RecordSource, FLOW: FlowSource}
"""By kind of record, what clips are read by."""


def load_records(config, subset: str) -> VideoSet:
    """The videos for "train" or "test" in the folder `config.records`, as `load_dataset` has them.

    Raises:
        ConfigError: no records, or of another data set, split or stream; at a lower rate or
            smaller than `config` asks for; shards that are absent or cut off.
        RemoteError: a server that does not give them.
    """
    folder = folder_at(config.records)
    if not folder.is_there():
        raise ConfigError(
            f"records={config.records!r}: no such folder; expected one that `r21d prepare` made."
        )
    manifest = read_manifest(config.records) or _scanned(config)
    _check_fits(manifest, config)
    chosen = [r for r in manifest.records if r.splits.get(config.split) == subset]
    chosen.sort(key=lambda record: record.place(config.split))  # as the videos themselves come
    _check_frames(folder, manifest, chosen, config)
    _check_shards(folder, manifest, {record.shard for record in chosen})
    names = [shard["name"] for shard in manifest.shards]
    return VideoSet(
        manifest.dataset,
        manifest.classes,
        tuple(record.name for record in chosen),
        tuple(record.labels[0] for record in chosen),
        SOURCES[manifest.kind](config.records, names, chosen),
        get_dataset(manifest.dataset).mirror_safe,
        left_out=tuple(
            (row["name"], row["reason"])
            for row in manifest.skipped
            if row["splits"].get(config.split) == subset
        ),
        label_sets=tuple(r.labels for r in chosen) if manifest.multi_label else (),
        missing=manifest.missing,
    )


def _scanned(config) -> Manifest:
    """What records of others hold, which have no manifest."""
    if is_remote(config.records):
        raise ConfigError(
            f"records={config.records!r}: there is no {NAME}. Expected a folder that `r21d "
            "prepare` made. For records of another program make one where they are, by `r21d "
            "prepare --scan --out=FOLDER`, and put it beside them."
        )
    return scan(pathlib.Path(config.records), config.dataset)


def _check_fits(manifest: Manifest, config) -> None:
    """Checks that the records are of what is to be trained or tested on."""
    told = f"records={config.records!r} are of"
    if manifest.dataset != config.dataset:
        raise ConfigError(
            f"{told} {manifest.dataset}; dataset={config.dataset!r} was asked for. Give "
            f"--dataset={manifest.dataset}, or other records."
        )
    if manifest.split not in (0, config.split):
        raise ConfigError(
            f"{told} split {manifest.split}; split={config.split} was asked for. Give "
            f"--split={manifest.split}, or prepare without --split for all of them."
        )
    if manifest.kind not in SOURCES or (manifest.kind == FLOW and config.stream != "flow"):
        raise ConfigError(
            f"{told} optical flow; stream={config.stream!r} was asked for. Give --stream=flow, or "
            "records of RGB."
        )
    if manifest.kind == FLOW:
        check_flow(manifest, config)


def _check_frames(
    folder: Folder | RemoteFolder, manifest: Manifest, records: Sequence[Record], config
) -> None:
    """Frames that were never kept cannot be made up."""
    slow = [r for r in records if r.frame_rate < config.frame_rate * (1 - 1e-6)]
    if slow:
        raise ConfigError(
            f"{folder} has {slow[0].frame_rate:g} frames a second; frame_rate="
            f"{config.frame_rate:g} was asked for. Prepare with --frame_rate={config.frame_rate:g} "
            "or more, or train at less."
        )
    wanted = (config.resize_height, config.resize_width)
    if "resize_height" in manifest.plan:  # all of one size
        small = [r for r in records if r.height < wanted[0] or r.width < wanted[1]]
    else:  # frames that kept their shape: a narrow video has fewer columns, whatever is done
        small = [r for r in records if min(r.height, r.width) < min(wanted)]
    if small:
        raise ConfigError(
            f"{folder} has frames of {small[0].height}x{small[0].width}; frames of "
            f"{config.resize_height}x{config.resize_width} were asked for. Prepare them as large, "
            "or set resize_height and resize_width to less."
        )


def _check_shards(folder: Folder | RemoteFolder, manifest: Manifest, numbers: set[int]) -> None:
    wrong, shards = [], [manifest.shards[number] for number in sorted(numbers)]
    sizes = folder.sizes(shard["name"] for shard in shards)
    for shard, size in zip(shards, sizes, strict=True):
        if size is None:
            wrong.append(f"{shard['name']} is not there")
        elif size != shard["bytes"]:
            wrong.append(f"{shard['name']} has {size} bytes, not {shard['bytes']}")
    if wrong:
        raise ConfigError(
            f"{folder}: {first(wrong, 'shards are not what was written')} The same "
            "`r21d prepare` as before makes them anew."
        )
