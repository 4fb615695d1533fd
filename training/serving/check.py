"""Whether a server answers as the SavedModel that it has: the checks of `r21d serve-check`."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError

from ..records.tfrecord import RecordError, read_record
from .about import read_about
from .check_cases import Case, answered, refused, shortest, stream_of
from .client import Client
from .comparison import WrongError, compared, fault_of
from .local_transport import LocalTransport
from .messages import MESSAGES
from .names import (
    ABOUT,
    DESCRIBE,
    METADATA,
    SERVING_DEFAULT,
    SIGNATURES,
    WARMUP,
)
from .tensors import from_message
from .transport import Address, ServerError, Transport, address_of, connect
from .versions import number_of

PASSED, FAILED, LEFT_OUT = "passed", "FAILED", "left out"
_THERE = "has the model"
_AT_ONCE, _REQUESTS = 8, 32  # threads, and what they ask together
_ADDED = {"warmed_up_batch_sizes"}  # to what `describe` tells, by later versions of this package
_NO_VERSION = 2**62
_SHOWN = 160  # characters of a detail, which may be a server's words


@dataclass(frozen=True)
class Outcome:
    """Of one check. result: PASSED, FAILED or LEFT_OUT. detail: figures, or why."""

    name: str
    result: str
    detail: str = ""

    def __str__(self) -> str:
        return f"  {self.result:<8}  {self.name}{': ' if self.detail else ''}{self.detail}"


class _LeftOut(Exception):
    """A check that is not for this server."""


def check_files(version: Path, timeout_s: float) -> Iterator[Outcome]:
    """Checks of a version without a server: it answers, refuses, and warms up."""
    local = LocalTransport(version)
    yield _outcome("warm-up requests", lambda: _warmup(version, local, timeout_s))
    yield from _Checks(version, local, local, timeout_s).all()


def check_server(version: Path, url: str, timeout_s: float) -> Iterator[Outcome]:
    """Checks of a server that has this version.

    The first is whether it has such a model; if not, there are no others.

    Args:
        url: as for Client. Without a name of the model that of the variant is taken, as `r21d
            export` gives it, or else the only one that is there.

    Raises:
        ValueError: another URL.
    """
    try:
        address = _address(url, version, timeout_s)
    except ServerError as error:
        yield _failed(_THERE, error)
        return
    yield Outcome(_THERE, PASSED, address.model)
    transport = connect(address)
    try:
        yield from _Checks(version, transport, LocalTransport(version), timeout_s, address).all()
    finally:
        transport.close()


def _address(url: str, version: Path, timeout_s: float) -> Address:
    """Where that version is, of the model that `url` names or that is named after its variant."""
    if not address_of(url).model:
        named = f"{url.rstrip('/')}/{read_about(version)['variant']}"
        try:
            return _address(named, version, timeout_s)
        except ServerError as error:
            if error.code != "NOT_FOUND":
                raise
    with Client(url, timeout_s=timeout_s) as client:
        there, address = client.versions(), client.address
    number = number_of(version)
    if address.version is None and number in there and number is not None:
        return replace(address, version=number)  # not the newest, which may be another
    return address


class _Checks:
    """The checks of one server against the SavedModel `own`."""

    def __init__(
        self,
        version: Path,
        asked: Transport,
        own: Transport,
        timeout_s: float,
        address: Address | None = None,
    ):
        self._number = number_of(version)
        self._about = read_about(version)
        self._asked, self._own, self._timeout_s = asked, own, timeout_s
        self._address = address

    def all(self) -> Iterator[Outcome]:
        yield _outcome("version", self._version)
        yield _outcome("signatures", self._signatures)
        yield _outcome("describe", self._describe)
        for case in answered(self._about):
            yield _outcome(f"answers {case.name}", lambda case=case: self._answers(case))
        yield _outcome(f"answers {_REQUESTS} requests at once", self._at_once)
        for case in refused(self._about):
            yield _outcome(f"refuses {case.name}", lambda case=case: self._refuses(case))
        if self._address:
            yield _outcome("refuses unknown signatures", self._unknown_signature)
            yield _outcome("refuses unknown versions", self._unknown_version)
            yield _outcome("refuses unknown models", self._unknown_model)

    @cached_property
    def _is_kserve(self) -> bool:
        return None in self._asked.versions(self._timeout_s) and self._address is not None

    def _version(self) -> str:
        found, wanted = self._asked.versions(self._timeout_s), self._number
        if None in found or wanted is None:
            # No versions there, or none that the folder's name says: the newest answers.
            able = [number for number, state in found.items() if state == "AVAILABLE"]
            wanted = max(able, key=lambda number: number or 0, default=None)
        if found.get(wanted) != "AVAILABLE":
            raise WrongError(f"expected version {wanted or 'any'} AVAILABLE, got {found}")
        return "AVAILABLE, without a number" if wanted is None else f"{wanted} AVAILABLE"

    def _signatures(self) -> str:
        if self._is_kserve:
            raise _LeftOut("the server has no metadata of models")
        found, own = self._asked.signatures(self._timeout_s), self._own.signatures(self._timeout_s)
        for name, sides in own.items():
            if name not in found:
                raise WrongError(f"{name} is missing; the server has {', '.join(found)}")
            for mine, theirs in zip(sides, found[name], strict=True):
                if {key: spec.kind for key, spec in mine.items()} != {
                    key: spec.kind for key, spec in theirs.items()
                }:
                    raise WrongError(f"{name}: expected {_told(mine)}, got {_told(theirs)}")
        return ", ".join(own)

    def _describe(self) -> str:
        asked = {DESCRIBE: np.array([b"?"], object)}
        told = json.loads(self._asked.predict(DESCRIBE, asked, self._timeout_s)[ABOUT][0])
        keys = sorted(set(told) | set(self._about) - _ADDED)
        other = [key for key in keys if self._about.get(key) != told.get(key)]
        if other:
            raise WrongError(f"another model than {METADATA} says, in {', '.join(other)}")
        return f"{told['variant']}, {len(told['classes'])} classes"

    def _answers(self, case: Case) -> str:
        return f"largest difference {self._difference(case):.1e}"

    def _difference(self, case: Case) -> float:
        answer = self._asked.predict(case.signature, case.inputs, self._timeout_s)
        return compared(answer, self._own.predict(case.signature, case.inputs, self._timeout_s))

    def _at_once(self) -> str:
        case = shortest(self._about)
        own = self._own.predict(case.signature, case.inputs, self._timeout_s)

        def ask(_) -> float:
            answer = self._asked.predict(case.signature, case.inputs, self._timeout_s)
            return compared(answer, own)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            largest = max(pool.map(ask, range(_REQUESTS)))
        return f"by {_AT_ONCE} threads, largest difference {largest:.1e}"

    def _refuses(self, case: Case) -> str:
        if not (case.rest or self._asked.sends_pixels):
            raise _LeftOut("cannot be said in JSON, or is large there")
        fault = fault_of(
            lambda: self._asked.predict(case.signature, case.inputs, self._timeout_s),
            ("INVALID_ARGUMENT",),
        )
        self._difference(shortest(self._about))  # the next one is answered
        if case.words in fault:
            return ""
        # Python looks before the graph does, here and in KServe, and says it in its own words: of
        # KServe's answers it is a part, of the files it says nothing.
        if self._address is None:
            raise _LeftOut(f"Python refuses it before the graph: {fault}")
        if not self._is_kserve:
            raise WrongError(f"refused, but not as {case.words!r}: {fault}")
        return f"in other words, {fault}"

    def _unknown_signature(self) -> str:
        case = shortest(self._about)
        return fault_of(
            lambda: self._asked.predict("no_such", case.inputs, self._timeout_s),
            ("FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND"),
        )

    def _unknown_version(self) -> str:
        if self._is_kserve:
            raise _LeftOut("a server without versions")
        return self._absent(replace(self._address, version=_NO_VERSION))

    def _unknown_model(self) -> str:
        return self._absent(replace(self._address, model="no_such_model"))

    def _absent(self, address: Address) -> str:
        transport, case = connect(address), shortest(self._about)
        try:
            return fault_of(
                lambda: transport.predict(SERVING_DEFAULT, case.inputs, self._timeout_s),
                ("NOT_FOUND",),
            )
        finally:
            transport.close()


def _outcome(name: str, check: Callable[[], str]) -> Outcome:
    try:
        return Outcome(name, PASSED, _cut(check()))
    except _LeftOut as reason:
        return Outcome(name, LEFT_OUT, _cut(str(reason)))
    except (WrongError, ServerError) as error:
        return _failed(name, error)


def _failed(name: str, error: Exception) -> Outcome:
    return Outcome(name, FAILED, " ".join(str(error).split())[:300])


def _warmup(version: Path, local: Transport, timeout_s: float) -> str:
    """Replays the warm-up file, as TensorFlow Serving does before it answers."""
    count, about = 0, read_about(version)
    expected = len(SIGNATURES[stream_of(about)]) * len(about["warmed_up_batch_sizes"])
    try:
        with open(version / WARMUP, "rb") as file:
            while (record := read_record(file)) is not None:
                request = MESSAGES["PredictionLog"].FromString(record).predict_log.request
                inputs = {name: from_message(value) for name, value in request.inputs.items()}
                local.predict(request.model_spec.signature_name, inputs, timeout_s)
                count += 1
    except (OSError, RecordError, DecodeError, ValueError) as error:
        raise WrongError(str(error)) from None
    if count != expected:
        raise WrongError(f"{count} replayed; expected {expected}")
    return f"{count} replayed"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _told(specs: dict) -> str:
    return ", ".join(f"{name} {spec}" for name, spec in sorted(specs.items())) or "nothing"
