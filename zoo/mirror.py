"""Where authors' files come from: a mirror, if there is one, or else the authors' address."""

import contextlib
import logging
import os
import pathlib
import tempfile
from urllib.parse import quote

from .download import Check, MissingError, Patience, copy_file, download
from .errors import CheckpointError, DownloadError
from .hashes import read_sums
from .published import Weights

SUMS = "SHA256SUMS"
"""Name of the list of hashes in a mirror, for `sha256sum -c`."""

_NO = frozenset({"", "0", "false", "no", "off"})
_GONE = frozenset({404, 410})  # a mirror that answers 401 or 403 may well have the file

_log = logging.getLogger(__name__)


def fetch(row: Weights, path: pathlib.Path, *, hint: str, check: Check, patience: Patience) -> str:
    """SHA-256 of the file `path`, got from R21D_MIRROR, or from its authors if it is not there.

    With R21D_OFFLINE=1 no network is used. What a mirror's SHA256SUMS says is compared.

    Args:
        hint: ends the messages; says how to get the file by hand.
        check: called before the file has its name.

    Raises:
        DownloadError: the file cannot be got, or the mirror does not let anyone have it.
        CheckpointError: it is not the file that is published, or that the mirror had, or `check`
            refuses it; nothing is kept.
    """
    offline = os.environ.get("R21D_OFFLINE", "").lower() not in _NO
    mirror = os.environ.get("R21D_MIRROR", "")
    is_url = mirror.startswith(("http://", "https://"))
    asked = ""
    if mirror and not (is_url and offline):
        get = _from_url if is_url else _from_folder
        try:
            return get(mirror, row, path, hint, check, patience)
        except MissingError as error:
            asked = f"R21D_MIRROR={mirror!r} was asked first: {error.reason}. "
    elif mirror:
        asked = f"R21D_MIRROR={mirror!r} is no folder, and was not asked. "
    if offline:
        raise DownloadError(
            f"{row.name} needs {row.file_name}, which is not in {path.parent}, and R21D_OFFLINE is "
            f"set. {asked}Unset it. {hint}"
        )
    if asked:
        _log.warning("%sNow its authors are, for %s: %s", asked, row.file_name, row.url)
    options = {"file_hash": row.file_hash, "hint": f"{asked}{hint}", "check": check}
    return download(row.url, path, patience=patience, **options)


def _from_folder(mirror, row, path, hint, check, patience) -> str:
    folder = pathlib.Path(mirror).expanduser()
    if not folder.is_dir():
        raise DownloadError(
            f"R21D_MIRROR={mirror!r} is neither a folder nor an http:// or https:// URL. Name "
            f"one that holds files such as {row.file_name}, or unset it."
        )
    source = folder / row.file_name
    if not source.is_file():
        raise MissingError(f"{source} is not there. {hint}", reason=f"{source} is not there")
    listed = read_sums(folder / SUMS).get(row.file_name)
    check = _also_listed(check, listed, row.file_name, folder / SUMS)
    return copy_file(source, path, file_hash=row.file_hash, hint=hint, check=check)


def _from_url(mirror, row, path, hint, check, patience) -> str:
    below = mirror.rstrip("/")
    hint = f"R21D_MIRROR={mirror!r} was asked; unset it, and the authors are. {hint}"
    listed = _listed_by_url(f"{below}/{SUMS}", hint, patience).get(row.file_name)
    check = _also_listed(check, listed, row.file_name, f"{below}/{SUMS}")
    options = {"file_hash": row.file_hash, "hint": hint, "check": check, "patience": patience}
    with _refusals_are_errors():
        return download(f"{below}/{quote(row.file_name)}", path, **options)


def _listed_by_url(url: str, hint: str, patience: Patience) -> dict[str, str]:
    """File name -> SHA-256 of a mirror's list; empty where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, SUMS)
        try:
            download(url, path, hint=hint, patience=patience)
            return read_sums(path)
        except MissingError:  # also 403: what object stores answer for what is not there
            return {}
        except CheckpointError as error:
            raise CheckpointError(
                f"{url} has lines that are not '<sha256>  <file name>'. Write it anew, as `r21d "
                f"zoo mirror` and `sha256sum` do. {hint}"
            ) from error


@contextlib.contextmanager
def _refusals_are_errors():
    """Leaves a MissingError only where the server says that there is no such file."""
    try:
        yield
    except MissingError as error:
        if error.status in _GONE:
            raise
        raise DownloadError(str(error)) from error


def _also_listed(check: Check, listed: str | None, name: str, sums) -> Check:
    """`check`, after a comparison with what the mirror's list `sums` says of the file, if it does.

    The hash is compared whether or not one is published.
    """

    def both(file: pathlib.Path, sha256: str) -> None:
        if listed not in (None, sha256):
            raise CheckpointError(
                f"{name} from the mirror has sha256 {sha256}, but {sums} says {listed}: it was "
                "damaged or replaced there. Nothing was kept of it. Fill the mirror anew with "
                "`r21d zoo mirror`, or unset R21D_MIRROR."
            )
        check(file, sha256)

    return both
