"""Checkpoints of other networks, which these names or shapes give away, and why none fits."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from r21d_keras.zoo.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A network that is none of ours. `is_it` looks at {key: array}; `reason` says what differs."""

    name: str
    is_it: Callable[[dict], bool]
    reason: str


def refuse_foreign(arrays: dict) -> None:
    """Raise if `arrays`, under the names that the file gives them, are a known foreign network's.

    Raises:
        CheckpointError: they are; the message says whose and what differs.
    """
    for foreign in FOREIGN:
        if foreign.is_it(arrays):
            raise CheckpointError(
                f"This is {foreign.name}; expected a network of arXiv:1711.11248, which it is not: "
                f"{foreign.reason} See zoo.list_weights() for checkpoints that fit."
            )


def _has_key(pattern: str) -> Callable[[dict], bool]:
    """Whether some key matches `pattern` from its beginning."""
    return lambda arrays: any(re.match(pattern, key) for key in arrays)


def _has_shape(fits: Callable[[tuple], bool], pattern: str = "") -> Callable[[dict], bool]:
    """Whether some array has a shape that fits and a key that matches `pattern`."""
    return lambda arrays: any(
        fits(array.shape) and re.match(pattern, key) for key, array in arrays.items()
    )


# What tells a project by its keys comes before what tells a kind of layer by its shape.
FOREIGN = (
    # open-mmlab/mmaction2: mmaction/models/common/conv2plus1d.py, backbones/resnet3d.py.
    Foreign(
        name="an mmaction2 checkpoint",
        is_it=_has_key(r"backbone\..*\.conv\."),
        reason="its R(2+1)D has 83 middle channels in the stem, max pooling after it, and "
        "factorised shortcuts.",
    ),
    # facebookresearch/pytorchvideo: pytorchvideo/models/r2plus1d.py, layers/convolutions.py.
    Foreign(
        name="a PyTorchVideo checkpoint",
        is_it=_has_key(r"blocks\.\d+\."),
        reason="its R(2+1)D convolves in time before space, without the paper's middle widths, "
        "and its first stage halves the frames' size.",
    ),
    # kenshohara/3D-ResNets-PyTorch: models/resnet2p1d.py, models/resnet.py.
    Foreign(
        name="a checkpoint of kenshohara's 3D-ResNets-PyTorch",
        is_it=lambda arrays: (
            _has_key(r"(layer\d\.\d+\.)?(conv|bn)\d_[st]\.")(arrays)
            or _has_shape(lambda shape: shape[2:] == (7, 7, 7), r"conv1\.weight$")(arrays)
        ),
        reason="its stem spans 7 frames and is followed by max pooling, in time too.",
    ),
    # facebookresearch/VMZ: c2/lib/models/c3d_model.py.
    Foreign(
        name="VMZ's C3D",
        is_it=_has_key(r"(.*/)?conv1a_"),
        reason="it has no residual blocks.",
    ),
    # facebookresearch/VMZ: c2/lib/models/builder/video_model.py, block types "3d-sep" and "0.3d";
    # pt/vmz/models/csn.py. One input channel for each filter.
    Foreign(
        name="a channel-separated network (ir-CSN, ip-CSN)",
        is_it=_has_shape(lambda shape: shape[1:] == (1, 3, 3, 3)),
        reason="its 3 x 3 x 3 convolutions are grouped, one channel each.",
    ),
    # dmlc/gluon-cv: gluoncv/torch/model_zoo/action_recognition/r2plus1dv2.py, class Affine.
    Foreign(
        name="a GluonCV network with `Affine` layers",
        is_it=_has_shape(lambda shape: len(shape) == 4 and shape[1:] == (1, 1, 1), r".*bn"),
        reason="scale and shift, without the running statistics that batch normalisation needs. "
        "Take the form that was made with use_affine=False.",
    ),
)
