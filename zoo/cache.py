"""Where published files and their conversions are kept: each is got once, by one process."""

import contextlib
import functools
import logging
import os
import pathlib
from collections.abc import Iterable, Iterator

from .download import PATIENCE, copy_file
from .errors import CheckpointError, DownloadError
from .failures import reading, writing
from .hashes import check_hash, may_be, read_sums, write_sums
from .mirror import SUMS, fetch
from .published import Weights
from .weights_h5 import SUFFIX, card_path, read_card

_QUIET_S = 2.0  # of waiting for another process before it is said

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
    published, that of the first file seen is kept, if it is a checkpoint, and no other file is
    taken later.

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
            place = folder / row.file_name
            # The file's lock is the cache's if `folder` is that; each caller takes it first.
            with _sole_user(place, row), _sole_user(folder / SUMS, row):
                _checked(row, place, [folder / SUMS, _first_seen(row)], patience)
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
    """Whether `path` is whole, and converted from the original that the row and the cache know."""
    try:
        card, size = read_card(path), path.stat().st_size
    except (CheckpointError, OSError):
        return False
    source = str(card.get("source_sha256") or "")
    first = read_sums(_first_seen(row)).get(row.file_name, source)
    whole = card.get("num_bytes") == size  # a disk may lose the end of a file
    return whole and bool(source) and may_be(source, row.file_hash) and source == first


@contextlib.contextmanager
def _sole_user(path: pathlib.Path, row: Weights) -> Iterator[None]:
    """Makes the folder of `path`, and waits until no other process works on that file."""
    import filelock

    lock = filelock.FileLock(f"{path}.lock")
    with writing(path, _by_hand(row, path)):
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
    hint, cached = _by_hand(row, path), _place(row)
    check = functools.partial(_check_known, row, records)
    if path.is_file():
        remedy = f"Delete {path}, and it is fetched anew; or get it by hand (see {row.page})."
        with reading(path, remedy):
            sha256 = check_hash(path, row.file_hash, remedy)
            check(remedy, path, sha256)
    elif cached.is_file():  # this is for a mirror
        remedy = f"It was to be copied from {cached}."
        check = functools.partial(check, remedy)
        sha256 = copy_file(cached, path, file_hash=row.file_hash, hint=remedy, check=check)
    else:
        check = functools.partial(check, f"Nothing was kept of it. {hint}")
        sha256 = fetch(row, path, hint=hint, check=check, patience=patience)
    with writing(path, hint):
        sums = read_sums(records[0])
        if row.file_name not in sums:
            write_sums(records[0], {**sums, row.file_name: sha256})
    return sha256


def _check_known(row: Weights, records: list, remedy: str, file: pathlib.Path, sha256: str) -> None:
    """Raises CheckpointError if `file` is not the one seen first.

    Nor is one kept as the first that is no checkpoint, or cut off, where no hash has told that.
    """
    from .checkpoints.checkpoint import read_checkpoint

    for record in records:
        first = read_sums(record).get(row.file_name, sha256)
        if first != sha256:
            raise CheckpointError(
                f"{row.file_name} has sha256 {sha256}, but the first seen under that name had "
                f"{first}, says {record}. {remedy} If you trust the new one, delete that line of "
                f"{record}."
            )
    if row.file_hash is None:
        try:
            read_checkpoint(file)
        except CheckpointError as error:
            said = str(error).replace(str(file), "it")
            raise CheckpointError(f"{row.file_name} is no checkpoint: {said} {remedy}") from error


def _convert(row: Weights, original: pathlib.Path, sha256: str, path: pathlib.Path) -> None:
    from .checkpoints.convert import convert_checkpoint

    damaged = (
        f"If that file came damaged, delete it and {_first_seen(row)}, and it is fetched anew."
    )
    with writing(path, f"The original, {row.file_name} of {row.page}, is at {original}."):
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
                f"{row.name} cannot be converted from {original}: {error} {damaged}"
            ) from error
        except OSError as error:
            if error.filename != str(original):
                raise
            with reading(original, damaged):
                raise
        found = (card["num_classes"], card["input_shape"][3])
        if found != (row.num_classes, row.input_shape[3]):  # as of a minidb without its last part
            for made in (path, card_path(path)):
                made.unlink()
            raise CheckpointError(
                f"{original} has {found[0] or 'no'} classes and takes {found[1]} channels; "
                f"expected {row.num_classes} and {row.input_shape[3]} of {row.name}. {damaged}"
            )
        if card["source_sha256"] != sha256:
            path.unlink()
            raise CheckpointError(f"{original} changed while it was converted. Call again.")


def _by_hand(row: Weights, path: pathlib.Path) -> str:
    return f"Or get {row.file_name} by hand from {row.url} (see {row.page}) and put it at {path}."
