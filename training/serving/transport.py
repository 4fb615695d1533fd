"""How a server is reached: where it is, what it can be asked, and what can go wrong."""

import re
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..remote.urls import shown
from .tensors import Spec

TLS = {"grpc": False, "grpcs": True, "http": False, "https": True}
"""Schemes of a server's URL, and whether what they carry is encrypted."""
_EXPECTED = "grpc://HOST:PORT or http://HOST:PORT, then /NAME of the model, then /versions/N"
_URL = re.compile(
    r"(?P<scheme>\w+)://(?P<host>[^/?#\s]+)"
    r"(?P<prefix>(?:/[^/\s]+)*?/v1/models)?(?:/(?P<model>[^/:\s]+)(?:/versions/(?P<version>\d+))?)?/?"
)
_FAULT = re.compile(r"assertion failed: \[(.*)\]$", re.MULTILINE)
_AT_NODE = re.compile(r"^(.+)\n\s*\[\[\{\{node ", re.MULTILINE)  # of TensorFlow's own operations


class ServerError(OSError):
    """What was asked of a server is not answered.

    code: of the error, by gRPC's names: "INVALID_ARGUMENT", "UNAVAILABLE". detail: what the server
    says itself.
    """

    def __init__(self, code: str, detail: str, message: str | None = None):
        super().__init__(message or f"{code}: {detail}")
        self.code, self.detail = code, detail

    @property
    def fault(self) -> str:
        """What the graph of an export found wrong, without what TensorFlow says around it."""
        found = _FAULT.search(self.detail) or _AT_NODE.search(self.detail)
        return found[1] if found else self.detail


@dataclass(frozen=True)
class Address:
    """Where a model is served.

    model: "" if its name is not said. version: None is the newest. headers: names and values, the
    names in lower case, as gRPC wants them.
    """

    scheme: str
    host: str
    model: str = ""
    version: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    prefix: str = field(default="/v1/models", kw_only=True)

    @property
    def shown(self) -> str:
        """The server, for messages; no name and password."""
        return f"{self.scheme}://{self.host.rpartition('@')[2]}"


def address_of(url: str) -> Address:
    """Parses grpc://HOST:PORT[/NAME[/versions/N]], or http:// with the same or with TensorFlow
    Serving's own path, /v1/models/NAME; grpcs:// and https:// are encrypted.

    Raises:
        ValueError: anything else.
    """
    found = _URL.fullmatch(url)
    server = f"server={shown(url)!r}"
    if not found or found["scheme"].lower() not in TLS:
        raise ValueError(f"{server}: expected {_EXPECTED}; grpcs and https are encrypted.")
    scheme, version = found["scheme"].lower(), found["version"]
    port = re.search(r":(\d*)$", found["host"])
    if port and not 0 < int(port[1] or 0) < 1 << 16:
        raise ValueError(f"{server}: expected a port from 1 to 65535.")
    if scheme.startswith("grpc") and not port:
        raise ValueError(f"{server} has no port; TensorFlow Serving's own is 8500.")
    if scheme.startswith("grpc") and "@" in found["host"]:
        raise ValueError(
            f"{server} with a user's name: gRPC has none in its URLs. Leave it out; a program says "
            "who it is by headers= of Client."
        )
    return Address(
        scheme,
        found["host"],
        found["model"] or "",
        int(version) if version else None,
        prefix=found["prefix"] or "/v1/models",
    )


class Transport(Protocol):
    """Asks a server once. Every method raises ServerError, and all may be used by many threads."""

    sends_pixels: bool
    """Whether arrays travel as they are. Where not, encoded frames are much smaller."""

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], timeout_s: float
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature; strings are arrays of bytes objects."""

    def signatures(self, timeout_s: float) -> dict[str, tuple[dict[str, Spec], dict[str, Spec]]]:
        """Inputs and outputs of each signature, by name."""

    def versions(self, timeout_s: float, model: str | None = None) -> dict[int | None, str]:
        """State of each version of a model, by number; None of a server that has no versions."""

    def close(self) -> None:
        """Ends the connection."""


def connect(address: Address) -> Transport:
    """The transport of an address; nothing is sent yet."""
    if address.scheme.startswith("grpc"):
        from .grpc_transport import GrpcTransport

        return GrpcTransport(address)
    from .rest_transport import RestTransport

    return RestTransport(address)
