"""TensorFlow Serving's REST interface, of which KServe's V1 protocol is a part."""

import base64
import contextlib
import json
import threading
import time
import weakref
from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import requests
import urllib3

from .names import ABOUT, DESCRIBE, EMBEDDING, FEATURES
from .tensors import Spec, spec_of_json
from .transport import Address, ServerError

# tensorflow_serving/model_servers/http_server.cc, and what proxies answer themselves.
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_PASSING = (
    requests.exceptions.ConnectionError,
    requests.exceptions.ChunkedEncodingError,
    requests.exceptions.ContentDecodingError,
)
_ONLY = {FEATURES: EMBEDDING, DESCRIBE: ABOUT}  # the output of signatures that have one
_MEANING = {413: ", too large"}  # by which the client knows it, whatever words follow
_PIECE_BYTES = 1 << 16
_SHOWN = 300  # characters of an answer that is no JSON


class RestTransport:
    """Connections to a server, one for each thread that asks."""

    sends_pixels = False

    def __init__(self, address: Address):
        self._address = address
        self._local = threading.local()
        # Of threads that have ended they go, with their sockets.
        self._sessions, self._lock = weakref.WeakSet(), threading.Lock()

    def predict(
        self, signature: str, inputs: dict[str, np.ndarray], timeout_s: float
    ) -> dict[str, np.ndarray]:
        """As Transport says."""
        rows = [
            dict(zip(inputs, row, strict=True))
            for row in zip(*(map(_jsonable, array) for array in inputs.values()), strict=True)
        ]
        body = json.dumps({"signature_name": signature, "instances": rows})
        answer = self._ask("POST", f"{self._model()}:predict", timeout_s, body)
        with _read_as_known():
            return _outputs(answer["predictions"], _ONLY.get(signature, ""))

    def signatures(self, timeout_s: float) -> dict[str, tuple[dict[str, Spec], dict[str, Spec]]]:
        """As Transport says."""
        answer = self._ask("GET", f"{self._model()}/metadata", timeout_s)
        with _read_as_known():
            return {
                name: tuple(
                    {key: spec_of_json(info) for key, info in signature.get(side, {}).items()}
                    for side in ("inputs", "outputs")
                )
                for name, signature in answer["metadata"]["signature_def"]["signature_def"].items()
            }

    def versions(self, timeout_s: float, model: str | None = None) -> dict[int | None, str]:
        """As Transport says."""
        answer = self._ask("GET", f"/{quote(model or self._address.model)}", timeout_s)
        if "model_version_status" in answer:
            with _read_as_known():
                return {int(row["version"]): row["state"] for row in answer["model_version_status"]}
        if "ready" in answer:  # KServe, which has one of each model
            return {None: "AVAILABLE" if answer["ready"] in (True, "True") else "LOADING"}
        raise _senseless("neither model_version_status nor ready")

    def close(self) -> None:
        """As Transport says."""
        with self._lock:
            for session in list(self._sessions):
                session.close()

    def _model(self) -> str:
        version = self._address.version
        number = "" if version is None else f"/versions/{version}"
        return f"/{quote(self._address.model)}{number}"

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = self._local.session = requests.Session()
            session.headers.update(dict(self._address.headers))
            if "authorization" in session.headers:  # else one of ~/.netrc would take its place
                session.auth = lambda request: request
            with self._lock:
                self._sessions.add(session)
        return self._local.session

    def _ask(self, method: str, path: str, timeout_s: float, body: str | None = None) -> dict:
        url = f"{self._address.scheme}://{self._address.host}{self._address.prefix}{path}"
        until_s = time.monotonic() + timeout_s
        kind = {"Content-Type": "application/json"} if body else None
        try:
            with self._session().request(
                method, url, data=body, headers=kind, timeout=timeout_s, stream=True
            ) as response:
                text = _read(response, until_s)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise ServerError("DEADLINE_EXCEEDED", f"no answer within {timeout_s:.3g} s") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise _broken(error) from None
        return _parsed(response.status_code, text)


def _read(response: requests.Response, until_s: float) -> str:
    """The body, read as it comes, so that one that trickles has its end too."""
    pieces = []
    while piece := response.raw.read1(_PIECE_BYTES, decode_content=True):
        pieces.append(piece)
        if time.monotonic() > until_s:
            raise requests.Timeout
    return b"".join(pieces).decode("utf-8", "replace")


def _broken(error: Exception) -> ServerError:
    kinds = requests.exceptions
    if isinstance(error, kinds.InvalidURL):  # whose words have the password in them
        return ServerError("FAILED_PRECONDITION", "the URL is none that HTTP can use")
    passing = isinstance(error, _PASSING) and not isinstance(error, kinds.SSLError)
    if isinstance(error, requests.RequestException) and not passing:
        return ServerError("FAILED_PRECONDITION", f"{type(error).__name__}: {error}")
    return ServerError("UNAVAILABLE", f"{type(error).__name__}: {error}")


def _parsed(status: int, text: str) -> dict:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if status == 200 and isinstance(answer, dict):
        return answer
    if status == 200:
        raise _senseless(f"no JSON object but {text[:_SHOWN]!r}")
    # Of a proxy, or of a server that is none of TensorFlow Serving's.
    detail = f"HTTP status {status}{_MEANING.get(status, '')} {text[:_SHOWN]}".strip()
    if isinstance(answer, dict) and status not in _MEANING:
        detail = str(answer.get("error", answer.get("detail", detail)))
    code = _CODES.get(status, "UNKNOWN" if status < 500 else "INTERNAL")
    raise ServerError(code, detail)


def _jsonable(row):
    """A row of an array: numbers as nested lists, bytes as base64."""
    if isinstance(row, bytes):
        return {"b64": base64.b64encode(row).decode()}
    if isinstance(row, np.ndarray):
        return row.tolist() if row.dtype != object else [_jsonable(value) for value in row]
    return row.item() if isinstance(row, np.generic) else row


def _outputs(rows: list, only: str) -> dict[str, np.ndarray]:
    """Columns of what comes in rows; a single output, `only`, comes without its name."""
    if not isinstance(rows[0], dict):
        return {only: _array(rows)}
    return {name: _array([row[name] for row in rows]) for name in rows[0]}


def _array(values: list) -> np.ndarray:
    array = np.array(values)
    if array.dtype.kind == "U":
        octets = [text.encode() for text in array.ravel().tolist()]
        return np.array(octets, object).reshape(array.shape)
    return array.astype(np.float32)


@contextlib.contextmanager
def _read_as_known() -> Iterator[None]:
    """Says of an answer that is of another form whose it is not."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _senseless(f"{type(error).__name__} {error}") from None


def _senseless(what: str) -> ServerError:
    return ServerError("INTERNAL", f"an answer that is not TensorFlow Serving's: {what}")
