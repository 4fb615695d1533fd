"""Where published files and their conversions are kept: each is got once, by one process."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from .download import PATIENCE, MissingError, copy_file, download, explained
from .errors import CheckpointError, DownloadError
from .hashes import check_hash, read_sums, split_hash, write_sums
from .published import Weights
from .weights_h5 import SUFFIX, read_card

SUMS = "SHA256SUMS"
"""Name of the list of hashes in a mirror, for `sha256sum -c`."""

_QUIET_S = 2.0  # of waiting for another process before it is said
_NO = frozenset({"", "0", "false", "no", "off"})

_log = logging.getLogger(__name__)


def home() -> pathlib.Path:
    """Folder of all that is made or fetched on first use: R21D_HOME, else r21d in Keras' home.

    Keras' home is KERAS_HOME, else ~/.keras. The folder need not exist yet.
    """
    if os.environ.get("R21D_HOME"):
        return pathlib.Path(os.environ["R21D_HOME"]).expanduser()
    keras_home = os.environ.get("KERAS_HOME") or pathlib.Path("~", ".keras")
    return pathlib.Path(keras_home, "r21d").expanduser()


def weights_file(row: Weights, *, patience=PATIENCE) -> pathlib.Path:
    """The `.weights.h5` file of a row, converted from the authors' file on first use.

    Its card, a `.json` file, lies beside it. Later calls read that card alone, and no large file.
    R21D_MIRROR, a folder or the first part of a URL below which files lie by name, is asked before
    the authors' address; with R21D_OFFLINE=1 no network is used at all. Where no hash is
    published, that of the first file seen is kept, and no other file is taken later.

    Raises:
        DownloadError: the file cannot be got, or the cache not written; says what to do.
        CheckpointError: it is not the published file, not the one seen first, or not what the row
            says.
    """
    path = _weights_folder() / f"{row.name}{SUFFIX}"
    if not _is_current(path, row):
        original = _place(row)
        with _sole_user(original, row):
            if not _is_current(path, row):  # made while this process waited
                sha256 = _checked(row, original, [_first_seen(row)], patience)
                _convert(row, original, sha256, path)
    return path


def original_file(row: Weights, *, patience=PATIENCE) -> pathlib.Path:
    """The authors' file of a row, fetched if it is not there, and checked each time.

    Raises:
        DownloadError, CheckpointError: as `weights_file`.
    """
    path = _place(row)
    with _sole_user(path, row):
        _checked(row, path, [_first_seen(row)], patience)
    return path


def fill_mirror(rows: Iterable[Weights], folder, *, patience=PATIENCE) -> None:
    """Puts the authors' files of `rows` into `folder`, for R21D_MIRROR, with their SHA256SUMS.

    Files that are there are checked. One that cannot be got does not stop the others.

    Raises:
        DownloadError: some could not be got or are not the published ones; says which and why.
    """
    folder = pathlib.Path(folder)
    failures = []
    for row in rows:
        try:
            with _sole_user(folder / SUMS, row):
                _checked(row, folder / row.file_name, [folder / SUMS, _first_seen(row)], patience)
        except (DownloadError, CheckpointError) as error:
            _log.warning("%s: %s", row.name, error)
            failures.append(f"{row.name}: {error}")
    if failures:
        raise DownloadError(
            f"{len(failures)} of the files are not in {folder}; all others are. Call again to get "
            "the rest.\n" + "\n".join(failures)
        )


def _weights_folder() -> pathlib.Path:
    """Keras 2 lays out a .weights.h5 file in another way; one home may serve both."""
    from r21d_keras._keras import KERAS3  # keras takes seconds, which a mirror does not need

    return home() / ("weights" if KERAS3 else "weights-keras2")


def _place(row: Weights) -> pathlib.Path:
    return home() / "downloads" / row.file_name


def _first_seen(row: Weights) -> pathlib.Path:
    """The file that keeps the hash of an original, even when that is deleted."""
    return home() / "downloads" / f"{row.file_name}.sha256"


def _is_current(path: pathlib.Path, row: Weights) -> bool:
    """Whether `path` was converted from the very original that the row and the cache know."""
    if not path.is_file():
        return False
    try:
        source = str(read_card(path).get("source_sha256") or "")
    except CheckpointError:
        return False
    algorithm, digits = split_hash(row.file_hash)
    published = algorithm != "sha256" or source.startswith(digits)
    first = read_sums(_first_seen(row)).get(row.file_name, source)
    return bool(source) and published and source == first


@contextlib.contextmanager
def _sole_user(path: pathlib.Path, row: Weights) -> Iterator[None]:
    """Makes the folder of `path`, and waits until no other process works on that file."""
    import filelock

    lock = filelock.FileLock(f"{path}.lock")
    with explained(path, _by_hand(row, path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_QUIET_S)
        except filelock.Timeout:
            _log.warning("Waiting for another process that works on %s", path)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _checked(row: Weights, path: pathlib.Path, records: list, patience) -> str:
    """SHA-256 of the original at `path`, fetched if it is not there.

    It is compared with what is published and what the files `records` say; the first keeps it.
    """
    cached = _place(row)
    fresh = not path.is_file()
    if not fresh:
        remedy = f"Delete {path}, and it is fetched anew; or get it by hand (see {row.page})."
        sha256 = check_hash(path, row.file_hash, remedy)
    elif cached.is_file():  # this is for a mirror
        remedy = f"It was to be copied from {cached}."
        sha256 = copy_file(cached, path, file_hash=row.file_hash, hint=remedy)
    else:
        remedy = "Nothing was kept of it: another file is served than was before."
        sha256 = _fetch(row, path, patience)
    with explained(path, _by_hand(row, path)):
        for record in records:
            first = read_sums(record).get(row.file_name, sha256)
            if first != sha256:
                if fresh:
                    path.unlink()
                raise CheckpointError(
                    f"{path} has sha256 {sha256}, but the first seen under that name had {first}, "
                    f"says {record}. {remedy} If you trust the new one, delete that line of "
                    f"{record}."
                )
        sums = read_sums(records[0])
        if row.file_name not in sums:
            write_sums(records[0], {**sums, row.file_name: sha256})
    return sha256


def _fetch(row: Weights, path: pathlib.Path, patience) -> str:
    """SHA-256 of the file `path`, got from R21D_MIRROR, else from its authors."""
    offline = os.environ.get("R21D_OFFLINE", "").lower() not in _NO
    mirror = os.environ.get("R21D_MIRROR", "")
    if mirror.startswith(("http://", "https://")):
        url = f"{mirror.rstrip('/')}/{quote(row.file_name)}"
        if not offline:
            with contextlib.suppress(MissingError):
                return download(
                    url, path, file_hash=row.file_hash, page=row.page, patience=patience
                )
    elif mirror:
        folder = pathlib.Path(mirror).expanduser()
        if not folder.is_dir():
            raise DownloadError(
                f"R21D_MIRROR={mirror!r} is neither a folder nor an http:// or https:// URL. Name "
                f"one that holds files such as {row.file_name}, or unset it."
            )
        source = folder / row.file_name
        if source.is_file():
            return copy_file(source, path, file_hash=row.file_hash, hint=_by_hand(row, path))
    if offline:
        raise DownloadError(
            f"{row.name} needs {row.file_name}, which is not in {path.parent}, and R21D_OFFLINE is "
            f"set. Unset it. {_by_hand(row, path)}"
        )
    return download(row.url, path, file_hash=row.file_hash, page=row.page, patience=patience)


def _convert(row: Weights, original: pathlib.Path, sha256: str, path: pathlib.Path) -> None:
    from .checkpoints.convert import convert_checkpoint

    with explained(path, f"The original, {row.file_name} of {row.page}, is at {original}."):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # or a kill between card and weights would pair old and new
        for left in path.parent.glob(f".partial.*.{row.name}.*"):  # by a killed process
            left.unlink()
        try:
            card = convert_checkpoint(
                original, path, variant=row.variant, convention=row.convention
            )
        except CheckpointError as error:
            raise CheckpointError(
                f"{row.name} cannot be converted from {original}: {error} If that file came "
                f"damaged, delete it and {_first_seen(row)}, and it is fetched anew."
            ) from error
        if card["source_sha256"] != sha256:
            path.unlink()
            raise CheckpointError(f"{original} changed while it was converted. Call again.")


def _by_hand(row: Weights, path: pathlib.Path) -> str:
    return f"Or get {row.file_name} by hand from {row.url} (see {row.page}) and put it at {path}."
