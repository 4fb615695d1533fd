"""Which 2-D form of each convolution is the fastest, on each backend.

    python -m benchmarks.folding [--backend=tensorflow,jax,torch] [--width=full,quarter]

Times every method of r21d_keras.folding on the convolutions of the networks, in turn, in a process
for each backend (TensorFlow with and without oneDNN), and compares with folding.AUTO. Writes
benchmarks/folding.md, and beside it folding.json, from which a later run keeps what it does not
measure again.
"""

import argparse
import math
import pathlib

from benchmarks.ledger import Ledger, conditions, write_text
from benchmarks.protocol import Worker

HERE = pathlib.Path(__file__).parent
PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "jax", "torch")

# (form, frames, side, channels, filters, kernel, strides): of the paper's networks at depths 18 and
# 50, channels x 1, clips 16x112x112. Form as in folding.FORMS.
CONVOLUTIONS = (
    ("1x1x1", 16, 56, 64, 256, (1, 1, 1), (1, 1, 1)),  # a bottleneck's last
    ("1x1x1 strided", 16, 56, 64, 128, (1, 1, 1), (1, 2, 2)),  # shortcuts
    ("1x1x1 strided", 16, 56, 64, 128, (1, 1, 1), (2, 2, 2)),
    ("1xkxk", 16, 112, 3, 45, (1, 7, 7), (1, 2, 2)),  # R(2+1)D's stem
    ("1xkxk", 16, 56, 64, 144, (1, 3, 3), (1, 1, 1)),
    ("1xkxk", 16, 56, 64, 230, (1, 3, 3), (1, 2, 2)),
    ("1xkxk", 4, 14, 256, 576, (1, 3, 3), (1, 1, 1)),
    ("kx1x1", 16, 56, 45, 64, (3, 1, 1), (1, 1, 1)),
    ("kx1x1", 16, 56, 144, 64, (3, 1, 1), (1, 1, 1)),
    ("kx1x1", 16, 28, 230, 128, (3, 1, 1), (2, 1, 1)),
    ("kx1x1", 4, 14, 576, 256, (3, 1, 1), (1, 1, 1)),
    ("kxkxk strided", 16, 112, 3, 64, (3, 7, 7), (1, 2, 2)),  # R3D's stem
    ("kxkxk strided", 16, 112, 3, 64, (16, 7, 7), (1, 2, 2)),  # R2D's stem: the whole clip
    ("kxkxk", 16, 56, 64, 64, (3, 3, 3), (1, 1, 1)),
    ("kxkxk strided", 16, 56, 64, 128, (3, 3, 3), (2, 2, 2)),
    ("kxkxk", 4, 14, 256, 256, (3, 3, 3), (1, 1, 1)),
)
# Clips a batch, and by what frames, side and channels are multiplied: quarter is a quarter of the
# channels with clips 8x32x32.
WIDTHS = {"full": (2, 1, 1, 1), "quarter": (32, 1 / 2, 2 / 7, 1 / 4)}
NEAR = 1.1  # a method this close to the fastest is as good: runs differ by that


def main() -> None:
    options = _options()
    ledger = Ledger(options.out.with_suffix(".json"))
    for backend in options.backend:
        for onednn in ("1", "0") if backend == "tensorflow" else ("",):
            environ = {"TF_ENABLE_ONEDNN_OPTS": onednn} if onednn else {}
            environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
            with Worker("benchmarks.folding_worker", KERAS_BACKEND=backend, **environ) as worker:
                for width in options.width:
                    eigen = onednn == "0"
                    _measure(worker, width, eigen, options, ledger)
    report = _report(ledger.rows)
    write_text(options.out, report)
    print(report)


def _measure(worker: Worker, width: str, eigen: bool, options, ledger: Ledger) -> None:
    # A single strided gradient of Eigen's at full width takes a minute.
    kinds = ["forward"] if eigen and width == "full" else ["forward", "gradient"]
    repeats = min(options.repeats, 3) if eigen else options.repeats
    for form, *sizes in CONVOLUTIONS:
        if options.forms and form not in options.forms:
            continue
        request = scaled(width, *sizes)
        answer = worker.ask(
            "measure", **request, kinds=kinds, repeats=repeats, budget_s=options.seconds
        )  # {"seconds", "engine", "auto"}
        name = f"{answer['engine']} {width} {_label(request)}"
        print(name, {m: [f"{v:.4f}" for v in s.values()] for m, s in answer["seconds"].items()})
        ledger[name] = {
            **answer, "form": form, "width": width, "label": _label(request),
            **conditions(*PACKAGES),
        }  # fmt: skip


def scaled(width: str, frames, side, channels, filters, kernel, strides) -> dict:
    """The convolution at that width, as the worker takes it."""
    batch, time, space, share = WIDTHS[width]
    clip = kernel[0] == frames > 3
    return {
        "clips": [batch, int(frames * time), round(side * space)]
        + [round(side * space), channels if channels == 3 else int(channels * share)],
        "filters": int(filters * share),
        "kernel": [int(frames * time) if clip else kernel[0], *kernel[1:]],
        "strides": list(strides),
        "padding": [0 if clip else kernel[0] // 2, kernel[1] // 2, kernel[2] // 2],
    }


def best_methods(rows: list[dict]) -> dict[str, dict[str, float]]:
    """form -> method -> geometric mean of its time over that of the fastest, of `rows`."""
    found = {}
    for form in dict.fromkeys(form for form, *_ in CONVOLUTIONS):
        these = [row["seconds"] for row in rows if row["form"] == form]
        able = set.intersection(*(set(seconds) for seconds in these)) if these else set()
        found[form] = {method: _slowness(method, these) for method in sorted(able)}
    return found


def _slowness(method: str, rows: list[dict]) -> float:
    ratios = [
        seconds[method][kind] / min(other[kind] for other in seconds.values())
        for seconds in rows
        for kind in seconds[method]
    ]
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def _report(rows: dict[str, dict]) -> str:
    last = list(rows.values())[-1]
    engines = list(dict.fromkeys(row["engine"] for row in rows.values()))
    lines = [
        "# Convolutions folded into two dimensions",
        "",
        f"{last['date']}, {last['machine']}; {last['versions']}. Written by benchmarks/folding.py.",
        "",
        "Time of each method over that of the backend's own 3-D convolution: forward / forward and "
        "gradient (by kernel and clips; by the kernel alone where clips have three channels). "
        "Medians of runs in turn. **Bold**: what `folding.AUTO` takes; a cross: it is more than "
        f"{NEAR - 1:.0%} slower than the fastest.",
        "",
    ]
    for engine in engines:
        these = [row for row in rows.values() if row["engine"] == engine]
        for width in dict.fromkeys(row["width"] for row in these):
            lines += _table(engine, width, [row for row in these if row["width"] == width])
        lines += _verdict(engine, these)
    return "\n".join(lines)


def _table(engine: str, width: str, rows: list[dict]) -> list[str]:
    methods = list(dict.fromkeys(method for row in rows for method in row["seconds"]))
    others = [method for method in methods if method != "conv3d"]
    lines = [
        f"## {engine}, {width} width, {WIDTHS[width][0]} clips",
        "",
        f"| form | clip, kernel, strides, filters | conv3d, ms | {' | '.join(others)} | AUTO |",
        f"| --- | --- | --- {'| --- ' * len(others)}| --- |",
    ]
    for row in rows:
        base, auto = row["seconds"]["conv3d"], row["auto"]
        cells = [" / ".join(f"{1e3 * s:.3g}" for s in base.values())]
        for method in others:
            taken = row["seconds"].get(method, {})
            cells.append(" / ".join(f"{s / base[kind]:.2f}" for kind, s in taken.items()))
        cells = [f"**{c}**" if m == auto else c for m, c in zip(["conv3d", *others], cells)]  # noqa: B905
        cells.append(f"{auto} {'✗' if misses(row) else ''}".strip())
        lines.append(f"| {row['form']} | {row['label']} | {' | '.join(cells)} |")
    return [*lines, ""]


def misses(row: dict) -> list[str]:
    """The kinds ("forward", "gradient") in which AUTO's method is not among the fastest."""
    fastest = {k: min(s[k] for s in row["seconds"].values()) for k in row["seconds"][row["auto"]]}
    taken = row["seconds"][row["auto"]]
    return [kind for kind, best in fastest.items() if taken[kind] > NEAR * best]


def _verdict(engine: str, rows: list[dict]) -> list[str]:
    lines = [f"### {engine}: the best single choice for each form", ""]
    for form, means in best_methods(rows).items():
        means = sorted(means.items(), key=lambda item: item[1])
        if means:
            lines.append(f"- {form}: " + ", ".join(f"{name} {mean:.2f}" for name, mean in means))
    lines += ["", "Geometric mean over widths and kinds of time over the fastest's time.", ""]
    for row in rows:
        for kind in misses(row):
            times = {method: seconds[kind] for method, seconds in row["seconds"].items()}
            best = min(times, key=times.get)
            lines.append(
                f"- {row['width']}, {row['label']}, {kind}: AUTO takes {row['auto']}; {best} is "
                f"{times[row['auto']] / times[best]:.2f} times as fast."
            )
    return [*lines, ""]


def _label(request: dict) -> str:
    sizes = (request["clips"][1:], request["kernel"], request["strides"], [request["filters"]])
    return ", ".join("x".join(map(str, part)) for part in sizes)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    several = {"type": lambda text: text.split(",")}
    parser.add_argument("--backend", default=["tensorflow", "jax", "torch"], **several)
    parser.add_argument("--width", default=list(WIDTHS), **several)
    parser.add_argument("--forms", default=[], **several, help="for example 1x1x1,kxkxk")
    parser.add_argument("--repeats", type=int, default=9, help="turns, at most")
    parser.add_argument("--seconds", type=float, default=10.0, help="no new turn after these")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "folding.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
