"""The report of side_by_side.py as Markdown."""

import statistics

# A training step multiplies three times: forward, gradient by the weights, gradient by the input.
PASSES = {"forward": 1, "train": 3}
WHAT = {"forward": "forward", "train": "training step"}


def report(rows: dict[str, dict]) -> str:
    """A table of the medians, and one of all that was tried."""
    lines = [
        "# Beside torchvision",
        "",
        "Clips of 16x112x112, 400 classes, float32. Each side in its fastest configuration, each "
        "in a process of its own, run in turn; ratio: torchvision's median over ours, above 1 "
        "where ours is the faster, with the quartiles of the ratios of neighbouring runs. Of "
        "product: the arithmetic done in a second, over that of a 2048x2048x2048 matrix product "
        "in the same framework (2 operations a multiply-add, a training step three forward "
        "passes). Peak: the most resident memory of a fresh process, the framework included. A "
        "training step is forward, cross entropy, backward and SGD with momentum. Merged and "
        "frozen are networks for inference, with batch normalisation and ReLU in the convolutions, "
        "by merge_batch_norm (the peak has the network that it was made from, too) and by "
        "torch.compile's freezing. Written by benchmarks/side_by_side.py.",
        "",
        "| network | what | clips | torchvision, ms | ours, ms | ratio | of product: torchvision "
        "| ours | peak, MiB: torchvision | ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(_line(row) for row in rows.values()),
        "",
        *_conditions(rows),
        "## What was tried",
        "",
        "Median of up to three runs, ms; one run where it was plain that it would not win.",
        "",
        *(_trials(name, row) for name, row in rows.items()),
        "",
    ]
    return "\n".join(lines)


def _line(row: dict) -> str:
    ours, theirs = row["ours"], row["torchvision"]
    medians = [1e3 * statistics.median(side["seconds"]) for side in (theirs, ours)]
    cells = [
        row["variant"],
        WHAT[row["kind"]],
        row["batch"],
        *(f"{median:.0f}" for median in medians),
        f"**{medians[0] / medians[1]:.2f}** ({_quartiles(theirs['seconds'], ours['seconds'])})",
        *(f"{_share(row, side):.0%}" for side in (theirs, ours)),
        *(f"{side['peak_mib']:.0f}" for side in (theirs, ours)),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _quartiles(theirs: list[float], ours: list[float]) -> str:
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    if len(ratios) < 2:
        return "one run"
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return f"{low:.2f}-{high:.2f}"


def _share(row: dict, side: dict) -> float:
    operations = 2 * row["macs"] * row["batch"] * PASSES[row["kind"]]
    return operations / statistics.median(side["seconds"]) / 1e9 / side["product_gflops"]


def _conditions(rows: dict[str, dict]) -> list[str]:
    lines = []
    for about in dict.fromkeys((r["date"], r["machine"], r["versions"]) for r in rows.values()):
        these = {
            name: row
            for name, row in rows.items()
            if (row["date"], row["machine"], row["versions"]) == about
        }
        loads = [row["load"] for row in these.values()]
        runs = sorted({len(row["ours"]["seconds"]) for row in these.values()})
        products = [
            statistics.median(row[side]["product_gflops"] for row in these.values())
            for side in ("torchvision", "ours")
        ]
        lines.append(
            f"{', '.join(these)}: {about[0]}, {about[1]}; {about[2]}; "
            f"{' or '.join(map(str, runs))} runs a side; load average {min(loads):.1f} to "
            f"{max(loads):.1f} (the runs themselves are part of it); matrix product "
            f"{products[0]:.0f} GFLOP/s in torch, {products[1]:.0f} in ours."
        )
    return [*lines, ""]


def _trials(name: str, row: dict) -> str:
    parts = []
    for side, found in row["tried"].items():
        times = (f"{config} {_text(result)}" for config, result in found.items())
        parts.append(f"{side}: {', '.join(times)}")
    chosen = " against ".join(row[side]["configuration"] for side in ("torchvision", "ours"))
    return f"- {name}: {'; '.join(parts)}. Taken: {chosen}."


def _text(result: float | str) -> str:
    return f"{1e3 * result:.0f}" if isinstance(result, float) else f"({result})"
