"""The networks of arXiv:1711.11248 as data: convolutions by stage, blocks by depth."""

from dataclasses import dataclass

# Section 3, Figure 1: the kind of convolution in conv1 .. conv5_x.
#   "3d"    t x k x k           "2d"    1 x k x k on every frame
#   "2+1d"  1 x k x k, then t x 1 x 1      "clip"  one 2-D convolution, all frames as channels
FAMILIES = {
    #             conv1   conv2_x conv3_x conv4_x conv5_x
    "r2d":      ("clip", "2d",   "2d",   "2d",   "2d"),
    "f_r2d":    ("2d",   "2d",   "2d",   "2d",   "2d"),
    "r3d":      ("3d",   "3d",   "3d",   "3d",   "3d"),
    "mc2":      ("3d",   "2d",   "2d",   "2d",   "2d"),
    "mc3":      ("3d",   "3d",   "2d",   "2d",   "2d"),
    "mc4":      ("3d",   "3d",   "3d",   "2d",   "2d"),
    "mc5":      ("3d",   "3d",   "3d",   "3d",   "2d"),
    "rmc2":     ("2d",   "3d",   "3d",   "3d",   "3d"),
    "rmc3":     ("2d",   "2d",   "3d",   "3d",   "3d"),
    "rmc4":     ("2d",   "2d",   "2d",   "3d",   "3d"),
    "rmc5":     ("2d",   "2d",   "2d",   "2d",   "3d"),
    "r2plus1d": ("2+1d", "2+1d", "2+1d", "2+1d", "2+1d"),
}  # fmt: skip

# Block and repeats of conv2_x .. conv5_x. 18 and 34: the paper's Table 1. The others: VMZ
# c2/lib/models/r3d_model.py, BLOCK_CONFIG. Mixed families (MCx, rMCx) at bottleneck depths were
# never published: ours replace the bottleneck's middle convolution as basic blocks replace theirs.
DEPTHS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
    152: ("bottleneck", (3, 8, 36, 3)),
}


@dataclass(frozen=True)
class Convention:
    """The numbers on which the published implementations of one network differ.

    mid_channels: "conv" computes M_i of section 3.5 for each convolution from its own input and
        output channels; "block" once for a block, from the block's input to its inner width.
    bn_epsilon: added to the variance in every batch normalisation.
    """

    mid_channels: str
    bn_epsilon: float


CONVENTIONS = {
    # VMZ c2/lib/builder/video_model.py: add_conv2plus1d computes its own middle width;
    # c2/lib/models/model_builder.py: bn_epsilon=1e-3.
    "paper": Convention("conv", 1e-3),
    # torchvision/models/video/resnet.py: BasicBlock and Bottleneck compute `midplanes` once;
    # torch.nn.BatchNorm3d's default eps.
    "torchvision": Convention("block", 1e-5),
}


def mid_channels(in_channels: int, filters: int, kernel_size=(3, 3, 3)) -> int:
    """M_i of section 3.5: the middle width that gives (2+1)D as many weights as 3-D."""
    t, kh, kw = kernel_size
    return t * kh * kw * in_channels * filters // (kh * kw * in_channels + t * filters)


@dataclass(frozen=True)
class Variant:
    """One network: `kinds` for conv1 .. conv5_x, `block` and `repeats` for conv2_x .. conv5_x."""

    name: str
    family: str
    depth: int
    kinds: tuple[str, str, str, str, str]
    block: str
    repeats: tuple[int, int, int, int]

    @property
    def fixes_clip_length(self) -> bool:
        """Whether the frames are the first kernel's channels, as in R2D: their number is set."""
        return self.kinds[0] == "clip"


def list_variants() -> list[str]:
    """Names of all networks, family by family: "r2d_10", ..., "r2plus1d_152"."""
    return [f"{family}_{depth}" for family in FAMILIES for depth in DEPTHS]


def get_variant(name: str) -> Variant:
    """The network called `name`, e.g. "mc3_18".

    Raises:
        ValueError: if there is no such network; the message lists families and depths.
    """
    family, _, depth = str(name).rpartition("_")
    if family not in FAMILIES or not depth.isdecimal() or int(depth) not in DEPTHS:
        raise ValueError(
            f"Unknown variant {name!r}. Expected <family>_<depth> with a family of "
            f"{', '.join(FAMILIES)} and a depth of {', '.join(map(str, DEPTHS))}, "
            'for example "r2plus1d_18".'
        )
    block, repeats = DEPTHS[int(depth)]
    return Variant(name, family, int(depth), FAMILIES[family], block, repeats)


def get_convention(name: str) -> Convention:
    """The numeric convention called `name`: "paper" or "torchvision".

    Raises:
        ValueError: if there is no such convention.
    """
    if name not in CONVENTIONS:
        raise ValueError(
            f"Unknown convention {name!r}. Expected one of {', '.join(CONVENTIONS)}: "
            "the paper's (and VMZ's) numbers or torchvision's."
        )
    return CONVENTIONS[name]
