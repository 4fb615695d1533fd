"""What is known of a checkpoint, in words: for the terminal, and as a folder to upload to a hub."""

import json
import os
import pathlib
import shutil
import tempfile
import textwrap

from .citations import citations
from .front_matter import front_matter
from .published import Weights
from .table import CHANNELS, UNKNOWN, facts, hash_state, percent
from .weights_h5 import SUFFIX, card_path, read_card

LABEL_WIDTH, WIDTH = 15, 100  # characters in `describe`: of the longest label, of a line


def describe(row: Weights, home: pathlib.Path) -> str:
    """All that is known of a checkpoint, where it lies below `home`, the cache, and whom to cite.

    A file is not read, only looked for.
    """
    lines = [*statements(row), *_places(row, home)]
    use = f'zoo.{row.variant}(weights="{row.tag}")'
    return "\n".join(
        [
            row.name,
            "",
            *(_wrapped(label, text) for label, text in [*lines, ("use", use)]),
            "",
            "\n\n".join(citations(row)),
        ]
    )


def statements(row: Weights) -> list[tuple[str, str]]:
    """What is known of a checkpoint: (what it is about, what is known), in reading order."""
    numbers = row.preprocessing
    frames, height, width, channels = row.input_shape
    size = numbers.resize
    resized = f"shorter side {size}" if isinstance(size, int) else "x".join(map(str, size))
    accuracies = {
        "clip top-1": row.clip_top1,
        "video top-1": row.video_top1,
        "video top-5": row.video_top5,
    }
    scores = [
        f"{name} {UNKNOWN if value is None else f'{percent(value)} %'}"
        for name, value in accuracies.items()
    ]
    return [
        ("network", f'{row.variant}, convention "{row.convention}"'),
        ("size", f"{row.num_params:,} parameters, {row.macs / 1e9:.2f} GMACs a clip"),
        ("trained on", f"{row.dataset}, {row.num_classes} classes"),
        ("pretrained on", row.pretraining or "-"),
        ("labels", row.labels or "never published"),
        (
            "input",
            f"{frames} frames of {height}x{width}, {CHANNELS[channels]}, {numbers.frame_rate:g} Hz",
        ),
        ("resize, crop", f"{resized}, then the middle {numbers.crop_size}x{numbers.crop_size}"),
        ("normalisation", f"/ {numbers.scale:g}, mean {numbers.mean}, std {numbers.std}"),
        ("accuracy", ", ".join(scores)),
        ("protocol", row.protocol or UNKNOWN),
        ("licence", f"{row.license or UNKNOWN}. {row.license_note}"),
        ("described at", row.page),
        ("file", f"{row.file_name}, tensors named as in {row.naming}"),
        ("from", row.url),
        ("hash", row.file_hash or f"{hash_state(row)}: the one seen first is kept and compared"),
        *([("note", row.note)] if row.note else []),
    ]


def write_card(row: Weights, out: str | os.PathLike) -> pathlib.Path:
    """Makes the folder `out`, ready to upload: README.md, weights, their card, and LICENSE.

    The weights are those of the cache; on first use they are downloaded and converted. The folder
    appears whole or not at all.

    Returns:
        The folder.

    Raises:
        FileExistsError: there is something else of that name.
        DownloadError, CheckpointError: the weights cannot be got.
    """
    out = pathlib.Path(os.path.abspath(out))
    if out.is_dir() and any(out.iterdir()) or out.exists() and not out.is_dir():
        raise FileExistsError(
            f"{out} exists already. Name a folder that does not, or an empty one."
        )
    from .cache import weights_file

    weights = weights_file(row)
    card = {**read_card(weights), **facts(row)}  # the row knows the clip's size, too
    out.parent.mkdir(parents=True, exist_ok=True)
    making = pathlib.Path(tempfile.mkdtemp(prefix=f".{out.name}.making-", dir=out.parent))
    try:
        copy = making / f"{row.name}{SUFFIX}"
        shutil.copyfile(weights, copy)
        card_path(copy).write_text(json.dumps(card, indent=1) + "\n", "utf-8")
        (making / "README.md").write_text(read_me(row, card), "utf-8")
        (making / "LICENSE").write_text(licence_note(row), "utf-8")
        making.chmod(0o755)
        os.rename(making, out)  # an empty folder is replaced
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return out


def read_me(row: Weights, card: dict) -> str:
    """README.md for a hub: front matter, what is known, how to use it, whom to cite.

    Args:
        row: the checkpoint.
        card: of its converted file; names the versions that wrote it.
    """
    lines = "\n".join(f"| {label} | {text} |" for label, text in statements(row))
    versions = f"r21d_keras {card.get('r21d_keras', UNKNOWN)}, Keras {card.get('keras', UNKNOWN)}"
    return f"""\
{front_matter(row)}
# {row.name}

`{row.variant}` of [A Closer Look at Spatiotemporal Convolutions for Action
Recognition](https://arxiv.org/abs/1711.11248) for Keras. The weights are [published
ones]({row.page}): the same numbers in another file format, converted with {versions}. Keras 2 and
Keras 3 do not read each other's files.

| | |
| --- | --- |
{lines}

## Use

```python
{_usage(row)}
```

Keep `{row.name}.json` beside the weights: it tells the builder the network's convention.

## Cite

```bibtex
{_BLANK_LINE.join(citations(row))}
```
"""


def licence_note(row: Weights) -> str:
    """What is known of the weights' licence, as the text of a file LICENSE."""
    return f"""\
Licence of these weights: {row.license or UNKNOWN}

{row.license_note}
Where the authors describe them: {row.page}
Where their file was published: {row.url}

The weights here are the numbers of that file in another format; converting them adds no rights and
takes none away. Where the licence is unknown, ask their authors before you pass them on.
"""


_BLANK_LINE = "\n\n"


def _usage(row: Weights) -> str:
    """Python that loads the weights from the folder and applies them."""
    frames, _, _, channels = row.input_shape
    rate = f"{row.preprocessing.frame_rate:g} Hz"
    what = f"uint8 RGB frames ({frames}, H, W, 3)" if channels == 3 else f"flow ({frames}, H, W, 2)"
    lines = [
        "from r21d_keras import zoo",
        "",
        f'row = zoo.get_weights("{row.variant}", "{row.tag}")',
        f'model = zoo.{row.variant}(weights="{row.name}{SUFFIX}")',
        f"clip = zoo.preprocess_input(frames, weights=row)  # {what} at {rate}",
        "probabilities = model.predict(clip[None])",
    ]
    if row.labels:
        lines.append("print(zoo.decode_predictions(probabilities, weights=row))")
    return "\n".join(lines)


def _wrapped(label: str, text: str) -> str:
    """A statement as lines of a terminal; addresses and paths stay whole."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{label:<{LABEL_WIDTH}}",
        subsequent_indent=" " * LABEL_WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _places(row: Weights, home: pathlib.Path) -> list[tuple[str, str]]:
    """Where the authors' file and what was made of it lie, if they do."""
    original = home / "downloads" / row.file_name
    # Each major version of Keras keeps its own.
    converted = sorted(map(str, home.glob(f"weights*/{row.name}{SUFFIX}")))
    return [
        ("downloaded", str(original) if original.is_file() else f"not yet; goes to {original}"),
        ("converted", ", ".join(converted) or "not yet; done on first use"),
    ]
