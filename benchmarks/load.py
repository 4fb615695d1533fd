"""A server under load: many clients, clips mixed in number, length and size, some of them bad.

    python -m benchmarks.load                              # the test double and KServe, 10,000 each
    python -m benchmarks.load --requests=1000 --server=grpc://host:8500/mine --model=models/mine

Every answer is compared with the one that the SavedModel gives here, and every bad request has to
be INVALID_ARGUMENT, so that what is counted are right answers. Writes load.json and load.md.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks.ledger import Ledger, conditions, write_text
from benchmarks.load_requests import BY_REST, TIMEOUT_S, ask, requests_for

HERE = pathlib.Path(__file__).parent
MEMORY_EVERY = 20  # samples of memory in a run
NETWORK = {"variant": "r2plus1d_10", "width_multiplier": 0.125, "clip_frames": 8}
FRAMES = {"resize_height": 36, "resize_width": 48, "crop_size": 32}


def main() -> None:
    """Runs what is not in load.json yet, and writes load.md."""
    options = _options()
    ledger = Ledger(options.out / "load.json")
    with tempfile.TemporaryDirectory() as scratch:
        model = options.model or _exported(pathlib.Path(scratch))
        asked = list(requests_for(model))
        chosen = {n: start for n, start in _servers(options, model).items() if options.only in n}
        if not chosen:
            raise SystemExit(f"--only={options.only}: no server has this in its name.")
        for name, start in chosen.items():
            of = f", {options.model}" if options.model else ""
            key = f"{name}{of}, {options.requests} requests, {options.clients} clients"
            if key in ledger:
                print(f"{key}: is in {ledger.path.name}; remove it there to measure it again")
                continue
            with start() as (url, process):
                row = loaded(url, process, asked, options.requests, options.clients)
            packages = ("tensorflow-cpu", "grpcio", "kserve")
            ledger[key] = {"server": f"{name}{of}", **row, **conditions(*packages)}
            print(json.dumps(ledger.rows[key]), flush=True)
    write_text(options.out / "load.md", report(ledger.rows))


def loaded(url: str, process: int | None, asked: list[dict], count: int, clients: int) -> dict:
    """Figures of `count` requests by as many threads as `clients`.

    Args:
        process: of the server, whose memory is looked at; None: it is on another machine.
        asked: what `requests_for` gives.
    """
    from r21d_keras.training.serving.transport import address_of, connect

    transport = connect(address_of(url))
    asked = [row for row in asked if transport.sends_pixels or row["kind"] in BY_REST]
    draw = random.Random(0)
    weights = [row["weight"] for row in asked]
    order = draw.choices(asked, weights, k=count)
    for row in asked * 2:  # the first of each shape is prepared, and is no part of the load
        ask(transport, row)
    memory, done, lock = [_resident(process)], [0], threading.Lock()

    def work(row: dict) -> tuple[float, str]:
        begun_s = time.perf_counter()
        fault = ask(transport, row)
        took_s = time.perf_counter() - begun_s
        with lock:
            done[0] += 1
            if done[0] % max(1, count // MEMORY_EVERY) == 0:
                memory.append(_resident(process))
        return took_s, fault

    begun_s = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        results = list(pool.map(work, order))
    wall_s = time.perf_counter() - begun_s
    transport.close()
    took_ms = sorted(1e3 * took_s for took_s, _ in results)
    faults = [fault for _, fault in results if fault]
    return {
        "requests": count,
        "clients": clients,
        "clips": sum(row["clips"] for row in order),
        "bad": sum(row["refused"] for row in order),
        "seconds": round(wall_s, 2),
        "ms": {f"p{share}": round(_percentile(took_ms, share), 1) for share in (50, 95, 99)},
        "wrong": len(faults),
        "first_wrong": faults[:3],
        "mib": [None if size is None else round(size / 2**20, 1) for size in memory],
    }


def report(rows: dict[str, dict]) -> str:
    """load.md."""
    lines = [
        "# Servers under load\n",
        "Written by benchmarks/load.py, whose clients run on the same machine and take their share "
        "of it. Every answer was compared with the SavedModel's, numbers and labels, every bad "
        "request was to be refused. MiB: of the server's process.\n",
        "| server | clients | requests | bad | wrong | requests/s | clips/s | p50, ms | p95 | p99 "
        "| MiB first | half | last |",
        "| --- " + "| --: " * 12 + "|",
    ]
    for row in rows.values():
        memory = row["mib"]
        sizes = [memory[0], memory[len(memory) // 2], memory[-1]]
        figures = [
            row["server"],
            *(row[name] for name in ("clients", "requests", "bad", "wrong")),
            f"{row['requests'] / row['seconds']:.0f}",
            f"{row['clips'] / row['seconds']:.0f}",
            *row["ms"].values(),
            *("" if size is None else f"{size:.0f}" for size in sizes),
        ]
        lines.append(f"| {' | '.join(map(str, figures))} |")
    lines.append("")
    lines += [
        f"- {row['server']}: {row['date']}, {row['machine']}, load average {row['load']}; "
        f"{row['versions']}."
        for row in rows.values()
    ]
    network = ", ".join(f"{name} {value}" for name, value in {**NETWORK, **FRAMES}.items())
    lines.append(
        f"\nThe network, unless another was named: {network}. The test double is Python around "
        "TensorFlow's C++ session (tests/serving_double.py): these figures are of exports, not of "
        "TensorFlow Serving, which was not run here. By REST and in KServe "
        "frames are sent as PNG alone.\n"
    )
    return "\n".join(lines)


def _exported(scratch: pathlib.Path) -> pathlib.Path:
    """The folder of versions of a network with random weights."""
    from benchmarks.random_run import write_random_run
    from r21d_keras.training.data import motion
    from r21d_keras.training.serving.saved_model import export

    motion.write_videos(scratch / "videos", 1, 0)
    options = {name: value for name, value in NETWORK.items() if name != "variant"} | FRAMES
    write_random_run(scratch / "run", NETWORK["variant"], scratch / "videos", **options)
    export(scratch / "run", scratch / "models")
    return scratch / "models"


def _servers(options: argparse.Namespace, model: pathlib.Path) -> dict:
    """What starts each server: a context of its URL and process."""
    if options.server:
        return {options.server: lambda: contextlib.nullcontext((options.server, None))}
    found = {f"test double, {kind}": lambda kind=kind: _double(model, kind) for kind in _KINDS}
    if importlib.util.find_spec("kserve"):
        found["KServe, rest"] = lambda: _kserve(model)
    return found


_KINDS = ("grpc", "rest")


@contextlib.contextmanager
def _double(model: pathlib.Path, kind: str):
    with _process("tests.serving_double", f"mine={model}") as process:
        yield f"{json.loads(process.stdout.readline())[kind]}/mine", process.pid


@contextlib.contextmanager
def _kserve(model: pathlib.Path):
    from r21d_keras.training.serving import Client
    from r21d_keras.training.serving.versions import version_in

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/mine"
    arguments = ("mine", str(version_in(model)), str(port))
    # Its log of requests goes nowhere: a pipe that nobody reads fills up, and the server waits.
    with _process("tests.kserve_server", *arguments, stdout=subprocess.DEVNULL) as process:
        with Client(url, timeout_s=TIMEOUT_S) as client:
            client.versions()
        yield url, process.pid


@contextlib.contextmanager
def _process(module: str, *arguments: str, stdout: int = subprocess.PIPE):
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=HERE.parent,
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "NO_PROXY": "127.0.0.1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _resident(process: int | None) -> int | None:
    """Bytes of memory that a process of this machine has."""
    if process is None:
        return None
    status = pathlib.Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    if not found:
        raise SystemExit(f"The server (process {process}) has ended under load.")
    return 1024 * int(found[1])


def _percentile(ordered: list[float], share: int) -> float:
    return statistics.quantiles(ordered, n=100, method="inclusive")[share - 1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--only", default="", help="servers with this in their names: grpc, KServe")
    parser.add_argument("--model", type=pathlib.Path, help="folder of versions of an RGB model")
    parser.add_argument("--server", help="one that runs, with that model: grpc://HOST:PORT/NAME")
    parser.add_argument("--out", type=pathlib.Path, default=HERE)
    options = parser.parse_args()
    if options.server and not options.model:
        parser.error("--server needs --model: the export that it serves.")
    return options


if __name__ == "__main__":
    main()
