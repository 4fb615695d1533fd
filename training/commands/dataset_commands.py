"""The command `r21d datasets` as a table, like commands.py."""

import json
import textwrap

from absl import flags

from .command import DONE, Command, UsageError

WIDTH = 96  # columns of the longest line


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_boolean("json", False, "print all facts as JSON", flag_values=values)


def _datasets(values: flags.FlagValues, positional: list[str]) -> int:
    from ..data.catalog import DATASETS, get_dataset

    if len(positional) > 1:
        raise UsageError(f"expected one name at most; got {len(positional)}.")
    try:
        rows = [get_dataset(name) for name in positional] or list(DATASETS.values())
    except ValueError as error:
        raise UsageError(str(error)) from None
    if values["json"].value:
        facts = [_facts(row) for row in rows]
        print(json.dumps(facts[0] if positional else facts, indent=2))
    else:
        print(_details(rows[0]) if positional else _table(rows))
    return DONE


def _table(rows) -> str:
    """One line a data set; videos to train and to test on in its first split."""
    lines = [("--dataset", "classes", "splits", "in split 1", "what it is")]
    for row in rows:
        counts = [f"{train + test:,}" for train, test in zip(*row.counts.values(), strict=True)]
        classes = "" if row.num_classes is None else str(row.num_classes)
        title = row.title + (", several labels a video" if row.multi_label else "")
        lines.append((row.name, classes, str(len(row.splits)), counts[0] if counts else "", title))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    told = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    return "\n".join([*told, "", "r21d datasets NAME says where to get one and how it lies."])


def _details(row) -> str:
    """All that is known of one data set."""
    facts = {
        "classes": "those of your videos" if row.num_classes is None else str(row.num_classes),
        "labels": "several a video" if row.multi_label else "one a video",
        "splits": _splits(row),
        "absent": "listed videos may be absent, and are counted"
        if row.may_miss
        else "a listed video that is absent is an error",
        "mirrored": "the same class" if row.mirror_safe else "another class: never mirrored",
        "licence": row.licence,
        "from": row.url,
        "cite": row.cite,
    }
    lines = [f"{row.name}: {row.title}"]
    for name, text in facts.items():
        if text:
            lines += textwrap.wrap(
                f"{name + ':':<10}{text}",
                WIDTH,
                subsequent_indent=" " * 10,
                break_long_words=False,
                break_on_hyphens=False,
            )
    lines += ["layout:", *(f"    {line}" for line in row.layout.splitlines())]
    given = " ".join(f"--{place}={place.upper()}" for place in row.places)
    lines.append(f"train:    r21d train --dataset={row.name} {given}".rstrip() + " --model_dir=RUN")
    if row.lister is not None:
        lines.append(f"check:    r21d prepare --check --dataset={row.name} {given}".rstrip())
    return "\n".join(lines)


def _splits(row) -> str:
    if not row.counts:
        return str(len(row.splits))
    each = [f"{train:,} + {test:,}" for train, test in zip(*row.counts.values(), strict=True)]
    alike = f"{each[0]} each" if len(set(each)) < len(each) else "; ".join(each)
    return f"{len(row.splits)}: {alike} videos to train and to test on"


def _facts(row) -> dict:
    return {
        "name": row.name,
        "title": row.title,
        "classes": row.num_classes,
        "splits": list(row.splits),
        "videos": {subset: list(counts) for subset, counts in row.counts.items()},
        "multi_label": row.multi_label,
        "may_miss": row.may_miss,
        "mirror_safe": row.mirror_safe,
        "licence": row.licence,
        "url": row.url,
        "cite": row.cite,
        "layout": row.layout,
        "places": list(row.places),
    }


DATASET_COMMANDS = {
    "datasets": Command(
        "say which data sets there are, where to get them, how they lie on disk",
        "[NAME] [--json]",
        _define,
        _datasets,
    ),
}
"""By name."""
