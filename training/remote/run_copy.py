"""A run in a bucket: trained in a copy on this machine, which is sent whenever its state is kept.

Files of a bucket cannot be added to, renamed or locked, and what is written there may come late or
never. So a run is written here, as any other, and its files then go to the bucket in an order in
which it can be left off after each of them. INDEX there names the files of the run, so that none
has to be looked for, and its writer, so that a second one stops the first.
"""

import contextlib
import json
import os
import pathlib
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator

from absl import logging

from ..options import ConfigError
from .copies import told_of
from .files import check_writable, download, names, read, remove, upload
from .urls import AbsentError, RemoteError, join, shown

INDEX = ".files.json"
_VERSION = 1
_PREFIX = "r21d-run-"
_HERE_ALONE = (".lock", ".partial.")  # what begins so is of no use elsewhere
_NOT_FETCHED = "events/"  # files of earlier processes, which a later one does not add to
_WITNESS = "config.json"
# Sent behind all others: a checkpoint is whole when it has its index.
_LATE = (".index", "checkpoint")
_BEAT, _BEAT_S = "progress.json", 20.0  # a run that is silent for a minute or two is taken for dead
_LEFT_S = 3600.0  # after which a copy that nobody holds is one of a killed process


@contextlib.contextmanager
def run_copy(url: str) -> Iterator["RunCopy"]:
    """The copy of the run at `url`, made here and gone when this ends; then all of it is sent.

    Raises:
        RemoteError: a server that does not give or take it.
        ConfigError: another process has taken the run over.
    """
    check_writable(url)
    _remove_left()
    root = pathlib.Path(tempfile.mkdtemp(prefix=_PREFIX))
    over = threading.Event()
    try:
        with told_of(root, url):
            copy = RunCopy(url, root)
            copy.fetch()
            threading.Thread(target=copy.beat, args=(over,), daemon=True).start()
            try:
                yield copy
            except BaseException:
                over.set()
                copy.push_what_goes()
                raise
            over.set()
            copy.push()
    finally:
        over.set()
        shutil.rmtree(root, ignore_errors=True)


class RunCopy:
    """The copy `root` of the run at `url`; made by `run_copy`."""

    def __init__(self, url: str, root: pathlib.Path):
        self._url, self.root = url, root
        self._index: set[str] = set()
        self._sent: dict[str, tuple[int, int]] = {}  # the _stamp of each file when it was sent
        self._lock = threading.Lock()
        self._writer = {
            "id": uuid.uuid4().hex,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }

    def fetch(self) -> None:
        """Takes over the run: its files come here, and whoever else writes it stops."""
        found = self._read_index()
        listed = names(self._url, _WITNESS) if found is None else found["files"]
        self._index = {name for name in listed if name != INDEX}
        self._write_index()
        for name in sorted(self._index):
            if not name.startswith(_NOT_FETCHED):
                self._fetch(name)
        if self._index:
            logging.info("The run at %s goes on, in a copy here.", shown(self._url))

    def push(self) -> None:
        """Sends what has changed since the last time, and removes what has gone.

        Raises:
            RemoteError: the server does not take it; what it has can be continued.
            ConfigError: another process has taken the run over.
        """
        with self._lock:
            self._check_writer()
            here = {name: _stamp(self.root / name) for name in self._names()}
            changed = [name for name, stamp in here.items() if self._sent.get(name) != stamp]
            changed.sort(key=lambda name: (name.endswith(_LATE), here[name]))
            early = [name for name in changed if not name.endswith(_LATE)]
            for name in early:
                self._send(name, here[name])
            self._write_index(self._index | set(here))
            for name in changed[len(early) :]:
                self._send(name, here[name])
            gone = set(self._sent) - set(here)
            self._write_index(self._index - gone)
            for name in gone:
                self._remove(name)

    def push_what_goes(self) -> None:
        """As `push`, when the run ends with an error already: another one is only told."""
        try:
            self.push()
        except (RemoteError, ConfigError) as error:
            logging.warning("The last of the run was not sent. %s", error)

    def beat(self, over: threading.Event) -> None:
        """Sends what `r21d status` reads, again and again until `over`."""
        failed = False
        while not over.wait(_BEAT_S):
            try:
                with self._lock:
                    path = self.root / _BEAT
                    if path.is_file() and not over.is_set():
                        upload(path, join(self._url, _BEAT))
                failed = False
            except (OSError, ConfigError) as error:  # the run does not need it
                if not failed:
                    logging.warning("`r21d status` will be out of date: %s", error)
                failed = True

    def _names(self) -> list[str]:
        """Files of the copy that belong to the run."""
        paths = (path for path in self.root.rglob("*") if path.is_file())
        return [
            path.relative_to(self.root).as_posix()
            for path in paths
            if not path.name.startswith(_HERE_ALONE)
        ]

    def _fetch(self, name: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            download(join(self._url, name), path)
        except AbsentError:  # it was to be sent when its writer was killed, or was removed by hand
            return
        self._sent[name] = _stamp(path)

    def _send(self, name: str, stamp: tuple[int, int]) -> None:
        upload(self.root / name, join(self._url, name))
        self._sent[name] = stamp

    def _remove(self, name: str) -> None:
        del self._sent[name]
        try:
            remove(join(self._url, name))
        except RemoteError as error:  # nothing needs it to be gone
            logging.warning("Could not be removed: %s", error)

    def _check_writer(self) -> None:
        found = self._read_index()
        other = found["writer"] if found else self._writer
        if other["id"] != self._writer["id"]:
            raise ConfigError(
                f"{shown(self._url)} was taken over by process {other['pid']} on {other['host']}, "
                f"which began at {other['since']}. This one has stopped, and has sent nothing "
                "since. Give one of them another --model_dir."
            )

    def _read_index(self) -> dict | None:
        try:
            found = json.loads(read(join(self._url, INDEX)))
            if found["version"] != _VERSION:
                raise ValueError(f"expected version {_VERSION}")
            return found
        except AbsentError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{shown(join(self._url, INDEX))} is damaged ({type(error).__name__}: {error}). "
                "Remove it: the files of the run are then looked for."
            ) from None

    def _write_index(self, index: set[str] | None = None) -> None:
        """Says which files there are, where that is not known yet."""
        if index == self._index:
            return
        self._index = self._index if index is None else index
        found = {"version": _VERSION, "writer": self._writer, "files": sorted(self._index)}
        path = self.root / f".partial.{INDEX}"
        path.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        upload(path, join(self._url, INDEX))


def _stamp(path: pathlib.Path) -> tuple[int, int]:
    """What changes with a file: when it was written, in ns, and its bytes."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def _remove_left() -> None:
    """Removes copies that killed processes have left, which can be large."""
    from ..state.run_lock import LOCK, is_held

    for root in pathlib.Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            old = time.time() - (root / LOCK).stat().st_mtime > _LEFT_S
            if old and is_held(root) is False:
                shutil.rmtree(root)
