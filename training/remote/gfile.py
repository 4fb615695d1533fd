"""Files that TensorFlow reaches: s3, gs, az, hdfs and what else it has registered.

Whether a file is there is never asked for by `exists` and its like: for S3, tensorflow-io answers
that there is nothing where the server has said 403 or 503, and for HDFS where Java is missing.
"""

import os
import re

import tensorflow as tf

from .bounded import Problem
from .urls import join, scheme_of

_MAKES_FOLDERS = ("file", "hdfs", "har", "ram", "viewfs")  # the others know names alone
_NOT_THERE = Problem(
    "404, no such file", "Look at the name, and whether it was written.", False, True
)
_DENIED = "403, access denied"
_BUSY = "the server is busy, failing or not reached"
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; AWS_REGION; S3_ENDPOINT",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or `gcloud auth application-default login`",
    "az": "TF_AZURE_STORAGE_KEY, or TF_AZURE_STORAGE_SAS",
}
_CODES = (  # errors of TensorFlow, what they mean, whether it may pass
    ((tf.errors.PermissionDeniedError, tf.errors.UnauthenticatedError), _DENIED, False),
    ((tf.errors.UnimplementedError,), "not possible here", False),
    ((tf.errors.InvalidArgumentError, tf.errors.FailedPreconditionError), "refused", False),
    (
        (
            tf.errors.AbortedError,
            tf.errors.DeadlineExceededError,
            tf.errors.InternalError,
            tf.errors.ResourceExhaustedError,
            tf.errors.UnavailableError,
            tf.errors.UnknownError,
        ),
        _BUSY,
        True,
    ),
)
_WORDS = re.compile(r"[^\s:.,]")


def problem_of(error: Exception, url: str) -> Problem | None:
    """What an error of TensorFlow says of the server; None for others."""
    if isinstance(error, tf.errors.NotFoundError):
        return _NOT_THERE
    for kinds, meaning, passing in _CODES:
        if isinstance(error, kinds):
            return Problem(f"{meaning}{_quoted(error)}", _advice(meaning, url), passing)
    return None


def size(url: str) -> int:
    """Bytes of a file."""
    try:
        found = tf.io.gfile.stat(url)
    except tf.errors.NotFoundError:
        with tf.io.gfile.GFile(url, "rb") as file:
            file.read(1)  # says what is really wrong
        found = tf.io.gfile.stat(url)
    if found.is_directory:
        raise tf.errors.NotFoundError(None, None, "it is a folder")
    return found.length


def read_range(url: str, start: int, length: int, total: int) -> bytes:
    """The bytes of a file of `total` bytes from `start` on, `length` or as many as there are.

    None are asked for behind its end: there tensorflow-io's S3 ends the process.
    """
    length = min(length, total - start)
    if length <= 0:
        return b""
    with tf.io.gfile.GFile(url, "rb") as file:
        if start:  # a request of its own
            file.seek(start)
        return file.read(length)


def download(url: str, path: str, total: int) -> None:
    """Copies a file of `total` bytes to this machine."""
    if total:
        tf.io.gfile.copy(url, path, overwrite=True)
    else:
        open(path, "wb").close()


def upload(path: str, url: str) -> None:
    """Copies a file of this machine; what was there stays until all of it has come."""
    if scheme_of(url) not in _MAKES_FOLDERS:  # an object is put as a whole, or not at all
        tf.io.gfile.copy(path, url, overwrite=True)
        return
    folder, _, name = url.rpartition("/")
    tf.io.gfile.makedirs(folder)
    partial = join(folder, f".partial.{os.getpid()}.{name}")
    tf.io.gfile.copy(path, partial, overwrite=True)
    tf.io.gfile.rename(partial, url, overwrite=True)


def names(url: str) -> list[str]:
    """The files below a folder, as names with slashes; none where there is no such folder."""
    root, found = url.rstrip("/"), []
    for folder, _, files in tf.io.gfile.walk(root):
        below = folder.rstrip("/")[len(root) :].lstrip("/")
        found += [f"{below}/{name}".lstrip("/") for name in files]
    return sorted(found)


def remove(url: str) -> None:
    """Removes a file."""
    tf.io.gfile.remove(url)


def _quoted(error: Exception) -> str:
    """The server's own words in brackets, if there are any."""
    words = " ".join(str(error).split())[:200]
    return f" ({words})" if _WORDS.search(words) else ""


def _advice(meaning: str, url: str) -> str:
    scheme = scheme_of(url)
    if meaning == _DENIED:
        known = _CREDENTIALS.get(scheme)
        by = f" (in the environment: {known})" if known else ""
        return f"Check the credentials{by} and what they allow."
    if meaning == _BUSY:
        return "Look whether the server can be reached and is well, and start again."
    return f"Check the URL, and what {scheme}:// can do here."
