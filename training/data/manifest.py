"""Videos by a CSV manifest: one line a video."""

import csv
import pathlib

from .listings import (
    SUBSETS,
    Entries,
    Places,
    below,
    by_hash,
    check_columns,
    class_name_error,
    entries,
    first,
)

COLUMNS = ("path", "label", "subset")


def list_csv(places: Places, split: int, subset: str) -> Entries:
    """The CSV file `places.manifest`: columns path, label and, if wanted, subset (train or test).

    Relative paths start at the CSV file's folder; labels are class names. Spaces around values do
    not count. Without the column `subset` a fifth of each class is for testing, as in
    `list_folder`.

    Raises:
        ValueError: an absent file or column, or lines that are wrong, with their numbers; a file
            on two lines is wrong whichever names it goes by.
    """
    manifest, path = places.manifest, pathlib.Path(places.manifest)
    if not manifest or not path.is_file():
        raise ValueError(f"--manifest={manifest!r}: no such file; expected a CSV with path,label.")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            reader.fieldnames = columns = [name.strip() for name in reader.fieldnames or ()]
            rows = [(reader.line_num, _stripped(row)) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: expected a CSV file in UTF-8: {error}.") from None
    if not {"path", "label"} <= set(columns):
        raise ValueError(
            f"{path}: its header has {', '.join(columns) or 'nothing'}; "
            "expected the columns path,label or path,label,subset."
        )
    check_columns(path, columns, COLUMNS)
    wrong = [f"line {line}: {what}" for line, row in rows for what in _row_errors(row, path.parent)]
    if wrong:
        raise ValueError(f"{path}: {first(wrong, 'wrong lines')}")
    if again := _repeated(rows, path.parent):
        what = "lines with a file that has one already"
        raise ValueError(f"{path}: {first(again, what)} Keep one line for each file.")
    return _entries([row for _, row in rows], path, subset, "subset" in columns)


def _stripped(row: dict) -> dict:
    return {key: (row[key] or "").strip() if key in COLUMNS else row[key] for key in row}


def _row_errors(row: dict, folder: pathlib.Path) -> list[str]:
    path, label, subset = (row.get(key, "") for key in COLUMNS)
    wrong = [f"no {key}" for key, value in (("path", path), ("label", label)) if not value]
    if path and not (folder / path).is_file():
        wrong.append(f"no such file: {path}")
    if class_name_error(label):
        wrong.append(f"label {label!r} {class_name_error(label)}")
    if "subset" in row and subset not in SUBSETS:
        wrong.append(f"subset is {subset!r}; expected train or test")
    if None in row:
        wrong.append("more values than columns; put values with commas in quotes")
    return wrong


def _repeated(rows: list[tuple[int, dict]], folder: pathlib.Path) -> list[str]:
    """A file twice counts twice, has two labels, or is trained on and then tested on."""
    lines, again = {}, []
    for line, row in rows:
        before = lines.setdefault((folder / row["path"]).resolve(), line)
        if before != line:
            again.append(f"line {line}, {row['path']}, as line {before}")
    return again


def _entries(rows: list[dict], path: pathlib.Path, subset: str, says_subset: bool) -> Entries:
    labels = {row["label"] for row in rows}
    numbers = all(label.isdecimal() for label in labels)
    classes = tuple(sorted(labels, key=_number if numbers else None))  # 2 before 10
    if says_subset:
        chosen = [(row["path"], row["label"]) for row in rows if row["subset"] == subset]
    else:
        chosen = [
            (name, label)
            for label in classes
            for name in by_hash(
                [row["path"] for row in rows if row["label"] == label], subset, f"{path}: {label}"
            )
        ]
    files = [(path.parent / name, label) for name, label in chosen]
    return entries(
        classes, [(below(file, path.parent), (label,), str(file)) for file, label in files], path
    )


def _number(label: str) -> tuple[int, str]:
    return int(label), label  # 1 and 01 are two classes, always in the same order
