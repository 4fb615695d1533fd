"""Names of the Caffe2 blobs in VMZ's checkpoints, as PyTorch's module paths.

Source: github.com/facebookresearch/VMZ, c2/lib/models/r3d_model.py (stem and head) and
c2/lib/models/builder/video_model.py (blocks). One rule for all families and depths.
"""

import re
from dataclasses import dataclass

from r21d_keras.zoo.errors import CheckpointError

from .messages import listed
from .torch_names import renamed

CONV = {"w": "weight"}
FC = {"w": "weight", "b": "bias"}
# Caffe2's SpatialBN: scale, bias, running mean and, despite its name, the running variance itself
# (caffe2/operators/spatial_batch_norm_op.cc adds epsilon to it and takes the root).
NORM = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}


@dataclass(frozen=True)
class Rule:
    """One kind of layer: the `pattern` of its blobs' common name, and its module path.

    Where the blob `middle` exists, the layer is the second half of a (2+1)D convolution and its
    path is `decomposed`.
    """

    pattern: str
    module: str
    parameters: dict
    middle: str | None = None
    decomposed: str | None = None


# i counts blocks from 0 through the whole network, j convolutions from 1 within a block. Numbers
# of few digits: Python refuses to read those of thousands.
RULES = (
    Rule(r"conv1_middle", "stem.0", CONV),
    Rule(r"conv1_middle_spatbn_relu", "stem.1", NORM),
    Rule(r"conv1", "stem.0", CONV, "conv1_middle_w", "stem.3"),
    Rule(r"conv1_spatbn_relu", "stem.1", NORM, "conv1_middle_w", "stem.4"),
    Rule(r"comp_(?P<i>[0-9]{1,4})_conv_(?P<j>[0-9])_middle", "{block}.conv{j}.0.0", CONV),
    Rule(r"comp_(?P<i>[0-9]{1,4})_spatbn_(?P<j>[0-9])_middle", "{block}.conv{j}.0.1", NORM),
    Rule(
        r"comp_(?P<i>[0-9]{1,4})_conv_(?P<j>[0-9])",
        "{block}.conv{j}.0",
        CONV,
        "comp_{i}_conv_{j}_middle_w",
        "{block}.conv{j}.0.3",
    ),
    Rule(r"comp_(?P<i>[0-9]{1,4})_spatbn_(?P<j>[0-9])", "{block}.conv{j}.1", NORM),
    Rule(r"shortcut_projection_(?P<i>[0-9]{1,4})", "{block}.downsample.0", CONV),
    Rule(r"shortcut_projection_(?P<i>[0-9]{1,4})_spatbn", "{block}.downsample.1", NORM),
    Rule(r"last_out_L[0-9]{1,6}", "fc", FC),
)
# Endings of blobs that lie beside the weight of the same name, and why they are no weights.
NOT_WEIGHTS = {
    # VMZ c2/tools/train_net.py, GetCheckpointParams: what training saves beside each parameter.
    "_momentum": "the optimizer's momentum",
}
STAGES = 4


def to_torch_names(arrays: dict) -> dict:
    """VMZ's blobs under PyTorch's module paths; scopes ("gpu_0/") are taken off.

    The classifier may be a matrix (classes, C) or, in networks tested convolutionally, a
    convolution (classes, C, 1, 1, 1); it becomes the matrix.

    Raises:
        CheckpointError: blobs that are no weights of these networks, of two scopes, or of no
            four stages; or a classifier whose name gives another number of classes than its shape.
    """
    # As VMZ c2/lib/utils/model_loader.py, unscope_name.
    blobs = renamed(arrays, lambda name: name.rpartition("/")[2])
    starts = _stage_starts(blobs)
    keys = {name: _torch_key(name, blobs, starts) for name in blobs}
    weights = {
        name: _as_matrix(name, blob) if keys[name] == "fc.weight" else blob
        for name, blob in blobs.items()
        if not _beside_a_weight(name, blobs, keys)
    }
    return renamed(weights, keys.get)


def _stage_starts(blobs) -> list[int]:
    """The blocks with which the four stages begin: those with a projection, and the first."""
    found = (re.fullmatch(r"shortcut_projection_([0-9]{1,4})_w", name) for name in blobs)
    starts = sorted({0, *(int(match[1]) for match in found if match)})
    if len(starts) != STAGES:
        raise CheckpointError(
            f"Blocks {listed(starts)} begin a stage: the first, and those with a "
            f"shortcut_projection_<i>_w. Expected {STAGES} stages, as VMZ's residual networks have."
        )
    return starts


def _torch_key(name, blobs, starts) -> str | None:
    common, _, parameter = name.rpartition("_")
    for rule in RULES:
        found = re.fullmatch(rule.pattern, common)
        if found and parameter in rule.parameters:
            parts = found.groupdict()
            is_second = rule.middle is not None and rule.middle.format(**parts) in blobs
            module = rule.decomposed if is_second else rule.module
            block = _block(int(parts["i"]), starts) if "i" in parts else ""
            return f"{module.format(block=block, **parts)}.{rule.parameters[parameter]}"
    return None


def _block(i, starts) -> str:
    stage = sum(start <= i for start in starts)
    return f"layer{stage}.{i - starts[stage - 1]}"


def _beside_a_weight(name, blobs, keys) -> bool:
    """Whether this is a known left-over of training: its weight is there, of the same shape."""
    for ending in NOT_WEIGHTS:
        weight = name.removesuffix(ending)
        if weight != name and keys.get(weight) and blobs[weight].shape == blobs[name].shape:
            return True
    return False


def _as_matrix(name, blob):
    classes, shape = re.fullmatch(r"last_out_L([0-9]{1,6})_w", name)[1], blob.shape
    if len(shape) < 2 or shape[0] != int(classes) or shape[2:] not in ((), (1, 1, 1)):
        raise CheckpointError(
            f"{name} has shape {shape}; expected ({classes}, C) or ({classes}, C, 1, 1, 1)."
        )
    return blob.reshape(shape[:2])
