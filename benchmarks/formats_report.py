"""The report of formats.py as Markdown."""

PACKAGES = (
    "tensorflow-cpu", "keras", "openvino", "nncf", "onnx", "onnxruntime", "ai-edge-litert",
)  # fmt: skip
WHAT = """\
# Formats

Size: of the files that the runtime loads. Load: from them to the first answer. Clip: median of
clips shown one at a time, all runtimes in turn and Keras before them, on the same threads.
Difference: the largest of any score of any clip from that of Keras, with random weights; the
trained networks say what that comes to. Quantised by other clips than those shown. Written by
benchmarks/formats.py.
"""
HEAD = "| | size, MB | convert, s | load, s | clip, ms | difference |"
RULE = "| --- | --- | --- | --- | --- | --- |"


def report(rows: dict[str, dict]) -> str:
    """A table for each network, and one of the trained network's accuracy."""
    lines = [WHAT]
    for row in rows.values():
        trained = "accuracy" in row["cells"]["keras"]
        lines += _trained(row) if trained else _network(row)
    return "\n".join(lines)


def _network(row: dict) -> list[str]:
    keras = row["cells"]["keras"]
    lines = [f"## {row['name']}", "", HEAD, RULE]
    lines.append(f"| Keras | | | | {1e3 * keras['seconds']:.0f} | |")
    for name, cell in row["cells"].items():
        if name != "keras":
            cells = [
                name,
                f"{cell['size'] / 1e6:.1f}",
                f"{cell['convert_s']:.0f}",
                f"{cell['load_s']:.1f}",
                f"{1e3 * cell['seconds']:.0f}",
                f"{cell['largest']:.1e}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    asked, (*clip, classes) = row["asked"], row["shape"]
    shown = (
        f"{row['clips']} clips of {'x'.join(map(str, clip))}, {classes} classes, width "
        f"{asked['width_multiplier']:g}, quantised by {asked['calibration_clips']} clips"
    )
    return [*lines, "", _conditions(row, shown), ""]


def _trained(row: dict) -> list[str]:
    lines = [f"## {row['name']}", ""]
    lines += [
        "| | size, kB | accuracy | same best | difference |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, cell in row["cells"].items():
        if name == "keras":
            lines.append(f"| Keras | | {cell['accuracy']:.1%} | | |")
            continue
        cells = [
            name,
            f"{cell['size'] / 1e3:.0f}",
            f"{cell['accuracy']:.1%}",
            f"{cell['same_best']:.1%}",
            f"{cell['largest']:.1e}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", _conditions(row, f"{row['clips']} held-out videos"), ""]


def _conditions(row: dict, shown: str) -> str:
    return (
        f"{shown}; {row['date']}, {row['machine']}; {row['versions']}; load average {row['load']} "
        "(the measurement itself is part of it)."
    )
