"""What a benchmark has measured so far, in a JSON file beside its report; and the conditions."""

import contextlib
import datetime
import fcntl
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import re
import tempfile
from collections.abc import Iterator


class Ledger:
    """Rows by name. Each is on disk as soon as it is set, so that no interruption loses one.

    Several processes may fill one file: rows that others have set meanwhile are read before a
    question or an answer.
    """

    def __init__(self, path: pathlib.Path):
        self.path = path
        self._read()

    def __contains__(self, name: str) -> bool:
        self._read()
        return name in self.rows

    def __setitem__(self, name: str, row: dict) -> None:
        with _sole(self.path.parent):
            self._read()
            self.rows[name] = row
            write_text(self.path, json.dumps(self.rows, indent=1) + "\n")

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[bool]:
        """Whether a row is this process' to measure: not there, and in no other's hands."""
        number = hashlib.sha256(f"{self.path.resolve()}/{name}".encode()).hexdigest()[:16]
        with open(pathlib.Path(tempfile.gettempdir(), f"ledger.{number}.lock"), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield name not in self

    def _read(self) -> None:
        self.rows = json.loads(self.path.read_text("utf-8")) if self.path.is_file() else {}


@contextlib.contextmanager
def _sole(folder: pathlib.Path) -> Iterator[None]:
    """Keeps other ledgers of the folder waiting."""
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def write_text(path: pathlib.Path, text: str) -> None:
    partial = path.with_name(f".partial.{path.name}")
    partial.write_text(text, "utf-8")
    os.replace(partial, path)


def conditions(*packages: str) -> dict:
    """Date, machine, load and the versions of those `packages` that are installed."""
    return {
        "date": str(datetime.date.today()),
        "machine": f"{cpu_name()}, {os.cpu_count()} cores",
        "load": round(os.getloadavg()[0], 1),
        "versions": ", ".join(filter(None, [_python(), *map(_version, packages)])),
    }


def cpu_name() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    found = cpuinfo.is_file() and re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
    return found[1] if found else platform.processor() or platform.machine()


def _python() -> str:
    return f"Python {platform.python_version()}"


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return ""
