"""What a benchmark has measured so far, in a JSON file beside its report; and the conditions."""

import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import re


class Ledger:
    """Rows by name. Each is on disk as soon as it is set, so that no interruption loses one."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        self.rows = json.loads(path.read_text("utf-8")) if path.is_file() else {}

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    def __setitem__(self, name: str, row: dict) -> None:
        self.rows[name] = row
        write_text(self.path, json.dumps(self.rows, indent=1) + "\n")


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
