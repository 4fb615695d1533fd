"""The options of a run that say what is changed at random in the clips that are trained on."""

from dataclasses import dataclass

from ..options import option

OF_COLORS = ("jitter_color", "jitter_hue", "jitter_saturation", "jitter_sharpness")
"""Those that change RGB alone: optical flow has no colours."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Fields of TrainConfig, and what a ClipSpec has of them; augmentation.py does it."""

    random_flip: bool = option(True, "mirror clips at random, where the data set allows it")
    jitter_scale: float = option(
        1.0, "enlarge clips by a factor drawn from 1 to this before the crop", low=1.0, high=4.0
    )
    jitter_color: float = option(
        0.0, "change R, G, B by gains and offsets drawn from -this to this", low=0.0, high=0.9
    )
    jitter_rotation: float = option(
        0.0, "turn clips by an angle drawn from -this to this, degrees", low=0.0, high=180.0
    )
    jitter_shear: float = option(
        0.0, "shift rows by a share of their height drawn from -this to this", low=0.0, high=1.0
    )
    jitter_hue: float = option(
        0.0, "turn hues by an angle drawn from -this to this, degrees", low=0.0, high=180.0
    )
    jitter_saturation: float = option(
        0.0, "times colourfulness by a factor drawn from 1 - this to 1 + this", low=0.0, high=1.0
    )
    jitter_sharpness: float = option(
        0.0,
        "sharpen, or blur, by a factor drawn from 1 - this to 1 + this; 0 blurs, 1 changes nothing",
        low=0.0,
        high=1.0,
    )
    cutout: float = option(
        0.0, "hide a square of this share of the crop's side, anywhere", low=0.0, high=1.0
    )
