"""Whether the records of a folder are as they were written."""

import hashlib
import os
import pathlib

from ..data.listings import first
from ..options import ConfigError
from ..remote.copies import fetched
from ..remote.urls import is_remote
from .manifest import Manifest, Record, read_manifest
from .progress import Progress
from .tfrecord import is_whole


def verify(folder: str | os.PathLike) -> tuple[Manifest, list[str]]:
    """The manifest of a folder of records, here or at a URL, and what is not as it says.

    Every byte is read: a shard by its SHA-256, where the manifest has one, and if that differs the
    records in it one by one, to tell which videos are hurt.

    Raises:
        ConfigError: no folder, or one without a manifest: never finished, or not of this program.
        RemoteError: a server that does not give the files.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ConfigError(
            f"{folder} has no manifest.json: it was not finished, or is no folder of "
            "`r21d prepare`. The same command as before goes on with it."
        )
    of_shard = [[] for _ in manifest.shards]
    for record in manifest.records:
        of_shard[record.shard].append(record)
    wrong = []
    with Progress("Verified", len(manifest.shards), unit="shard") as progress:
        for shard, records in zip(manifest.shards, of_shard, strict=True):
            with fetched(folder, [shard["name"]]) as here:
                wrong += _wrong_in(here / shard["name"], shard, records)
            progress.step()
    known = {shard["name"] for shard in manifest.shards}
    strange = sorted(path.name for path in _shards(folder) if path.name not in known)
    if strange:
        wrong.append(f"{first(strange, 'files are not in the manifest')}")
    return manifest, wrong


def _shards(folder: str | os.PathLike) -> list[pathlib.Path]:
    """The files of a folder of this machine; no server has to tell its own."""
    return [] if is_remote(folder) else list(pathlib.Path(folder).glob("*.tfrecord"))


def _wrong_in(path: pathlib.Path, shard, records: list[Record]) -> list[str]:
    """What is wrong with one shard, a line each."""
    try:
        size = path.stat().st_size
        if size != shard["bytes"]:
            hurt = _hurt(path, records)
            return [f"{path.name} has {size} bytes, not {shard['bytes']}{hurt}"]
        if "sha256" not in shard:
            hurt = _hurt(path, records)
            return [f"{path.name} is damaged{hurt}"] if hurt else []
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest == shard["sha256"]:
            return []
        return [f"{path.name} has SHA-256 {digest}, not {shard['sha256']}{_hurt(path, records)}"]
    except OSError as error:
        return [f"{path.name} cannot be read: {error.strerror}"]


def _hurt(path: pathlib.Path, records: list[Record]) -> str:
    """': 2 of 7 videos are hurt: a; b.', or nothing."""
    names = []
    with open(path, "rb") as file:
        for record in records:
            if not is_whole(file, record.offset, record.length):
                names.append(record.name)
    return f": {first(names, f'of {len(records)} videos are hurt')}" if names else ""
