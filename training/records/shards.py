"""A shard that is written a video at a time, and goes on where a killed process left it."""

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Mapping
from types import MappingProxyType

from r21d_keras.zoo.durable import put, put_text

from .plan import Item, Shard
from .tfrecord import OVERHEAD_BYTES, is_whole, write_record


class ShardWriter:
    """One shard of a folder: its videos are added in order, then it is finished.

    Until then it lies under a hidden name, which readers do not look for, beside a journal: a line
    of JSON for each video. What a killed process has left half-written is cut off by the next.
    """

    def __init__(self, folder: pathlib.Path, shard: Shard):
        self.shard = shard
        self.path = folder / shard.name
        self._part = folder / f".{shard.name}.part"
        self._journal = folder / shard.journal_name
        self._part_file = self._journal_file = None
        found = self._journal.read_bytes() if self._journal.is_file() else b""
        self.entries, self.sums = parse_journal(found)
        """What manifest.json will say: of each video so far, and of a finished shard."""
        if not self.finished:
            self.path.unlink(missing_ok=True)  # not as its journal has it: the machine stopped
            self.entries = self.entries[: _whole(self._part, self.entries)]

    @property
    def finished(self) -> bool:
        """Whether the shard is under its name, as long as its journal says."""
        size = self.path.stat().st_size if self.path.is_file() else -1
        return len(self.entries) == len(self.shard.items) and size == self.sums.get("bytes")

    @property
    def file_name(self) -> str:
        """The file without which the shard is made anew from its first video."""
        return self.path.name if self.finished else self._journal.name

    def add(self, record: bytes, info: dict) -> None:
        """Appends the next video's record."""
        self._open()
        offset = self._part_file.tell()
        write_record(self._part_file, record)
        self._part_file.flush()
        self._note({"offset": offset, "length": len(record), **info})

    def skip(self, reason: str) -> None:
        """Leaves the next video out."""
        self._open()
        self._note({"skipped": reason})

    def finish(self) -> None:
        """Gives the shard its name, once all that is in it is safe."""
        self._open()
        self.close()
        with open(self._part, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.sums = {"bytes": self._part.stat().st_size, "sha256": digest}
        put_text(self._journal, journal_text(self.entries, self.sums))
        put(self._part, self.path)

    def close(self) -> None:
        """Closes the files; what was added stays for the next process."""
        for file in (self._part_file, self._journal_file):
            if file:
                # On a full disk the buffers cannot be written. What they hold is then no loss: the
                # error has been raised, and the next process cuts the file where it is whole.
                with contextlib.suppress(OSError):
                    file.close()
        self._part_file = self._journal_file = None

    def forget(self) -> None:
        """Removes the journal, once manifest.json says all that it does."""
        self._journal.unlink(missing_ok=True)

    @property
    def rest(self) -> tuple[Item, ...]:
        """The videos that are still to be added."""
        return self.shard.items[len(self.entries) :]

    def _open(self) -> None:
        if self._part_file:
            return
        put_text(self._journal, journal_text(self.entries))
        end = sum(entry["length"] + OVERHEAD_BYTES for entry in self.entries if "length" in entry)
        self._part_file = open(self._part, "ab")  # noqa: SIM115
        self._part_file.truncate(end)
        self._part_file.seek(end)
        self._journal_file = open(self._journal, "a", encoding="utf-8")  # noqa: SIM115

    def _note(self, entry: dict) -> None:
        self._journal_file.write(json.dumps(entry) + "\n")
        self._journal_file.flush()
        self.entries.append(entry)


def journal_text(entries: list[dict], sums: Mapping = MappingProxyType({})) -> str:
    """A journal: a line for each video, and of a finished shard one with its sums."""
    return "".join(json.dumps(line) + "\n" for line in (*entries, *([dict(sums)] if sums else [])))


def parse_journal(octets: bytes) -> tuple[list[dict], dict]:
    """Entries up to the first that is not whole, and the sums of a finished shard."""
    entries = []
    with contextlib.suppress(ValueError):  # a line cut short
        for line in octets.splitlines():
            entry = json.loads(line)
            if "sha256" in entry:
                return entries, entry
            entries.append(entry)
    return entries, {}


def _whole(part: pathlib.Path, entries: list[dict]) -> int:
    """How many of the entries have a record that is as it was written."""
    if not part.is_file():
        return 0
    with open(part, "rb") as file:
        for count, entry in enumerate(entries):
            if "skipped" not in entry and not is_whole(file, entry["offset"], entry["length"]):
                return count
    return len(entries)
