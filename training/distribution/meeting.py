"""All workers come together before TensorFlow connects them."""

import contextlib
import errno
import json
import select
import socket
import time
from collections.abc import Iterable

from ..options import ConfigError
from .cluster import Cluster
from .lost import WorkerLostError

PAUSE_S = 0.2  # between two calls that nobody answers
HELLO_S = 5.0  # in which a caller has to say who it is
MOST_BYTES = 1 << 20  # of a message; the addresses of some 10,000 workers


def meet(cluster: Cluster, timeout_s: float) -> None:
    """Returns on all workers when the last of them has come.

    TensorFlow's chief has no limit to how long it waits for the others, and Python cannot interrupt
    it. So the chief listens here first, at the very address that is TensorFlow's afterwards.

    Raises:
        WorkerLostError: if not all have come within `timeout_s`; it says who is missing.
        ConfigError: if a worker has been told of other workers, or the chief's port is taken.
    """
    deadline = time.monotonic() + timeout_s
    if len(cluster) == 1:
        return
    try:
        if cluster.index:
            _call(cluster, deadline)
        else:
            _receive(cluster, deadline)
    except TimeoutError as missing:
        raise WorkerLostError(
            f"Not all of the {len(cluster)} workers came within worker_timeout_s={timeout_s:g}: "
            f"{missing}. Start all workers at about the same time, check that they reach one "
            "another at these addresses, or give a longer --worker_timeout_s."
        ) from None


def _receive(cluster: Cluster, deadline: float) -> None:
    """The chief's part: takes the calls of all others, and answers when it has them."""
    callers: dict[int, socket.socket] = {}
    with contextlib.ExitStack() as held:
        server = held.enter_context(_server(cluster, deadline))
        while len(callers) < len(cluster) - 1:
            if not _readable(server, deadline):
                missing = f"missing {_names(cluster, {*range(1, len(cluster))} - callers.keys())}"
                _answer(callers.values(), "missing", missing)
                raise TimeoutError(missing)
            caller = held.enter_context(server.accept()[0])
            hello = _read(caller, time.monotonic() + HELLO_S)
            if hello.get("addresses") == list(cluster.addresses):
                callers[hello["index"]] = caller  # in place of one that was started before it
            elif hello:
                text = (
                    f"The workers do not agree who they are: the chief at {cluster.address} has "
                    f"been told of {cluster.addresses}, another of {hello.get('addresses')}."
                )
                _answer([*callers.values(), caller], "differ", text)
                raise ConfigError(text)
            # Who has hung up in the meantime, as one that was killed, has to call again.
            callers = {i: one for i, one in callers.items() if not _readable(one, 0.0)}
        _answer(callers.values(), "go", "")


def _call(cluster: Cluster, deadline: float) -> None:
    """The others' part: call the chief until it answers."""
    hello = {"index": cluster.index, "addresses": cluster.addresses}
    found, answer = False, {}
    while (left_s := deadline - time.monotonic()) > 0:
        with contextlib.suppress(OSError), _calling(cluster.addresses[0], left_s) as chief:
            chief.sendall(_packed(hello))
            answer = _read(chief, deadline)
            found = True
        if not answer:
            time.sleep(PAUSE_S)
        elif "go" in answer:
            return
        elif "differ" in answer:
            raise ConfigError(answer["differ"])
        else:
            raise TimeoutError(answer["missing"])
    others = "the chief has come and waits for another"
    raise TimeoutError(others if found else f"missing {_names(cluster, [0])}")


def _calling(address: str, timeout_s: float) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout_s)


def _server(cluster: Cluster, deadline: float) -> socket.socket:
    """Listens at the chief's port, which a run that is just ending may still have."""
    port = int(cluster.address.rpartition(":")[2])
    while True:
        try:
            return socket.create_server(("", port), backlog=len(cluster))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise ConfigError(
                    f"The chief cannot listen at {cluster.address} ({error.strerror}). End what "
                    "uses the port, or give another one in TF_CONFIG."
                ) from None
        time.sleep(PAUSE_S)


def _readable(at: socket.socket, until: float) -> bool:
    return bool(select.select([at], [], [], max(until - time.monotonic(), 0.0))[0])


def _read(at: socket.socket, until: float) -> dict:
    """The message that comes from there; empty if none comes, or something else."""
    data = b""
    with contextlib.suppress(OSError, ValueError):
        while _readable(at, until) and len(data) < MOST_BYTES:
            data += (more := at.recv(MOST_BYTES))
            if data.endswith(b"\n"):
                message = json.loads(data)
                return message if isinstance(message, dict) else {}
            if not more:
                break
    return {}


def _answer(callers: Iterable[socket.socket], key: str, text: str) -> None:
    for caller in callers:
        with contextlib.suppress(OSError):
            caller.sendall(_packed({key: text}))


def _packed(message: dict) -> bytes:
    return f"{json.dumps(message)}\n".encode()


def _names(cluster: Cluster, indices: Iterable[int]) -> str:
    return ", ".join(f"worker {i} ({cluster.addresses[i]})" for i in sorted(indices))
