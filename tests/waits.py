"""Waiting in tests, for what has to come: not for ever."""

import signal
import subprocess
import time

LONGEST_S = 300.0  # for what takes some seconds on a machine that does nothing else


def until(condition, processes=(), said=str):
    """Waits until `condition()` holds, which it has to while `processes` run.

    processes: of subprocess or of multiprocessing. said: gives what is shown if it does not.
    """
    end_s = time.monotonic() + LONGEST_S
    while not condition():
        assert all(_runs(process) for process in processes), f"ended too early: {said()}"
        assert time.monotonic() < end_s, f"not in {LONGEST_S:g} s: {said()}"
        time.sleep(0.005)


def code_of(process: subprocess.Popen) -> int:
    """What a process exits with. One that hangs is aborted."""
    try:
        return process.wait(LONGEST_S)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGABRT)  # with PYTHONFAULTHANDLER its stacks are on stderr
        return process.wait()


def _runs(process) -> bool:
    return process.poll() is None if hasattr(process, "poll") else process.is_alive()
