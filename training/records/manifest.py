"""manifest.json: what a folder of records holds, and where in which file."""

import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

from r21d_keras.zoo.durable import put_text

from ..options import ConfigError
from ..remote.folders import folder_at
from .plan import Plan

NAME = "manifest.json"
VERSION = 1
_OF_ITEM = ("name", "labels", "splits", "places", "shard")


@dataclass(frozen=True, kw_only=True)
class Record:
    """One video: what it is, and its record at byte `offset` of shard number `shard`.

    labels: all of its classes. splits: its subset, by official split. places: where in the list of
    that subset, for each of the splits; () where there are no lists. length: bytes.
    frame_rate: Hz of the `frames`. duration_s: of the video. more: what else its encoder said.
    """

    name: str
    labels: tuple[int, ...]
    splits: Mapping[int, str]
    places: tuple[int, ...] = ()
    shard: int
    offset: int
    length: int
    frames: int
    frame_rate: float
    duration_s: float
    height: int
    width: int
    more: Mapping = field(default_factory=dict)

    def place(self, split: int) -> int:
        """Where it comes in the list of its subset; 0 where nothing says."""
        return dict(zip(self.splits, self.places, strict=False)).get(split, 0)

    def as_entry(self) -> dict:
        """What the journal of its shard says of it."""
        row = _as_row(self)
        return {name: row[name] for name in row if name not in _OF_ITEM}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All of manifest.json.

    plan: what decided the bytes (`Plan.fingerprint`), with the encoder's options.
    split: 0, or that whose subsets the shards are. shards: "name", "bytes", "sha256" of each.
    skipped: "name", "reason" and "splits" of each video that could not be read.
    missing: names of videos that the lists have, but not the disk.
    """

    kind: str
    dataset: str
    classes: tuple[str, ...]
    multi_label: bool
    split: int
    plan: Mapping
    shards: tuple[Mapping, ...]
    records: tuple[Record, ...]
    skipped: tuple[Mapping, ...] = ()
    missing: tuple[str, ...] = ()

    def write(self, folder: pathlib.Path) -> None:
        """Writes it into its folder; the old one stays until it is whole."""
        put_text(folder / NAME, to_json(self))

    @property
    def counts(self) -> dict[str, int]:
        """How many of everything."""
        return {
            "videos": len(self.records),
            "frames": sum(record.frames for record in self.records),
            "bytes": sum(shard["bytes"] for shard in self.shards),
            "shards": len(self.shards),
            "skipped": len(self.skipped),
            "missing": len(self.missing),
        }


def read_manifest(folder: str | os.PathLike) -> Manifest | None:
    """The manifest in a folder of records, at a path or a URL; None where there is none.

    Raises:
        ConfigError: no manifest of this version.
        RemoteError: a server that does not give it.
    """
    place = folder_at(folder)
    text = place.text(NAME)
    return None if text is None else from_json(text, str(place))


def to_json(manifest: Manifest) -> str:
    """The text of manifest.json, a line for each video."""
    head = {f.name: getattr(manifest, f.name) for f in fields(Manifest) if f.name != "records"}
    text = json.dumps({"version": VERSION, "counts": manifest.counts, **head}, indent=1)
    rows = ",\n".join(json.dumps(_as_row(record)) for record in manifest.records)
    return f'{text[:-2]},\n "records": [\n{rows}\n ]\n}}\n'


def from_json(text: str, folder: str | os.PathLike) -> Manifest:
    """What `to_json` wrote; `folder` is where it lies, for messages.

    Raises:
        ConfigError: no manifest of this version.
    """
    try:
        values = json.loads(text)
        if values.pop("version") != VERSION:
            raise ValueError(f"expected version {VERSION}")
        values.pop("counts")
        records = tuple(map(_of_row, values.pop("records")))
        tuples = {name: tuple(values.pop(name)) for name in _TUPLES}
        for row in tuples["skipped"]:
            row["splits"] = _splits(row["splits"])
        return Manifest(**values, **tuples, records=records)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{folder}/{NAME} is no manifest of `r21d prepare` ({type(error).__name__}: {error}). "
            "Take it out, and run the command again that made it."
        ) from None


def manifest_of(plan: Plan, shards: list[tuple[list[dict], dict]]) -> Manifest:
    """The manifest of finished shards: of each the entries of its videos, and its sums."""
    records, skipped = [], []
    for number, (shard, (entries, _)) in enumerate(zip(plan.shards, shards, strict=True)):
        for item, entry in zip(shard.items, entries, strict=True):
            if "skipped" in entry:
                reason, splits = entry["skipped"], dict(item.splits)
                skipped.append({"name": item.name, "reason": reason, "splits": splits})
            else:
                of_item = {name: getattr(item, name) for name in _OF_ITEM if name != "shard"}
                records.append(_of_row({**of_item, "shard": number, **entry}))
    return Manifest(
        kind=plan.kind,
        dataset=plan.dataset,
        classes=plan.classes,
        multi_label=plan.multi_label,
        split=plan.split,
        plan=plan.fingerprint(),
        shards=tuple(
            {"name": shard.name, **sums}
            for shard, (_, sums) in zip(plan.shards, shards, strict=True)
        ),
        records=tuple(records),
        skipped=tuple(skipped),
        missing=plan.missing,
    )


_TUPLES = ("classes", "shards", "skipped", "missing")


def _as_row(record: Record) -> dict:
    row = asdict(record)
    return row | row.pop("more")


def _of_row(row: dict) -> Record:
    row = {"places": (), **row}
    known = {f.name: row.pop(f.name) for f in fields(Record) if f.name != "more"}
    known |= {name: tuple(known[name]) for name in ("labels", "places")}
    known["splits"] = _splits(known["splits"])
    return Record(**known, more=row)


def _splits(splits: Mapping) -> dict[int, str]:
    """JSON's keys are text."""
    return {int(split): subset for split, subset in splits.items()}
