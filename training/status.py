"""How a run goes, from another process: `r21d status`. Needs neither keras nor TensorFlow."""

import dataclasses
import os
import pathlib
import socket
import time

from .config import ConfigError
from .heartbeat import (
    BEAT_S,
    FINISHED,
    STARTING,
    STOPPED,
    TRAINING,
    VALIDATING,
    Heartbeat,
    read_heartbeat,
)
from .history import ADVICE, read_history
from .origins import CHECKPOINTS
from .remote.copies import fetched
from .remote.urls import is_remote
from .run_folder import ModelDir
from .state.run_lock import LOCK, is_held

# A process on another host is taken for dead after this time without a beat. NFS clients may show
# a folder as it was up to 60 s ago (nfs(5), acdirmax).
SILENT_S = 60.0 + 6 * BEAT_S
STALLED_S, STALLED_TIMES = 600.0, 20.0  # without a step so long, and so many usual calls
READ = ("config.json", "classes.txt", "history.csv", "progress.json")  # of a run elsewhere
FIRST_S = 1800.0  # the first call of all compiles the network

NOT_BEGUN, STALLED = "not begun", "stalled"
EXIT_CODES = {
    STOPPED: 5,
    STALLED: 4,
    STARTING: 3,
    TRAINING: 3,
    VALIDATING: 3,
    NOT_BEGUN: 6,
    FINISHED: 0,
}
"""What `r21d status` exits with, by state; first what most wants looking after. 1 and 2 are errors,
as everywhere."""


@dataclasses.dataclass(frozen=True)
class Status:
    """A run as seen from outside.

    Attributes:
        folder: its --model_dir, a path or a URL.
        state: one of EXIT_CODES. reason: more of it, where there is more to say.
        epochs_done, epochs: finished epochs by history.csv, of how many; None: not known.
        last: the row of the last finished epoch; empty before. best: its val_accuracy and epoch.
        heartbeat: what progress.json says; None without one.
        silent_s: since its last beat.
    """

    folder: pathlib.Path | str
    state: str
    reason: str = ""
    epochs_done: int = 0
    epochs: int | None = None
    last: dict[str, float] | None = None
    best: tuple[float, int] | None = None
    heartbeat: Heartbeat | None = None
    silent_s: float | None = None

    @property
    def lives(self) -> bool:
        """Whether a process is at work on it."""
        return self.state in (STARTING, TRAINING, VALIDATING, STALLED)


def find_runs(path: str | os.PathLike) -> list[pathlib.Path]:
    """`path` if it is the folder of a run, or may become one; else the runs right below it.

    Raises:
        ConfigError: if it is something else.
    """
    root = pathlib.Path(path)
    if not root.exists() or _is_run(root):
        return [root]
    try:
        below = sorted(child for child in root.iterdir() if child.is_dir() and _is_run(child))
        if below or not any(root.iterdir()):
            return below or [root]
    except NotADirectoryError:
        raise ConfigError(f"{root} is a file. {_EXPECTED}") from None
    except OSError as error:
        raise ConfigError(f"{root} cannot be read ({error.strerror}). {_EXPECTED}") from None
    raise ConfigError(f"{root} holds no training run, and no folder of one. {_EXPECTED}")


_EXPECTED = "Expected the --model_dir of `r21d train`, or a folder of several."


def _is_run(root: pathlib.Path) -> bool:
    return any((root / name).exists() for name in ("config.json", LOCK, CHECKPOINTS))


def status_at(place: str | os.PathLike) -> list[Status]:
    """How the run at `place` goes, a folder or a URL, or each of the runs right below a folder.

    Raises:
        ConfigError: if there is something else, or a file of a run is damaged.
        RemoteError: a server that does not give the files.
    """
    if not is_remote(place):
        return [read_status(root) for root in find_runs(place)]
    with fetched(place, READ) as root:
        return [dataclasses.replace(read_status(root, is_copy=True), folder=os.fspath(place))]


def read_status(root: pathlib.Path, now_s: float | None = None, is_copy: bool = False) -> Status:
    """How the run in `root` goes.

    Whatever the run writes meanwhile is seen whole, before or after.

    Args:
        root: its folder.
        now_s: the time, seconds since 1970; None: now.
        is_copy: of a run elsewhere, whose lock cannot be seen.

    Raises:
        ConfigError: if one of its files is damaged.
    """
    folder, now_s = ModelDir(root), time.time() if now_s is None else now_s
    held, heartbeat = _look(folder)
    held = None if is_copy else held
    rows = _rows(folder)
    epochs = heartbeat.epochs if heartbeat else _epochs(folder)
    if heartbeat:
        state, reason = _told(heartbeat, held, now_s)
    elif held:
        state, reason = STARTING, ""
    else:
        state, reason = _left(folder, len(rows), epochs)
    scored = [(row["val_accuracy"], int(row["epoch"])) for row in rows if "val_accuracy" in row]
    return Status(
        folder=root,
        state=state,
        reason=reason,
        epochs_done=len(rows),
        epochs=epochs,
        last=rows[-1] if rows else None,
        best=max(scored, key=lambda pair: pair[0], default=None),  # the first of equals, as kept
        heartbeat=heartbeat,
        silent_s=max(0.0, now_s - heartbeat.beat_at) if heartbeat else None,
    )


def _look(folder: ModelDir) -> tuple[bool | None, Heartbeat | None]:
    """Whether somebody trains in the folder, and what progress.json says at the same time."""
    held, heartbeat = is_held(folder.root), read_heartbeat(folder)
    while True:  # the file changes every BEAT_S, so that a second round is rare
        held_after, after = is_held(folder.root), read_heartbeat(folder)
        if (held, heartbeat) == (held_after, after):
            return held, heartbeat
        held, heartbeat = held_after, after


def _told(heartbeat: Heartbeat, held: bool | None, now_s: float) -> tuple[str, str]:
    """State and reason by what a run says of itself, and whether somebody trains in its folder."""
    here, silent_s = heartbeat.host == socket.gethostname(), now_s - heartbeat.beat_at
    ended = heartbeat.phase in (FINISHED, STOPPED)
    lives = _process_lives(heartbeat.pid) if here else silent_s < SILENT_S
    if held and not lives:  # the file is of the process before
        return STARTING, ""
    if ended:
        return heartbeat.phase, heartbeat.reason
    who = f"process {heartbeat.pid} on {heartbeat.host}"
    # On this host a lock that nobody holds is certain; from another it need not be seen.
    if not lives or (here and held is False):
        if here:
            return STOPPED, f"{who} was killed while {heartbeat.phase}"
        return STOPPED, f"{who} has not been heard of for {duration(silent_s)}"
    still_s, usual_s = heartbeat.beat_at - heartbeat.moved_at, heartbeat.usual_s
    patience_s = FIRST_S if usual_s is None else max(STALLED_S, STALLED_TIMES * usual_s)
    if still_s > patience_s:
        return STALLED, f"{who} lives, but nothing has moved for {duration(still_s)}"
    return heartbeat.phase, ""


def _left(folder: ModelDir, epochs_done: int, epochs: int | None) -> tuple[str, str]:
    """State and reason of a folder in which nobody trains and which has no progress.json."""
    if epochs is None:
        return NOT_BEGUN, ""
    if epochs_done >= epochs and folder.weights("final").is_file():
        return FINISHED, ""
    return STOPPED, "nothing tells that somebody trains in it"


def _rows(folder: ModelDir) -> list[dict[str, float]]:
    if not folder.history.is_file():
        return []
    try:
        rows = read_history(folder.history)
        return [{name: float(text) for name, text in row.items() if text} for row in rows]
    except (ValueError, TypeError) as error:
        reason = f"{folder.history} is damaged ({error}). {ADVICE}"
        raise (error if isinstance(error, ConfigError) else ConfigError(reason)) from None


def _epochs(folder: ModelDir) -> int | None:
    return folder.read_run()[0].epochs if folder.config.is_file() else None


def _process_lives(pid: int) -> bool:
    if os.name != "posix":  # where os.kill would end it; the lock will have to do
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True


def duration(seconds: float) -> str:
    """In words, by its two largest units: "3 h 12 min"."""
    left, parts = round(seconds), []
    for name, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        parts += [(count, name)] if count or parts else []
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count) or "0 s"
