"""The command `r21d status` as a table."""

import dataclasses
import json
import sys
import time

from absl import flags

from .command import Command, UsageError, starting_quietly

WATCH_S = 2.0  # seconds between two looks of --watch
CLEAR = "\x1b[H\x1b[2J"  # ANSI: to the upper left, and erase all


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean(
        "json", False, "print one JSON object a run, all in one line", flag_values=values
    )
    flags.DEFINE_boolean(
        "watch",
        False,
        "look again every two seconds, as long as a run is under way or has not begun",
        flag_values=values,
    )


def _status(values: flags.FlagValues, positional: list[str]) -> int:
    if not positional:
        raise UsageError("no run given; expected r21d status MODEL_DIR...")
    watch, as_json = values["watch"].value, values["json"].value
    told = None
    while True:
        with starting_quietly():  # of runs at URLs alone
            statuses = _look(positional)
        text = _as_json(statuses) if as_json else _as_text(statuses)
        screen = watch and not as_json and sys.stdout.isatty()
        steady = text if screen or as_json else _landmarks(statuses)  # a line a step is no log
        if steady != told:
            print(f"{CLEAR if screen else ''}{text}", flush=True)
        told = steady
        if not watch or not any(status.lives or status.state == "not begun" for status in statuses):
            return _code(statuses)
        time.sleep(WATCH_S)


def _look(paths: list[str]):
    from ..status import status_at

    return [status for path in paths for status in status_at(path)]


def _code(statuses) -> int:
    """The exit code of the run that most wants looking after."""
    from ..status import EXIT_CODES

    return EXIT_CODES[min((status.state for status in statuses), key=list(EXIT_CODES).index)]


def _landmarks(statuses) -> list:
    """What is worth a new text where texts come one below the other."""
    return [(status.state, status.reason, status.epochs_done) for status in statuses]


def _as_json(statuses) -> str:
    return "\n".join(json.dumps(facts(status)) for status in statuses)


def facts(status) -> dict:
    """All that is known of a run, for JSON: exit_code, and the fields of Status and Heartbeat."""
    from ..status import EXIT_CODES

    values = dataclasses.asdict(status)
    heartbeat = values.pop("heartbeat") or {}
    return {
        **heartbeat,
        **values,
        "folder": str(status.folder),
        "exit_code": EXIT_CODES[status.state],
        "lives": status.lives,
    }


def _as_text(statuses) -> str:
    if len(statuses) == 1:
        return details(statuses[0])
    width = max(len(str(status.folder)) for status in statuses)
    return "\n".join(f"{status.folder!s:<{width}}  {_headline(status)}" for status in statuses)


def details(status) -> str:
    """A run in several lines."""
    lines = [f"{status.folder}: {_headline(status)}"]
    lines += [f"  {name:<9} {text}" for name, text in _facts_in_words(status) if text]
    if status.state == "stopped":
        lines.append("  Start `r21d train` again with the same options to go on.")
    return "\n".join(lines)


def _headline(status) -> str:
    beat, parts = status.heartbeat, [status.state]
    if status.state in ("training", "validating", "stalled", "stopped") and beat:
        parts.append(f"epoch {beat.epoch} of {beat.epochs}, step {beat.step} of")
        parts[-1] += f" {beat.steps_per_epoch}"
        done = (beat.epoch - 1 + beat.step / beat.steps_per_epoch) / beat.epochs
        parts.append(f"{100 * done:.1f} %")
    elif status.epochs:
        parts.append(f"{status.epochs_done} of {status.epochs} epochs done")
    if status.reason:
        parts.append(status.reason)
    return ", ".join(parts)


def _facts_in_words(status):
    beat = status.heartbeat
    if beat and status.lives:
        yield "speed", _speed(beat)
        yield "left", "" if status.state == "stalled" else _left(beat)
        yield "now", _numbers(beat.metrics)
    if status.last:
        yield f"epoch {status.last['epoch']:.0f}", _numbers(status.last)
    if status.best:
        yield "best", f"val_accuracy {status.best[0]:.4g} (epoch {status.best[1]})"
    if beat and status.lives:
        yield "process", _process(status)


def _speed(beat) -> str:
    if beat.clips_per_second is None:
        return ""
    replicas = f"{beat.replicas} replica{'s' * (beat.replicas > 1)}"
    waiting = f", {100 * beat.input_wait:.0f} % of the time waiting for clips"
    return f"{beat.clips_per_second:.4g} clips/s on {replicas}{waiting}"


def _left(beat) -> str:
    from ..status import duration

    if beat.seconds_left is None:
        return ""
    least = "at least " if beat.left_is_least else "about "
    end = time.strftime("%a %d %b %H:%M", time.localtime(beat.beat_at + beat.seconds_left))
    why = " (the end of an epoch has not been timed yet)" if beat.left_is_least else ""
    return f"{least}{duration(beat.seconds_left)}, to {end}{why}"


def _process(status) -> str:
    from ..status import duration

    beat = status.heartbeat
    # Differences of its own clock, and what went by since its last beat.
    since = {name: beat.beat_at - at + status.silent_s for name, at in _moments(beat).items()}
    told = {name: duration(seconds) for name, seconds in since.items()}
    return (
        f"{beat.pid} on {beat.host}, for {told['began']}; last moved {told['moved']} ago, "
        f"last heard of {told['beat']} ago"
    )


def _moments(beat) -> dict[str, float]:
    return {"began": beat.began_at, "moved": beat.moved_at, "beat": beat.beat_at}


def _numbers(values: dict[str, float]) -> str:
    from ..history import COLUMNS

    known = [name for name in COLUMNS[1:-1] if name in values]  # all but epoch and seconds
    return "  ".join(f"{name} {values[name]:.4g}" for name in known)


STATUS_COMMANDS = {
    "status": Command(
        "say how runs go: progress, speed, time left, last metrics, whether they live",
        "MODEL_DIR... [--watch] [--json]",
        _define,
        _status,
    ),
}
"""By name."""
