"""Every video of a data set once, with the splits and subsets it is in: what is prepared once."""

from dataclasses import dataclass

from .catalog import get_dataset
from .listings import ALL, SUBSETS, Entries, ListsAbsent, Places, first, present


@dataclass(frozen=True)
class Catalogued:
    """Every video of a data set that is there, once: video i is `names[i]` in `paths[i]`.

    label_sets: labels of each, indices into `classes`; one each unless the data set has several.
    membership: for each the subset, "train" or "test", that it is in, by split. Videos may share
        one dict: do not change them.
    places: for each its place in the list of that subset, from 0, for each of these splits.
    missing: names of videos that are listed, but not there, where the data set allows it.
    """

    name: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    paths: tuple[str, ...]
    label_sets: tuple[tuple[int, ...], ...]
    membership: tuple[dict[int, str], ...]
    places: tuple[tuple[int, ...], ...]
    missing: tuple[str, ...] = ()


def listed(name: str, places: Places, split: int = 0, subset: str = ALL) -> Catalogued:
    """All videos of all splits and subsets of the data set `name`; splits without lists left out.

    Args:
        split, subset: only of this one, if it is not 0, and of "train" or "test".

    Raises:
        ValueError: what `load_dataset` raises of lists and absent files; a video that is in both
            subsets of a split, or has other labels in another list; a data set without files.
    """
    row = get_dataset(name)
    if row.lister is None:
        raise ValueError(f"{name}: its videos are rendered; there are no files to list.")
    lists, errors = read_lists(name, places, split, subset)
    if errors:
        raise errors[0]
    classes, paths, label_sets, member, order, missing = None, {}, {}, {}, {}, {}
    for split_and_subset, found in lists.items():
        there = present(found, row.may_miss)
        if classes not in (None, there.classes):
            raise ValueError(f"{found.source}: has other classes than the lists before.")
        classes = there.classes
        missing.update(dict.fromkeys(there.missing))
        rows = zip(found.names, found.label_sets, found.paths, strict=True)
        for place, (video, labels, path) in enumerate(rows):
            if not path:
                continue
            if label_sets.setdefault(video, labels) != labels:
                raise ValueError(f"{found.source}: {video} has other labels than in another list.")
            paths[video] = path
            member.setdefault(video, []).append(split_and_subset)
            order.setdefault(video, []).append(place)
    _check_subsets(name, member)
    return Catalogued(
        name,
        classes,
        tuple(paths),
        tuple(paths.values()),
        tuple(label_sets.values()),
        _shared(member),
        tuple(map(tuple, order.values())),
        tuple(missing),
    )


def read_lists(
    name: str, places: Places, split: int = 0, subset: str = ALL
) -> tuple[dict[tuple[int, str], Entries], list[ValueError]]:
    """What the lists of each (split, subset) say, and what is wrong with the others.

    A split of which neither list is there counts as wrong only where no split has lists.

    Args:
        split, subset: as for `listed`.
    """
    row, found, errors, absent = get_dataset(name), {}, {}, {}
    subsets = SUBSETS if subset == ALL else (subset,)
    wanted = [(number, s) for number in row.splits if split in (0, number) for s in subsets]
    for place in wanted:
        try:
            found[place] = row.lister(places, *place)
        except ListsAbsent as error:
            absent[place] = error
        except ValueError as error:
            errors.setdefault(str(error), error)  # one message once: the folder may be absent
    begun = {place[0] for place in wanted if place not in absent}
    halves = [error for (split, _), error in absent.items() if split in begun or not begun]
    return found, [*errors.values(), *(halves if begun else halves[:1])]


def _check_subsets(name: str, member: dict[str, list[tuple[int, str]]]) -> None:
    both = [video for video, places in member.items() if len(dict(places)) < len(places)]
    if both:
        raise ValueError(
            f"{name}: {first(both, 'videos are for train and for test of one split')} "
            "Take them out of one of its lists."
        )


def _shared(member: dict[str, list[tuple[int, str]]]) -> tuple[dict[int, str], ...]:
    """{split: subset} of each video, one dict for all videos that are alike."""
    alike = {}
    rows = map(tuple, member.values())
    return tuple(alike.setdefault(row, dict(row)) for row in rows)
