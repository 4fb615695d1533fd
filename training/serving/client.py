"""A client of TensorFlow Serving, and of servers that speak as it does."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from typing import TypeVar

import cv2
import numpy as np

from r21d_keras.variants import list_variants

from .asked import check_request, in_parts
from .limits import BATCH
from .names import (
    ABOUT,
    CLIPS,
    DESCRIBE,
    EMBEDDING,
    FRAMES_BYTES,
    PROBABILITIES,
    SERVING_DEFAULT,
    TOP_LABELS,
)
from .retries import explanation, retried
from .tensors import Spec
from .transport import ServerError, address_of, connect

BATCH_SIZE = BATCH
"""Clips of a request: the largest that exports are warmed up for."""
TIMEOUT_S = 60.0
ABOUT_S = 30.0
"""Seconds after which a server is asked again what its model is: it may have got another."""
_SHORT_S = 1.0  # for what explains an error, where the time is over
_SHOWN_BY = ("clip_frames", "any_length", "short_video", "preprocessing", "flow_method", "classes")
_HEADER, _PRINTABLE = re.compile(r"[A-Za-z0-9_.-]+"), re.compile(r"[\x20-\x7e]*")
_AT_ONCE = 8  # names that are asked for at a time
# 1 of 9: what more would save of a PNG is not worth its time.
_PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)

Value = TypeVar("Value")


class Client:
    """Answers of a model that a server has, by gRPC or REST.

    A request that the server cannot take just now is sent again, after pauses that grow, until its
    time is over. Any number of threads may use one client.

    >>> client = Client("grpc://localhost:8500/r2plus1d_18")  # doctest: +SKIP
    >>> client.predict(clips)["top_labels"]  # doctest: +SKIP

    Args:
        server: grpc://HOST:PORT or http://HOST:PORT, then /NAME of the model, then /versions/N if
            one version is meant. grpcs and https are encrypted. Without a name, the one of those
            that `r21d export` gives that the server has.
        timeout_s: seconds for each request, with all that is tried again.
        batch_size: clips of a request.
        headers: sent with each request, such as {"authorization": "Bearer ..."}.

    Raises:
        ValueError: another URL, or numbers that cannot be.
        ServerError: without a name, if there is no model or several.
    """

    def __init__(
        self,
        server: str,
        *,
        timeout_s: float = TIMEOUT_S,
        batch_size: int = BATCH_SIZE,
        headers: Mapping[str, str] | None = None,
    ):
        if not 0 < timeout_s < 1e6 or batch_size < 1:
            raise ValueError(
                f"timeout_s={timeout_s}, batch_size={batch_size}: expected seconds above 0, and "
                "1 clip or more."
            )
        for name, value in (headers or {}).items():
            if not (_HEADER.fullmatch(str(name)) and _PRINTABLE.fullmatch(str(value))):
                raise ValueError(  # without the value, which may be a secret
                    f"headers: {name!r} cannot be sent; expected a name and a value of printable "
                    "ASCII, without a line's end."
                )
        sent = tuple((name.lower(), str(value)) for name, value in (headers or {}).items())
        self.address = replace(address_of(server), headers=sent)
        self._timeout_s, self._batch_size = timeout_s, batch_size
        self._transport = connect(self.address)
        if not self.address.model:
            self.address = replace(self.address, model=self._only_model())
            self._transport.close()
            self._transport = connect(self.address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._transport.close()

    @cached_property
    def about(self) -> dict:
        """What the model is: r21d.json of the export, as the server has it when first asked."""
        self._told_s = time.monotonic()
        return self._describe()

    def _describe(self, timeout_s: float | None = None) -> dict:
        asked = {DESCRIBE: np.array([b"?"], object)}
        answer = self._asked(
            lambda left_s: self._transport.predict(DESCRIBE, asked, left_s), timeout_s
        )
        return json.loads(answer[ABOUT][0])

    def predict(self, clips: np.ndarray, signature: str = SERVING_DEFAULT) -> dict[str, np.ndarray]:
        """What the model says of clips: the outputs of the signature by name, a row for each.

        By REST, pixels travel as PNG to the signature `frames_bytes`, which answers the same.

        Args:
            clips: as the signature takes them, docs/serving.md: of `serving_default` uint8 RGB
                (N, T, H, W, 3), of `frames_bytes` an array (N, T) of bytes objects.

        Raises:
            ValueError: before they are sent, clips that the model cannot take.
            ServerError: none or no good answer; `code` says which, by gRPC's names.
        """
        clips = np.asarray(clips)
        about = self.about
        try:
            check_request(about, signature, clips)
        except ValueError:
            if not self._is_old:
                raise
            # The server may have got a model that takes them; if it cannot say, they stay refused.
            with contextlib.suppress(ServerError):
                about = self._describe(_SHORT_S)
            check_request(about, signature, clips)
        ask = partial(self._predict_batch, signature)
        return in_parts(ask, clips, about.get("limits", {}), self._batch_size)

    def probabilities(self, clips: np.ndarray) -> np.ndarray:
        """float32 (N, K), in the order of `about["classes"]`, of clips as `serving_default` takes.

        Raises:
            ServerError: as `predict`; also if the server has got another model meanwhile, with
                other classes, or, within ABOUT_S, another frame rate, clip length or size. From
                then on this client always says so.
        """
        about = self.about
        if self._is_old:
            now = self._describe()
            if any(now.get(key) != about.get(key) for key in _SHOWN_BY):
                raise self._another_model("which is to be shown other clips")
            self._told_s = time.monotonic()
        answer = self.predict(clips)
        scores, classes = answer[PROBABILITIES], self.about["classes"]
        best = [classes[place].encode() for place in scores.argmax(axis=1) % len(classes)]
        # Equal scores have either label first.
        ties = (scores == scores.max(axis=1, keepdims=True)).sum(axis=1) > 1
        told = answer[TOP_LABELS][:, 0]
        if scores.shape[1] != len(classes) or not all((told == np.array(best, object)) | ties):
            raise self._another_model("whose classes are others")
        return scores

    def _another_model(self, told: str) -> ServerError:
        return ServerError(
            "FAILED_PRECONDITION",
            "another model",
            f"{self._name}: the server has got another model meanwhile, {told}. Begin again with a "
            f"new client, or name one version: {self._name}/versions/N.",
        )

    @property
    def _is_old(self) -> bool:
        """Whether `about` was asked for so long ago that it may not be so any more."""
        return time.monotonic() - self._told_s > ABOUT_S

    def signatures(self) -> dict[str, tuple[dict[str, Spec], dict[str, Spec]]]:
        """Inputs and outputs of each signature, as the server tells them; KServe does not.

        Raises:
            ServerError: none or no good answer.
        """
        return self._asked(self._transport.signatures)

    def versions(self) -> dict[int | None, str]:
        """State of each version that the server has, such as "AVAILABLE", by number.

        Raises:
            ServerError: none or no good answer.
        """
        return self._asked(self._transport.versions)

    @property
    def _name(self) -> str:
        return f"{self.address.shown}/{self.address.model}"

    def _predict_batch(self, signature: str, clips: np.ndarray) -> dict[str, np.ndarray]:
        if clips.dtype == np.uint8 and not self._transport.sends_pixels:
            answer = self._predict_batch(FRAMES_BYTES, _as_png(clips))
            return answer if signature == SERVING_DEFAULT else {EMBEDDING: answer[EMBEDDING]}
        name = FRAMES_BYTES if signature == FRAMES_BYTES else CLIPS
        return self._asked(lambda left_s: self._transport.predict(signature, {name: clips}, left_s))

    def _asked(self, ask: Callable[[float], Value], timeout_s: float | None = None) -> Value:
        """What `ask` gets of the server, given the seconds that are left."""
        timeout_s = timeout_s or self._timeout_s
        until_s = time.monotonic() + timeout_s
        try:
            return retried(ask, timeout_s)
        except ServerError as error:
            if error.code == "NOT_FOUND":
                message = self._what_is_there(error, until_s)
            else:
                message = explanation(error, timeout_s)
            raise ServerError(error.code, error.detail, f"{self._name}: {message}") from None

    def _what_is_there(self, error: ServerError, until_s: float) -> str:
        model, version = self.address.model, self.address.version
        try:
            there = self._transport.versions(max(until_s - time.monotonic(), _SHORT_S))
        except ServerError as other:
            if other.code != "NOT_FOUND":
                return f"{error.detail}."
            return (
                f"the server has no model {model!r}: {error.detail}. Its names are in the server's "
                "models.config."
            )
        numbers = ", ".join(f"{number} ({state})" for number, state in there.items())
        if version is not None and None not in there:
            return f"the server has no version {version} that answers; it has {numbers}."
        return f"{error.detail}. The server has versions {numbers}."

    def _only_model(self) -> str:
        """The name of the one model that is there, of the names that exports have by themselves."""
        names = (*list_variants(), "model")  # the last: TensorFlow Serving's own default
        until_s = time.monotonic() + self._timeout_s  # for all of them

        def is_there(name: str) -> bool:
            try:
                ask = partial(self._transport.versions, model=name)
                return bool(retried(ask, until_s - time.monotonic()))
            except ServerError as error:
                if error.code == "NOT_FOUND":
                    return False
                told = f"{self.address.shown}: {explanation(error, self._timeout_s)}"
                raise ServerError(error.code, error.detail, told) from None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            found = [
                name for name, there in zip(names, pool.map(is_there, names), strict=True) if there
            ]
        if len(found) == 1:
            return found[0]
        what = f"has several models, {', '.join(found)}" if found else "has no model of usual name"
        server = self.address.shown
        raise ServerError(
            "NOT_FOUND", what, f"{server} {what}. Name the one that is meant: {server}/NAME."
        )


def _as_png(clips: np.ndarray) -> np.ndarray:
    """Each frame of uint8 RGB clips (N, T, H, W, 3) as PNG: bytes objects (N, T)."""
    frames = np.empty(clips.shape[:2], object)
    for place in np.ndindex(frames.shape):
        bgr = clips[place][..., ::-1]
        frames[place] = cv2.imencode(".png", bgr, _PNG_OPTIONS)[1].tobytes()
    return frames
