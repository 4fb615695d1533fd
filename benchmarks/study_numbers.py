"""Numbers of the family study: means over seeds, the paper's order beside ours."""

import statistics

# video@1 in per cent on Kinetics-400, 18 layers, 8 frames: table 2 of the paper.
PAPER = {
    **{"r2d": 59.5, "f_r2d": 59.4, "r3d": 61.8, "mc2": 62.5, "mc3": 62.9, "mc4": 62.5},
    **{"mc5": 62.5, "rmc2": 62.1, "rmc3": 62.1, "rmc4": 62.1, "rmc5": 61.2, "r2plus1d": 64.8},
}


def means(rows: list[dict], metric: str) -> dict[str, tuple[float, float, int]]:
    """Of each family: mean, half the range, and number of its seeds."""
    found = {}
    for family in dict.fromkeys(row["family"] for row in rows):
        values = [row[metric] for row in rows if row["family"] == family]
        found[family] = statistics.mean(values), (max(values) - min(values)) / 2, len(values)
    return found


def rank_correlation(first: dict[str, float], second: dict[str, float]) -> float:
    """Spearman's, over the names in both; equal values share their mean rank."""
    names = [name for name in first if name in second]
    ranks = [_ranks([values[name] for name in names]) for values in (first, second)]
    return statistics.correlation(*ranks)


def _ranks(values: list[float]) -> list[float]:
    ordered = sorted(values)
    return [ordered.index(value) + (ordered.count(value) - 1) / 2 for value in values]


def verdict(found: dict[str, tuple[float, float, int]], better, worse) -> str:
    """Whether `better` families are better than `worse` ones: "yes", "no", or undecided.

    Compared are the means of either side, or one family with the best of the others. Undecided is
    what lies closer together than the seeds of one family do.
    """
    high = statistics.mean(found[family][0] for family in better)
    others = [found[family][0] for family in worse]
    low = max(others) if len(better) == 1 else statistics.mean(others)
    spread = statistics.mean(found[family][1] for family in (*better, *worse))
    if abs(high - low) <= spread:
        return "undecided, within the spread of the seeds"
    return "yes" if high > low else "no"


def lengths(rows) -> dict[str, list[int]]:
    """The clip lengths of each family that has several."""
    found = {}
    for row in rows:
        found.setdefault(row["family"], set()).add(row["clip_frames"])
    return {family: sorted(lengths) for family, lengths in found.items() if len(lengths) > 1}


def of(rows, dataset) -> list[dict]:
    return [row for row in rows if row["dataset"] == dataset]
