"""Which network a checkpoint holds, found from the names and shapes of its arrays."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from r21d_keras.resnet import STEM_CHANNELS, STEM_MID_CHANNELS
from r21d_keras.variants import CONVENTIONS, DEPTHS, FAMILIES, get_convention, get_variant
from r21d_keras.variants import mid_channels as paper_width
from r21d_keras.zoo.errors import CheckpointError

from .caffe2_names import to_torch_names as caffe2
from .foreign import refuse_foreign
from .gluoncv_names import V1, V2
from .gluoncv_names import to_torch_names as gluoncv
from .messages import listed
from .torch_names import with_one_classifier


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network and what its classifier and input are.

    convention_known: False where neither the file nor the caller tells the convention, and
        torchvision's was assumed. num_classes: of the classifier; None without one. frames: of a
        clip, for R2D; None: any. naming: key of NAMINGS.
    """

    variant: str
    convention: str
    convention_known: bool
    num_classes: int | None
    input_channels: int
    frames: int | None
    naming: str


@dataclass(frozen=True)
class Naming:
    """How a project names its arrays.

    mark: a key that all its networks have and no other's. to_torch_names: makes PyTorch's module
    paths of them. convention: of all its networks; None: of either.
    """

    mark: str
    to_torch_names: Callable[[dict], dict]
    convention: str | None


NAMINGS = {
    # torchvision/models/video/resnet.py, and the ports of VMZ's networks that are built from it.
    "torchvision": Naming("stem.0.weight", dict, None),
    # VMZ c2/lib: epsilon 1e-3 and a middle width for each convolution.
    "caffe2": Naming("comp_0_conv_1_w", caffe2, "paper"),
    # r2plus1dv1.py: torchvision's widths, torch.nn.BatchNorm3d's default epsilon.
    "gluoncv_v1": Naming(
        "layer1.0.conv2.bn1.weight", lambda arrays: gluoncv(arrays, V1), "torchvision"
    ),
    # r2plus1dv2.py: a port of VMZ's network, with its epsilon.
    "gluoncv_v2": Naming("conv1_middle.weight", lambda arrays: gluoncv(arrays, V2), "paper"),
}
DEPTH_OF = {blocks: depth for depth, blocks in DEPTHS.items()}
FAMILY_OF = {kinds: family for family, kinds in FAMILIES.items()}
# Kinds of stem by the frames that its kernel spans; any other number is the length of R2D's clips.
# An R2D for single frames is an F-R2D.
STEM_KINDS = {1: ("2d",), 3: ("3d", "clip")}
STAGE_KINDS = {1: "2d", 3: "3d"}


def find_architecture(
    arrays: dict, convention: str | None = None, variant: str | None = None
) -> tuple[Architecture, dict]:
    """The network that `arrays` are, and they under PyTorch's module paths.

    Args:
        arrays: {name in the file: array}, as `read_checkpoint` gives them.
        convention: for what the arrays do not tell: PyTorch networks without (2+1)D convolutions
            look alike in both conventions.
        variant: for what they do not tell: an R2D for clips of 3 frames has the arrays of an MC2.

    Raises:
        CheckpointError: arrays of an unknown or foreign network, or of another than was said.
        ValueError: an unknown `convention` or `variant`.
    """
    if convention is not None:
        get_convention(convention)
    if variant is not None:
        get_variant(variant)
    refuse_foreign(arrays)
    naming = _find_naming(arrays)
    arrays = with_one_classifier(NAMINGS[naming].to_torch_names(arrays))
    found, kinds = _find_variant(arrays, variant)
    convention, known = _find_convention(arrays, naming, kinds, convention)
    network = Architecture(
        variant=found,
        convention=convention,
        convention_known=known,
        num_classes=_num_classes(arrays),
        input_channels=_shape(arrays, "stem.0.weight", 5)[1],
        frames=_shape(arrays, "stem.0.weight", 5)[2] if kinds[0] == "clip" else None,
        naming=naming,
    )
    return network, arrays


def _find_naming(arrays) -> str:
    names = {name.rpartition("/")[2] for name in arrays}  # Caffe2's may have a scope: "gpu_0/"
    found = [naming for naming, its in NAMINGS.items() if its.mark in names]
    if len(found) != 1:
        marks = ", ".join(f"{its.mark} ({naming})" for naming, its in NAMINGS.items())
        raise CheckpointError(
            f"Unknown network: its {len(arrays)} arrays begin with {listed(sorted(names))}. "
            f"Expected the names of one of these: {marks}."
        )
    return found[0]


def _num_classes(arrays) -> int | None:
    """Outputs of the classifier; None where the file has none."""
    if not any(key.startswith("fc.") for key in arrays):
        return None
    return _shape(arrays, "fc.weight", 2)[0]


def _find_variant(arrays, variant) -> tuple[str, tuple]:
    """Name and kinds of convolution of the network; `variant` decides between two."""
    block = "bottleneck" if "layer1.0.conv3.0.weight" in arrays else "basic"
    repeats = _repeats(arrays)
    if (block, repeats) not in DEPTH_OF:
        raise CheckpointError(
            f"{block} blocks by stage: {repeats}. Expected those of one of the depths "
            f"{', '.join(f'{depth} {blocks}' for depth, blocks in DEPTHS.items())}."
        )
    depth, stages = DEPTH_OF[block, repeats], _stage_kinds(arrays, block)
    all_kinds = [(stem, *stages) for stem in _stem_kinds(arrays)]
    found = {f"{FAMILY_OF[k]}_{depth}": k for k in all_kinds if k in FAMILY_OF}
    if not found:
        raise CheckpointError(
            f"Convolutions by stage: {' or '.join(map(str, all_kinds))}. No family has these: "
            f"expected one of {', '.join(f'{name} {kinds}' for name, kinds in FAMILIES.items())}."
        )
    if variant is None and len(found) > 1:
        raise CheckpointError(
            f"These are the shapes of {' and of '.join(found)}, for clips of "
            f"{arrays['stem.0.weight'].shape[2]} frames. Say which it is: give the variant."
        )
    name = variant or next(iter(found))
    if name not in found:
        raise CheckpointError(
            f"The file holds {' or '.join(found)}; expected {variant}. Give the right variant, or "
            "another file."
        )
    return name, found[name]


def _repeats(arrays) -> tuple[int, ...]:
    """Blocks in each of the four stages."""
    blocks = {m.groups() for m in map(re.compile(r"layer(\d)\.(\d+)\.").match, arrays) if m}
    return tuple(sum(stage == number for number, _ in blocks) for stage in "1234")


def _stem_kinds(arrays) -> tuple[str, ...]:
    last = "stem.3.weight" if "stem.3.weight" in arrays else "stem.0.weight"
    filters, channels, frames, height, width = _shape(arrays, last, 5)
    if filters != STEM_CHANNELS:
        raise CheckpointError(
            f"The stem has {filters} filters; expected {STEM_CHANNELS}. Networks of another width "
            "are not converted."
        )
    if last == "stem.0.weight":
        expected, kinds = (frames, 7, 7), STEM_KINDS.get(frames, ("clip",))
    else:
        expected, kinds = (3, 1, 1), ("2+1d",)
        if channels != STEM_MID_CHANNELS:
            raise CheckpointError(
                f"The stem has {channels} middle channels; expected {STEM_MID_CHANNELS}: another "
                "network."
            )
    if (frames, height, width) != expected:
        raise CheckpointError(
            f"{last} is a kernel of {(frames, height, width)}; expected {expected} (frames, "
            "height, width): another network."
        )
    return kinds


def _stage_kinds(arrays, block) -> list[str]:
    """Kind of convolution in each stage, by its first block's."""
    conv = {"basic": "conv1.0", "bottleneck": "conv2.0"}[block]
    kinds = []
    for stage in "1234":
        name = f"layer{stage}.0.{conv}"
        if f"{name}.0.weight" in arrays:
            kinds.append("2+1d")
            continue
        kernel = _shape(arrays, f"{name}.weight", 5)[2:]
        if kernel[0] not in STAGE_KINDS or kernel[1:] != (3, 3):
            raise CheckpointError(
                f"{name}.weight is a kernel of {kernel}; expected (3, 3, 3) or (1, 3, 3) (frames, "
                "height, width): another network."
            )
        kinds.append(STAGE_KINDS[kernel[0]])
    return kinds


def _find_convention(arrays, naming, kinds, given) -> tuple[str, bool]:
    """The convention, and whether it is more than an assumption."""
    found = NAMINGS[naming].convention
    if kinds[0] == "2+1d":
        by_width = _convention_by_width(arrays)
        if found not in (None, by_width):
            raise CheckpointError(
                f"Middle widths as in the convention {by_width!r}; expected {found!r} in a network "
                f"with names as in {naming}."
            )
        found = by_width
    if None not in (found, given) and found != given:
        raise CheckpointError(
            f"The file has the convention {found!r}; expected {given!r}. Leave the convention out, "
            "or take another file."
        )
    return found or given or "torchvision", bool(found or given)


def _convention_by_width(arrays) -> str:
    """By the second (2+1)D convolution at its first widening, where the conventions part."""
    key = "layer2.0.conv2.0.0.weight"
    width, channels = _shape(arrays, key, 5)[:2]  # it has as many filters as channels
    block_input = _shape(arrays, "layer2.0.downsample.0.weight", 5)[1]
    inputs = {"conv": channels, "block": block_input}
    widths = {
        name: paper_width(inputs[convention.mid_channels], channels)
        for name, convention in CONVENTIONS.items()
    }
    for name, expected in widths.items():
        if width == expected:
            return name
    raise CheckpointError(
        f"{key} makes {width} middle channels; expected one of {widths}: another network."
    )


def _shape(arrays, key, rank) -> tuple[int, ...]:
    shape = getattr(arrays.get(key), "shape", None)
    if shape is None:
        raise CheckpointError(
            f"No array for {key}. Expected all from the stem to the classifier, or to the last "
            "block (no array of fc)."
        )
    if len(shape) != rank:
        raise CheckpointError(f"{key} has shape {shape}; expected {rank} axes: another network.")
    return shape
