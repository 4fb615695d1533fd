"""progress.json of a run: where it stands, and that it lives. Read and written without keras."""

import dataclasses
import json
from dataclasses import dataclass, field

from .config import ConfigError
from .run_folder import ModelDir, write_text

VERSION = 1
BEAT_S = 10.0  # seconds from one writing of progress.json to the next

STARTING, TRAINING, VALIDATING = "starting", "training", "validating"
FINISHED, STOPPED = "finished", "stopped"
PHASES = (STARTING, TRAINING, VALIDATING, FINISHED, STOPPED)
"""What a run says of itself; that it was killed is for others to find out."""


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """Where a run stands. Moments are seconds since 1970 by the clock of its host.

    Attributes:
        phase: one of PHASES. reason: why it has stopped, one line.
        host, pid: the process that trains, or trained last.
        began_at: when that process began. beat_at: when this was written. moved_at: when a training
            step, or a phase, last ended.
        usual_s: seconds between two such ends, of late the longest; None: not known yet.
        epoch: the one being trained, from 1. epochs: how many it is to be. step: steps done in it.
            steps_per_epoch: how many there are.
        replicas: among which a batch is divided.
        clips_per_second, input_wait: of the last minute of training; the share of the time in
            which nothing was done but wait for clips. None: not measured yet.
        seconds_left: to the end of the run at this speed. left_is_least: what comes at the end of
            an epoch has not been measured yet, and is not in it.
        metrics: means over the steps of this epoch.
    """

    version: int = VERSION
    phase: str = STARTING
    reason: str = ""
    host: str
    pid: int
    began_at: float
    beat_at: float
    moved_at: float
    usual_s: float | None = None
    epoch: int
    epochs: int
    step: int = 0
    steps_per_epoch: int
    replicas: int
    clips_per_second: float | None = None
    input_wait: float | None = None
    seconds_left: float | None = None
    left_is_least: bool = False
    metrics: dict[str, float] = field(default_factory=dict)


def write_heartbeat(folder: ModelDir, heartbeat: Heartbeat) -> None:
    """Replaces progress.json as a whole."""
    write_text(folder.progress, json.dumps(dataclasses.asdict(heartbeat), indent=2) + "\n")


def read_heartbeat(folder: ModelDir) -> Heartbeat | None:
    """What progress.json says; None without one, as of a run that has not begun to train.

    Raises:
        ConfigError: if it is not one of this version.
    """
    try:
        values = json.loads(folder.progress.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"{folder.progress} is damaged ({error}). {_ADVICE}") from None
    version = values.get("version") if isinstance(values, dict) else None
    if version != VERSION:
        raise ConfigError(
            f"{folder.progress} has version {version!r}; expected {VERSION}, as this r21d writes "
            f"it. {_ADVICE}"
        )
    try:
        heartbeat = Heartbeat(**values)
    except TypeError as error:
        raise ConfigError(f"{folder.progress} is damaged ({error}). {_ADVICE}") from None
    wrong = [name for name in _KINDS if not isinstance(getattr(heartbeat, name), _KINDS[name])]
    if wrong or heartbeat.phase not in PHASES:
        names = ", ".join(wrong or ["phase"])
        raise ConfigError(f"{folder.progress} is damaged (wrong {names}). {_ADVICE}")
    return heartbeat


_KINDS = {
    f.name: f.type if f.type in (str, int, bool) else f.type | int
    for f in dataclasses.fields(Heartbeat)
    if f.name != "metrics"
} | {"metrics": dict}

_ADVICE = "Remove it: it tells only how the run goes, and is written anew while the run trains."
