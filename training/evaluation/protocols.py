"""How a video is shown to a network that is tested: protocols, and what they can do together."""

from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from ..config import ConfigError, TrainConfig
from .crops import NUM_CROPS

FRAMES = {"clips": "crop", "dense": "whole"}
"""The protocols, and what of a frame each shows unless it is said: the crop, or all of it."""
OVERLAP = ("auto", "share", "recompute")
"""What to do where clips overlap: share what is common, or compute each clip for itself.

auto shares where the network can, and some of a clip's features are too far from its ends to see
past them: where all see past them, scores change by more than is saved (benchmarks/dense.md).
"""
_OF = {"num_clips": "clips", "num_crops": "clips", "stride": "dense", "overlap": "dense"}


class Reach(NamedTuple):
    """How features lie in time: number p is about frame p * stride, and sees `radius` each way."""

    stride: int
    radius: int


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How videos are shown; None: what `settled` chooses.

    name: "clips", evenly spaced, or "dense", all that start at a multiple of `stride` frames, and
        the last.
    num_clips: of a video; the run's eval_clips.
    num_crops: of a clip, one of crops.NUM_CROPS; 1.
    frames: "crop" for squares as in training, "whole" for the network over whole frames, answering
        for each square on its grid; FRAMES has what each protocol does.
    stride: frames; half a clip, on the network's grid where it has one.
    overlap: one of OVERLAP.
    """

    name: str = "clips"
    num_clips: int | None = None
    num_crops: int | None = None
    frames: str | None = None
    stride: int | None = None
    overlap: str | None = None

    def __post_init__(self):
        """Raises ConfigError for values that are not known, or say nothing of this protocol."""
        for name, known in (("name", tuple(FRAMES)), ("overlap", (None, *OVERLAP))):
            _check(name, getattr(self, name), known)
        _check("num_crops", self.num_crops, (None, *NUM_CROPS))
        _check("frames", self.frames, (None, *sorted(set(FRAMES.values()))))
        for name in ("num_clips", "stride"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name}={value}: expected at least 1.")
        for name, owner in _OF.items():
            value = getattr(self, name)
            if value is not None and owner != self.name:
                raise ConfigError(
                    f"{name}={value} is of protocol={owner}; got protocol={self.name}. Leave it "
                    f"out, or say protocol={owner}."
                )
        if self.num_crops == 3 and self.frames == "whole":
            raise ConfigError("num_crops=3 with frames=whole: there is nothing to crop. Leave one.")

    @property
    def frames_shown(self) -> str:
        """`frames`, or what this protocol shows unless it is said."""
        return self.frames or FRAMES[self.name]


def settled(protocol: Protocol, config: TrainConfig, reach: Reach | None = None) -> Protocol:
    """`protocol` with every number that was left open; of dense, `overlap` says what is done.

    Args:
        protocol: as asked for.
        config: of the run.
        reach: of the network's features in time; None where it fixes the length of its clips.

    Raises:
        ConfigError: what this run or network cannot do.
    """
    frames = protocol.frames_shown
    if protocol.name == "clips":
        return _settled_clips(replace(protocol, frames=frames), config)
    stride = protocol.stride or _half_a_clip(config.clip_frames, reach)
    if stride > config.clip_frames:
        raise ConfigError(
            f"stride={stride} is more than a clip's {config.clip_frames} frames: those between "
            "two clips would not be seen. Make it smaller, or take protocol=clips."
        )
    why_not = _why_not_shared(config.clip_frames, stride, reach)
    if why_not and protocol.overlap == "share":
        raise ConfigError(f"overlap=share: {config.variant} cannot, as {why_not}. Leave it out.")
    if protocol.overlap in (None, "auto"):
        why_not = why_not or _why_not_alike(config.clip_frames, reach)
    shared = not why_not and protocol.overlap != "recompute"
    overlap = "share" if shared else "recompute"
    return replace(protocol, frames=frames, stride=stride, overlap=overlap)


def exactness(protocol: Protocol, config: TrainConfig, reach: Reach | None) -> str:
    """How the clips of a settled dense protocol compare with clips that are shown one by one."""
    if protocol.overlap == "recompute":
        why_not = _why_not_shared(config.clip_frames, protocol.stride, reach)
        why_not = why_not or _why_not_alike(config.clip_frames, reach)
        return "exact: each clip is computed for itself" + (f", as {why_not}" if why_not else "")
    if reach.radius == 0:
        return "exact: no frame sees another before the average over a clip's frames"
    inner = config.clip_frames - 2 * reach.radius
    return (
        f"features see {reach.radius} frames each way: within that of a clip's ends they see the "
        "video's next frames, where a clip for itself has zeros; "
        + (
            f"the middle {inner} frames of a clip are exact"
            if inner > 0
            else f"all of a clip of {config.clip_frames} frames is so near to its ends"
        )
    )


def described(protocol: Protocol, config: TrainConfig) -> str:
    """A settled protocol in a sentence."""
    size = f"{config.resize_height}x{config.resize_width}"
    side = f"{config.crop_size}x{config.crop_size}"
    what = f"fields of flow ({config.flow_method})" if config.stream == "flow" else "frames"
    clips = f"clips of {config.clip_frames} {what} at {config.frame_rate:g} Hz"
    if protocol.name == "clips":
        clips = f"{protocol.num_clips} evenly spaced {clips} from each video"
    else:
        clips = f"all {clips} at every {protocol.stride} frames and at the end of each video"
    squares = {1: f"centre crop {side}", 3: f"3 crops {side} along the longer side"}
    seen = squares[protocol.num_crops or 1]
    if protocol.frames == "whole":
        seen = f"whole frames, softmax averaged over the {side} squares on the network's grid"
    return f"{clips}, resized to {size}, {seen}, softmax averaged; each video counts once"


def as_json(protocol: Protocol, config: TrainConfig, reach: Reach | None = None) -> dict:
    """All of a settled protocol that evaluation.json states."""
    given = {name: value for name, value in asdict(protocol).items() if value is not None}
    if protocol.name == "clips":
        given = {"clips_per_video": given.pop("num_clips"), **given}
    else:
        given["exactness"] = exactness(protocol, config, reach)
    return {
        "text": described(protocol, config),
        **given,
        "clip_frames": config.clip_frames,
        "short_video": config.short_video,
        **({"flow_method": config.flow_method} if config.stream == "flow" else {}),
        **asdict(config.preprocessing),
    }


def _settled_clips(protocol: Protocol, config: TrainConfig) -> Protocol:
    height, width, side = config.resize_height, config.resize_width, config.crop_size
    count = protocol.num_crops or 1
    if count == 3 and max(height, width) - side < 2:
        raise ConfigError(
            f"num_crops=3: crops of {side} pixels are all alike in frames of {height}x{width}. "
            "Take num_crops=1."
        )
    num_clips = protocol.num_clips or config.eval_clips
    crop = protocol.frames == "crop"
    return replace(protocol, num_clips=num_clips, num_crops=count if crop else None)


def _half_a_clip(clip_frames: int, reach: Reach | None) -> int:
    half = max(1, clip_frames // 2)
    grid = reach.stride if reach else 1
    if clip_frames % grid or clip_frames <= grid:
        return half
    return max(grid, half - half % grid)


def _why_not_shared(clip_frames: int, stride: int, reach: Reach | None) -> str:
    if reach is None:
        return "the frames of a clip are the channels of its first convolution"
    if stride >= clip_frames:
        return "clips do not overlap"
    grid = reach.stride
    if clip_frames % grid or stride % grid:
        return (
            f"clips of {clip_frames} frames at every {stride} do not lie on its grid of "
            f"{grid} frames"
        )
    return ""


def _why_not_alike(clip_frames: int, reach: Reach) -> str:
    if 2 * reach.radius < clip_frames:
        return ""
    return (
        f"features see {reach.radius} frames each way, so that in clips of {clip_frames} shared "
        "ones would all see past the ends"
    )


def _check(name: str, value, known: tuple) -> None:
    if value not in known:
        names = ", ".join(str(item) for item in known if item is not None)
        raise ConfigError(f"{name.replace('name', 'protocol')}={value!r}: expected one of {names}.")
