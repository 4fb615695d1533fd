"""The report of serving.py as Markdown."""

import statistics

PACKAGES = (
    "tensorflow-cpu", "keras", "openvino", "nncf", "onnx", "onnxruntime", "ai-edge-litert",
    "torch", "torchvision",
)  # fmt: skip
EAGER = ("torchvision, eager", "torchvision, eager, channels last")
SAME_RUNTIME = {  # ours: torchvision's network in the same runtime and precision
    "OpenVINO": "torchvision in OpenVINO",
    "OpenVINO, bfloat16": "torchvision in OpenVINO, bfloat16",
    "OpenVINO, int8": "torchvision in OpenVINO, int8",
    "ONNX Runtime": "torchvision in ONNX Runtime",
}
WHAT = """\
# Exports beside torchvision

400 classes, float32 where nothing else is said. Every line is a process of its own, with random
weights, whose convolutions take as long as others; all were asked in turn, one at a time, with as
many threads as there are cores. Latency: median of a batch, with the quartiles. Of eager:
torchvision's best eager median over this one, above 1 where this is the faster. Load: from the
files to the first answer, imports left out. Peak: the most resident memory of the process, its
framework included. Size: of the files. Keras, the SavedModel (by clips_float) and torchvision's
network take clips that are prepared, our other exports pixels, which they normalise within. Written
by benchmarks/serving.py.
"""
HEAD = "| | latency, ms | quartiles | clips/s | of eager | load, s | peak, MiB | size, MB |"


def report(rows: dict[str, dict]) -> str:
    """A table for each network and batch, and what the aims come to."""
    lines = [WHAT]
    for title, row in rows.items():
        timed = {name: cell for name, cell in row["cells"].items() if cell.get("seconds")}
        medians = {name: statistics.median(cell["seconds"]) for name, cell in timed.items()}
        eager = min((medians[name] for name in EAGER if name in medians), default=0.0)
        lines += [f"## {title}", "", HEAD, f"|{' --- |' * 8}"]
        lines += [_line(name, cell, row["batch"], eager) for name, cell in row["cells"].items()]
        lines += ["", *_aims(medians, eager), "", _conditions(row), ""]
    return "\n".join(lines)


def _line(name: str, cell: dict, batch: int, eager: float) -> str:
    if "failed" in cell:
        return f"| {name} | failed: {cell['failed']} | | | | | | |"
    median = statistics.median(cell["seconds"])
    low, _, high = statistics.quantiles(cell["seconds"], n=4, method="inclusive")
    cells = [
        name,
        f"{1e3 * median:.0f}",
        f"{1e3 * low:.0f}-{1e3 * high:.0f}",
        f"{batch / median:.2f}",
        f"{eager / median:.2f}",
        f"{cell['load_s']:.1f}",
        f"{cell['mib']:.0f}",
        f"{cell['size'] / 1e6:.1f}",
    ]
    return f"| {' | '.join(cells)} |"


def _aims(medians: dict[str, float], eager: float) -> list[str]:
    """The best of ours against torchvision eager, and each against the same runtime."""
    ours = {name: s for name, s in medians.items() if "torchvision" not in name}
    if not ours or not eager:
        return []
    best = min(ours, key=ours.get)
    exact = {name: s for name, s in ours.items() if "int8" not in name and "bfloat16" not in name}
    lines = [f"- Fastest: {best}, {eager / ours[best]:.2f} times torchvision's best eager."]
    if exact:
        fastest = min(exact, key=exact.get)
        lines.append(f"- Fastest in float32: {fastest}, {eager / exact[fastest]:.2f} times.")
    for name, other in SAME_RUNTIME.items():
        if name in medians and other in medians:
            lines.append(f"- {name}: {medians[other] / medians[name]:.2f} times {other}.")
    return lines


def _conditions(row: dict) -> str:
    runs = max(len(cell.get("seconds", ())) for cell in row["cells"].values())
    return (
        f"{row['date']}, {row['machine']}; {row['versions']}; {runs} runs each; load average "
        f"{row['load']} (the measurement itself is part of it)."
    )
