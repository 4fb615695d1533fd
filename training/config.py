"""The configuration of a run: one frozen dataclass from which flags, files and checks are derived.

recipes.py makes one from a named recipe, a file and flags.
"""

import dataclasses
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from r21d_keras import get_variant
from r21d_keras.variants import get_convention
from r21d_keras.zoo.preprocessing import KINETICS, Preprocessing

from .backend import asked_backend
from .conflicts import conflicts
from .data.augmentation_options import Augmentation
from .data.catalog import DATASETS
from .flow.methods import METHODS
from .flow.streams import STREAMS
from .optimization.options import Optimization
from .options import ConfigError, option, step_range, violations

# "best" by accuracy on the test videos, which flatters it there: what is reported is "final".
WEIGHTS = ("final", "best")
"""The weights that a run keeps; the first are what `evaluate`, `export` and `predict` take."""


# Here, because every command reads this module before it imports keras, and so the backend.
_BACKEND, _ASKED_BY = asked_backend()
if _BACKEND != "tensorflow":
    raise ConfigError(
        f"{_ASKED_BY}: training, evaluation, export and prediction need KERAS_BACKEND=tensorflow; "
        "the networks alone run on any backend."
    )


# resume="free": the field may differ when a run is resumed, as it changes the weights by no more
# than rounding; "free if sync_bn": it may with statistics over all replicas, which do not depend on
# how a batch is cut; "grow": it may only become larger. All others must be as they were. path: text
# that names a file or folder, so that another name of the same is no change.
@dataclass(frozen=True, kw_only=True)
class TrainConfig(Augmentation, Optimization):
    """All that decides a run. Each field is also a flag of `r21d train`, with this help text."""

    dataset: str = option("motion", "the data set (`r21d datasets`)", choices=tuple(DATASETS))
    videos: str = option("", "folder of the videos", path=True)
    splits: str = option("", "folder of the official lists", path=True)
    split: int = option(1, "which official split of UCF101 or HMDB51", low=1)
    manifest: str = option("", "CSV manifest of --dataset=csv", path=True)
    records: str = option(
        "", "folder of `r21d prepare` or `r21d flow`, to read in place of the videos", path=True
    )
    data_service: str = option(
        "", "host:port of a tf.data service that decodes the records to train on", resume="free"
    )
    on_bad_video: str = option(
        "check",
        "check: unreadable files are an error before training; skip: leave them out and report; "
        "stop: as check, and a file that fails in mid-run ends the run",
        choices=("check", "skip", "stop"),
    )
    short_video: str = option(
        "loop", "how a video shorter than the clip is filled", choices=("loop", "repeat_last")
    )
    clips_per_epoch: int = option(
        0, "training clips an epoch; 0: --clips_per_video of every video", low=0
    )
    clips_per_video: int = option(
        1, "training clips of each video an epoch, where --clips_per_epoch=0", low=1
    )

    variant: str = option("r2plus1d_18", "the network, for example r2plus1d_18, mc3_18, f_r2d_10")
    convention: str = option("paper", "numeric convention: paper or torchvision")
    width_multiplier: float = option(1.0, "scale of all channel counts", above=0.0, high=8.0)
    compute: str = option(
        "auto",
        "how convolutions are computed: auto as is fastest on this device, conv3d as 3-D ones",
        choices=("auto", "conv3d"),
        resume="free",
    )
    weights: str = option(
        "none", "none, a name of `r21d zoo list`, or a .weights.h5, .pth or .pkl file", path=True
    )
    init_from: str = option("", "folder of a run whose final weights to start from", path=True)
    stream: str = option(
        "rgb",
        "what the network sees: rgb, or flow, the optical flow between frames",
        choices=tuple(STREAMS),
    )
    flow_method: str = option(
        "farneback",
        f"how flow is computed: {'; '.join(f'{name}, {m.about}' for name, m in METHODS.items())}",
        choices=tuple(METHODS),
    )
    clip_frames: int = option(16, "frames, or fields of flow, in a clip", low=1, high=512)
    crop_size: int = option(KINETICS.crop_size, "side of the square crop, pixels", low=8, high=1024)
    resize_height: int = option(KINETICS.resize[0], "height before the crop, pixels", low=8)
    resize_width: int = option(KINETICS.resize[1], "width before the crop, pixels", low=8)
    frame_rate: float = option(KINETICS.frame_rate, "frames a second of a clip, Hz", above=0.0)
    mean: tuple[float, ...] = option(
        KINETICS.mean, "mean of R,G,B in [0, 1], or of flow right,down in pixels, subtracted"
    )
    std: tuple[float, ...] = option(KINETICS.std, "standard deviation of these", above=0.0)
    dropout: float = option(0.0, "share dropped before the classifier", low=0.0, high=0.99)

    epochs: int = option(45, "epochs to train", low=1, resume="grow")
    global_batch_size: int = option(32, "clips a step, over all replicas", low=1)
    gradient_accumulation_steps: int = option(
        1,
        "microbatches in which a replica takes its clips of a step, one after the other; batch "
        "normalisation's statistics are of a microbatch",
        low=1,
    )
    base_learning_rate: float = option(0.01, "learning rate at base_batch_size clips", above=0.0)
    base_batch_size: int = option(
        32, "learning rate = base_learning_rate * global_batch_size / base_batch_size", low=1
    )
    warmup_epochs: float = option(10.0, "epochs of linear warm-up from zero", low=0.0)
    schedule: str = option(
        "step", "learning rate after the warm-up", choices=("step", "cosine", "constant")
    )
    step_epochs: float = option(10.0, "epochs between steps of --schedule=step", above=0.0)
    step_factor: float = option(0.1, "factor of each step", above=0.0, high=1.0)
    global_clipnorm: float = option(
        0.0, "largest norm of all gradients together, those of the L2 included; 0: any", low=0.0
    )
    label_smoothing: float = option(0.0, "share spread over all classes", low=0.0, high=0.99)
    sync_bn: bool = option(True, "batch normalisation over all replicas together")
    precision: str = option(
        "float32", "arithmetic", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    rematerialize: bool = option(
        False,
        "compute what lies within residual blocks twice instead of keeping it for the gradients",
        resume="free",
    )
    jit_compile: bool = option(
        False, "compile the gradients with XLA, on one replica", resume="free"
    )
    freeze_until: str = option("", "freeze all layers up to this one (prefix), for example layer3")
    head_epochs: int = option(
        0, "epochs, the first ones, that train the classifier alone, at a constant rate", low=0
    )
    head_factor: float = option(1.0, "learning rate of the classifier over the schedule's", above=0)
    layer_decay: float = option(
        1.0,
        "learning rate of each stage over that of the next: layer4's is this times the schedule's, "
        "layer3's this times layer4's",
        above=0.0,
        high=1.0,
    )

    strategy: str = option(
        "mirrored",
        "mirrored: a replica for each GPU, or num_cpu_replicas; one: one device; "
        "multi_worker_mirrored: the GPUs of all processes that TF_CONFIG or SLURM names",
        choices=("mirrored", "one", "multi_worker_mirrored"),
        resume="free if sync_bn",
    )
    worker_timeout_s: float = option(
        600.0, "multi_worker_mirrored: seconds to wait for the others", above=0.0, resume="free"
    )
    num_cpu_replicas: int = option(
        1, "replicas where there is no GPU", low=1, resume="free if sync_bn"
    )
    steps_per_call: int = option(8, "steps inside one call of TensorFlow", low=1, resume="free")
    profile_steps: str = option(
        "",
        "FIRST,LAST: steps to profile for TensorBoard, counted from 1 at this start; empty: none",
        resume="free",
        read=step_range,
    )
    seed: int = option(0, "seed of weights, clips and dropout", low=0, high=2**31 - 1)
    num_readers: int = option(0, "videos decoded at once; 0: one a CPU core", low=0, resume="free")
    validate_every: int = option(1, "epochs between validations; 0: never", low=0)
    eval_clips: int = option(10, "clips a video in evaluation", low=1, resume="free")
    model_dir: str = option("", "folder of the run", resume="free")
    checkpoint_interval: int = option(
        0, "steps between checkpoints, besides the one of each epoch's end", low=0, resume="free"
    )
    max_to_keep: int = option(
        2, "checkpoints to keep, the newest ones, and the best's", low=1, resume="free"
    )

    @property
    def preprocessing(self) -> Preprocessing:
        """How video becomes the network's input, as one value."""
        return Preprocessing(
            frame_rate=self.frame_rate,
            resize=(self.resize_height, self.resize_width),
            crop_size=self.crop_size,
            scale=STREAMS[self.stream].scale,
            mean=self.mean,
            std=self.std,
        )

    @property
    def clip_shape(self) -> tuple[int, int, int, int]:
        """(T, H, W, C) of one clip."""
        return (self.clip_frames, self.crop_size, self.crop_size, len(STREAMS[self.stream].mean))


FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig)}
"""The fields of TrainConfig by name."""


def validate(config: TrainConfig) -> None:
    """Checks every value of `config`, alone and with its neighbours.

    Raises:
        ConfigError: that lists all that is wrong, one line each.
    """
    wrong = [text for name in FIELDS for text in violations(FIELDS[name], getattr(config, name))]
    for check, name in ((get_variant, "variant"), (get_convention, "convention")):
        try:
            check(getattr(config, name))
        except ValueError as error:
            wrong.append(f"{name}: {error}")
    wrong += conflicts(config)
    if wrong:
        raise ConfigError("\n".join(wrong))


def typed(values: Mapping, source: str = "") -> dict:
    """`values` with every value in its field's type: whole numbers become floats, lists tuples.

    Raises:
        ConfigError: an unknown key (it names the nearest known one) or a wrong type; `source`
            says where.
    """
    return {name: _typed(name, value, source and f" in {source}") for name, value in values.items()}


def _typed(name: str, value, where: str):
    if name not in FIELDS:
        near = difflib.get_close_matches(name, FIELDS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(FIELDS)}."
        raise ConfigError(f"Unknown option {name!r}{where}. {hint}")
    kind = type(FIELDS[name].default)
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list | tuple) and len(value) in (2, 3):
        if all(type(v) in (int, float) for v in value):
            return tuple(float(v) for v in value)
    elif type(value) is kind:
        return value
    expected = "2 or 3 numbers" if kind is tuple else kind.__name__
    raise ConfigError(f"{name}={value!r}{where}: expected {expected}, got {type(value).__name__}.")


def to_json(config: TrainConfig) -> str:
    """The configuration as JSON text; `from_json` reads it back to an equal one."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str) -> TrainConfig:
    """The configuration that `to_json` wrote.

    Raises:
        ConfigError: no JSON object, unknown keys, wrong types or values out of range.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ConfigError(f"expected option names with values, got {type(values).__name__}.")
    config = TrainConfig(**typed(values))
    validate(config)
    return config
