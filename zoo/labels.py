"""What the classes of published checkpoints are called.

Each labels_<name>.txt has one label a line, in the order of the classifier's outputs:
    kinetics400: alphabetical, as torchvision, GluonCV and VMZ number them; kinetics600 and
        kinetics700 likewise, as MMAction2 numbers them (tools/data/kinetics/label_map_k600.txt).
    hmdb51: alphabetical, as VMZ's lists number them (data/list/hmdb51/hmdb51_train_01.csv).
    sports1m: labels.txt of https://github.com/gtoderici/sports-1m-dataset, by A. Karpathy,
        G. Toderici, S. Shetty, T. Leung, R. Sukthankar and L. Fei-Fei; licence CC BY 3.0.
"""

import functools
import pathlib

import numpy as np

from .weights import weights_named

FOLDER = pathlib.Path(__file__).parent
LABEL_MAPS = tuple(
    sorted(path.stem.removeprefix("labels_") for path in FOLDER.glob("labels_*.txt"))
)


@functools.cache
def load_labels(name: str) -> tuple[str, ...]:
    """Labels of one of the LABEL_MAPS, in the order of a classifier's outputs.

    Raises:
        ValueError: for another name.
    """
    if name not in LABEL_MAPS:
        raise ValueError(f"Unknown label map {name!r}. Expected one of {', '.join(LABEL_MAPS)}.")
    return tuple((FOLDER / f"labels_{name}.txt").read_text("utf-8").splitlines())


def class_names(row) -> tuple[str, ...]:
    """A label for each class of a row of `list_weights()`: numbers where none were published."""
    if row.labels:
        return load_labels(row.labels)
    return tuple(f"class {index}" for index in range(row.num_classes))


def decode_predictions(probabilities, top: int = 5, weights=None) -> list[list[tuple]]:
    """What a network says of each clip, in words.

    >>> decode_predictions(model.predict(clips), top=2, weights=row)[0]
    [(129, 'flipping pancake', 0.92), (72, 'cooking on campfire', 0.03)]

    Args:
        probabilities: outputs (N, classes) of a network.
        top: how many classes to name for each clip.
        weights: the network's row of `list_weights()`, or its name VARIANT.TAG; None for
            Kinetics-400.

    Returns:
        For each clip a list of `top` tuples (class, label, score), the best first; equal scores in
        the order of the classes.

    Raises:
        ValueError: if the classes' names were never published, `probabilities` have another shape
            than (N, classes) or are not finite, or `top` is none of 1 .. classes.
        TypeError: if `weights` are no row.
    """
    weights = weights_named(weights) if isinstance(weights, str) else weights
    labels = load_labels("kinetics400") if weights is None else _labels(weights)
    scores = np.asarray(probabilities, float)
    if scores.ndim != 2 or scores.shape[1] != len(labels):
        raise ValueError(
            f"Predictions have shape {scores.shape}; expected (clips, {len(labels)}), a score for "
            f"each class of {getattr(weights, 'name', 'Kinetics-400')}. Pass the output of the "
            "network with that classifier, and its row as weights."
        )
    if not np.isfinite(scores).all():
        raise ValueError("Predictions hold NaN or infinity, which cannot be ordered.")
    if not 1 <= top <= len(labels):
        raise ValueError(f"top={top!r}: expected a number of classes from 1 to {len(labels)}.")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(int(place), labels[place], float(row[place])) for place in places]
        for row, places in zip(scores, best, strict=True)
    ]


def _labels(row) -> tuple[str, ...]:
    if not hasattr(row, "labels"):
        raise TypeError(
            f"weights={row!r}: expected a row of list_weights(). "
            'Get one by its name: get_weights("r2plus1d_18", "kinetics400").'
        )
    if row.labels is None:
        raise ValueError(
            f"{row.name} tells {row.num_classes} classes of {row.dataset} apart, whose names were "
            f"never published (see {row.page}). Use it without its top, for features or "
            "fine-tuning, or take a row whose `labels` is not None."
        )
    return load_labels(row.labels)
