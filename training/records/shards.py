"""Shards that are written a video at a time, and go on where a killed process left them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """A video to prepare.

    name: of the video, the same wherever it lies: "Archery/v_Archery_g01_c01.avi".
    path: of its file.
    labels: all of its classes, as numbers.
    label_names: their names.
    splits: in which subset it is, "train" or "test", for each official split it belongs to.
    """

    name: str
    path: str
    labels: tuple[int, ...]
    label_names: tuple[str, ...]
    splits: Mapping[int, str] = field(default_factory=dict)


Encoder = Callable[[Item], tuple[bytes, dict]]
"""From a video to its record and to what manifest.json says of it.

The record is a SequenceExample as `sequence_example.encode` makes it. The dict holds JSON values;
reading wants "frames" (in the record), "frame_rate" (Hz), "duration_s" (of the video, as
`video.probe` has it), "height" and "width" (pixels); more are kept as they are.

An encoder raises VideoError for a file that cannot be read, and nothing else for what a file can
do. It runs in processes of their own, and so is a function of a module, with its options bound by
`functools.partial`. It gives the same bytes whenever it is called: a run that was killed and begun
again has to end with the same shards. It does without TensorFlow, which takes each process seconds
to import.
"""
