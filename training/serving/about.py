"""What an export tells a reader of itself: two files, which no runtime loads."""

import dataclasses
import json
from pathlib import Path

from r21d_keras import __version__
from r21d_keras.zoo.preprocessing import Preprocessing

from .names import CLASSES, METADATA
from .servable import Servable


def about(servable: Servable, **more) -> dict:
    """What is said of a network in r21d.json; `more` is what is said of this export alone."""
    return {
        "written_by": f"r21d_keras {__version__}",
        "variant": servable.variant,
        "clip_frames": servable.clip_frames,
        "any_length": servable.length is None,
        "short_video": servable.short_video,
        "preprocessing": dataclasses.asdict(servable.preprocessing),
        **({"flow_method": servable.flow_method} if servable.stream == "flow" else {}),
        **more,
        "classes": list(servable.classes),
    }


def read_about(version: Path) -> dict:
    """What `write_about` wrote into a version.

    Raises:
        ValueError: it is not there, or cannot be read.
    """
    path = version / METADATA
    try:
        said = json.loads(path.read_text("utf-8"))
        absent = [name for name in _NEEDED if name not in said]
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}. Export the network again.") from None
    if absent:
        raise ValueError(f"{path} lacks {', '.join(absent)}. Export the network again.")
    return said


def preprocessing_of(said: dict) -> Preprocessing:
    """The numbers of a network, of what `about` says, from a file or a server."""
    numbers = {
        name: tuple(value) if isinstance(value, list) else value  # JSON has no tuples
        for name, value in said["preprocessing"].items()
    }
    return Preprocessing(**numbers)


_NEEDED = ("variant", "clip_frames", "any_length", "short_video", "preprocessing", "classes")


def write_about(folder: Path, said: dict) -> None:
    """Writes r21d.json and classes.txt into the version in `folder`."""
    (folder / METADATA).parent.mkdir()
    classes = "".join(f"{name}\n" for name in said["classes"])
    (folder / CLASSES).write_text(classes, "utf-8")
    (folder / METADATA).write_text(json.dumps(said, indent=2) + "\n", "utf-8")
