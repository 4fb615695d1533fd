"""The YAML at the top of a model card, by which hubs sort models."""

import json

from r21d_keras.variants import get_variant

from .published import Weights
from .table import CHANNELS

# Field names and values: https://github.com/huggingface/hub-docs, modelcard.md; licences are SPDX
# identifiers in lower case, or "unknown".


def front_matter(row: Weights) -> str:
    """The front matter of a checkpoint's README.md, with the lines of dashes around it."""
    datasets = [name for name in (row.pretraining, row.dataset) if name]
    variant = get_variant(row.variant)
    fields = {
        "license": (row.license or "unknown").lower(),
        "library_name": "keras",
        "pipeline_tag": "video-classification",
        "tags": [
            "keras",
            "video-classification",
            "action-recognition",
            variant.family,
            variant.name,
            *(["optical-flow"] if CHANNELS[row.input_shape[3]] == "flow" else []),
        ],
        "datasets": list(map(_identifier, datasets)),
    }
    metrics = [
        {"type": "accuracy", "name": name, "value": value}
        for name, value in (
            ("clip top-1", row.clip_top1),
            ("video top-1", row.video_top1),
            ("video top-5", row.video_top5),
        )
        if value is not None
    ]
    if metrics:
        result = {
            "task": {"type": "video-classification"},
            "dataset": {"type": _identifier(row.dataset), "name": row.dataset},
            "metrics": metrics,
            "source": {"name": row.protocol or "protocol unknown", "url": row.page},
        }
        fields["model-index"] = [{"name": row.name, "results": [result]}]
    return "\n".join(["---", *_block(fields), "---", ""])


def _identifier(dataset: str) -> str:
    return dataset.lower().replace(" ", "-")


def _block(value) -> list[str]:
    """Lines of YAML for nested dicts and lists; scalars as in JSON, of which YAML is a superset."""
    if isinstance(value, dict):
        return [line for key, item in value.items() for line in _entry(f"{key}:", item)]
    return [line for item in value for line in _item(item)]


def _entry(start: str, value) -> list[str]:
    if isinstance(value, dict | list):
        return [start, *(f"  {line}" for line in _block(value))]
    return [f"{start} {json.dumps(value)}"]


def _item(value) -> list[str]:
    if not isinstance(value, dict | list):
        return [f"- {json.dumps(value)}"]
    first, *others = _block(value)
    return [f"- {first}", *(f"  {line}" for line in others)]
