"""What a network's weights saw in training: frame rate, size, crop and normalisation, as data."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How uint8 RGB video becomes a network's input.

    frame_rate: Hz. resize: (height, width) in pixels before the crop. crop_size: side of the
    square crop in pixels. mean, std: of R, G, B in [0, 1], subtracted from and divided into frames.
    """

    frame_rate: float = 15.0
    resize: tuple[int, int] = (128, 171)
    crop_size: int = 112
    mean: tuple[float, ...] = (0.43216, 0.394666, 0.37645)
    std: tuple[float, ...] = (0.22803, 0.22145, 0.216989)


# Frame rate: VMZ issue 55 (weights of c2/tutorials/models.md). Size and crop: section 4.1.
# Mean and std: VMZ ops/av_input_op.h (there times 255) and torchvision's video classification
# presets, which agree.
KINETICS = Preprocessing()
