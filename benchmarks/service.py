"""What both sides of side_by_side.py answer: prepare a call, time it, tell the memory it took."""

import gc
import pathlib
import re
import resource
import sys
import time

import numpy as np

SIDE = 2048  # of the matrix product that says what the machine can do


class Service:
    """Calls by (configuration, variant, kind, batch), kept until it is told to forget them.

    Args:
        make_call: from those four to a function that runs once and waits for its result.
        make_product: from a float32 matrix to a function that multiplies it by itself.
        reset: frees what the framework keeps of past networks.
    """

    def __init__(self, make_call, make_product, reset):
        self.make_call, self.make_product, self.reset = make_call, make_product, reset
        self.calls, self.multiply = {}, None

    def prepare(self, **case) -> dict:
        """Builds and compiles; nothing if that was done before."""
        key = tuple(case.values())
        if key not in self.calls:
            self.calls[key] = self.make_call(*key)
            self.calls[key]()
            self.calls[key]()  # compilers look twice
        return {}

    def time(self, **case) -> dict:
        """Seconds of one run."""
        return {"seconds": _seconds(self.calls[tuple(case.values())])}

    def forget(self) -> dict:
        """Frees all that was prepared."""
        self.calls.clear()
        self.reset()
        gc.collect()
        return {}

    def peak(self) -> dict:
        """The most memory that this process has had resident."""
        return {"mib": peak_mib()}

    def product(self) -> dict:
        """Thousand millions of float32 operations a second in one matrix product."""
        if self.multiply is None:
            a = np.random.default_rng(0).standard_normal((SIDE, SIDE), dtype="float32")
            self.multiply = self.make_product(a)
            self.multiply()
        return {"gflops": 2 * SIDE**3 / _seconds(self.multiply) / 1e9}


def _seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_mib() -> float:
    """The most memory that this process has had resident."""
    status = pathlib.Path("/proc/self/status")
    if status.is_file():  # ru_maxrss there begins with what the parent had at the fork
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
