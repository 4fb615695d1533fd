"""Hashes of files: those that authors publish, and those seen first and compared ever after."""

import hashlib
import pathlib
import re

from .durable import put
from .errors import CheckpointError

# A whole digest, or its first digits as file names carry them: 8 in those of torch.hub and GluonCV.
_PUBLISHED = re.compile(r"sha256:[0-9a-f]{8,64}|sha1:[0-9a-f]{8,40}")
_SUM_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")  # as sha256sum writes it, and checks with -c


def split_hash(file_hash: str | None) -> tuple[str, str]:
    """("sha256", digits) of "sha256:<digits>", likewise "sha1"; ("sha256", "") of None.

    Raises:
        ValueError: what is neither, or has fewer than 8 digits or more than there are.
    """
    if file_hash is None:
        return "sha256", ""
    if not _PUBLISHED.fullmatch(file_hash):
        raise ValueError(
            f"file_hash={file_hash!r}; expected 'sha256:' or 'sha1:' and the digest or at least "
            "its first 8 digits, in lower case, or None where none is published."
        )
    algorithm, _, digits = file_hash.partition(":")
    return algorithm, digits


def may_be(sha256: str, file_hash: str | None) -> bool:
    """Whether a file of this SHA-256 can be the published one, as far as that alone tells."""
    algorithm, digits = split_hash(file_hash)
    return algorithm != "sha256" or sha256.startswith(digits)


def check_hash(path, file_hash: str | None, remedy: str) -> str:
    """SHA-256 of the file `path`, once it has what is published: `file_hash` as in split_hash.

    Raises:
        CheckpointError: another hash; the message says both, and ends with `remedy`.
        ValueError: a `file_hash` that is none.
    """
    algorithm, digits = split_hash(file_hash)
    sha256 = digest(path, "sha256")
    found = sha256 if algorithm == "sha256" else digest(path, algorithm)
    if not found.startswith(digits):
        raise CheckpointError(
            f"{pathlib.Path(path).name} has {algorithm} {found}, but {digits}"
            f"{'...' * (len(digits) < len(found))} is published: the file is damaged or another "
            f"one. {remedy}"
        )
    return sha256


def read_sums(path) -> dict[str, str]:
    """File name -> SHA-256 as written in the file `path`; empty where there is no such file.

    Raises:
        CheckpointError: lines that sha256sum does not write.
    """
    try:
        lines = pathlib.Path(path).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    found = [_SUM_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise CheckpointError(
            f"{path} has lines that are not '<sha256>  <file name>'. Delete it; the hashes of the "
            "files that are there now are then kept in its place."
        )
    return {match[2]: match[1] for match in found}


def write_sums(path, sums: dict[str, str]) -> None:
    """Writes the file `path` for `sha256sum -c`, by name; it is there whole or not at all."""
    path = pathlib.Path(path)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text("".join(f"{sums[name]}  {name}\n" for name in sorted(sums)), "utf-8")
    put(unfinished, path)


def digest(path, algorithm: str) -> str:
    """Hash of the file `path` in lower-case hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
