"""What a checkpoint says of itself: its format, of which run it is, and where that stood."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping

import tensorflow as tf

from r21d_keras import __version__

from ..config import FIELDS, ConfigError, TrainConfig, from_json, to_json
from .place import Place

FORMAT = 1
"""Of a checkpoint: which parts it has, under which names. Another one is refused."""

DAMAGED = (tf.errors.OpError, IndexError, AssertionError, KeyError, ValueError)
"""What is raised while a checkpoint is read that is not whole."""

PART = "header"
_KEY = f"{PART}/.ATTRIBUTES/py_state"  # tf.train.experimental.PythonState's


@dataclasses.dataclass(frozen=True)
class Header:
    """What a checkpoint holds besides tensors.

    Attributes:
        config: of the run.
        data: what `describe_data` says of its videos.
        place: where it stood.
        best_accuracy: highest val_accuracy so far; -1 before the first.
        best_epochs: how many epochs were done when it was found; 0 before the first.
    """

    config: TrainConfig
    data: Mapping[str, dict]
    place: Place = Place()
    best_accuracy: float = -1.0
    best_epochs: int = 0


class HeaderPart(tf.train.experimental.PythonState):
    """The part of a tf.train.Checkpoint that holds a Header, as JSON."""

    def __init__(self, header: Header):
        self.header = header

    def serialize(self) -> str:
        """JSON text. Numbers come back as they were, to the last bit."""
        header = self.header
        values = {
            "format": FORMAT,
            "r21d_keras": __version__,
            "config_sha256": config_hash(header.config),
            **dataclasses.asdict(header),
            "config": json.loads(to_json(header.config)),
        }
        return json.dumps(values)

    def deserialize(self, text: str) -> None:
        """Takes the Header of `serialize`."""
        self.header = _parse(json.loads(text))


def read_header(prefix: str) -> Header:
    """The header of a checkpoint, whose tensors stay unread.

    Raises:
        ConfigError: a checkpoint of another format, or of a configuration that is none now.
        DAMAGED: a checkpoint that is not whole.
    """
    reader = tf.train.load_checkpoint(prefix)
    if not reader.has_tensor(_KEY):
        raise ConfigError(_of_format(prefix, "says no format"))
    values = json.loads(reader.get_tensor(_KEY))
    if values["format"] != FORMAT:
        what = f"is of format {values['format']}, of r21d_keras {values['r21d_keras']}"
        raise ConfigError(_of_format(prefix, what))
    try:
        return _parse(values)
    except ConfigError as error:
        raise ConfigError(f"{prefix}.*, written by {values['r21d_keras']}: {error}") from None


def config_hash(config: TrainConfig) -> str:
    """SHA-256 of all that a run that goes on must agree with, but for names of files and folders.

    Those are told apart by what lies in them: `describe_data`.
    """
    names = [
        name
        for name, field in FIELDS.items()
        if not may_differ(name, config)
        and field.metadata.get("resume") != "grow"
        and "path" not in field.metadata
    ]
    values = {name: getattr(config, name) for name in names}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def may_differ(name: str, config: TrainConfig) -> bool:
    """Whether an option may be another one when a run of `config` goes on."""
    rule = FIELDS[name].metadata.get("resume")
    return rule == "free" or (rule == "free if sync_bn" and config.sync_bn)


def _parse(values: dict) -> Header:
    place = Place(**values["place"])
    return Header(
        config=from_json(json.dumps(values["config"])),
        data=values["data"],
        place=dataclasses.replace(place, totals=tuple(place.totals)),
        best_accuracy=values["best_accuracy"],
        best_epochs=values["best_epochs"],
    )


def _of_format(prefix: str, what: str) -> str:
    return (
        f"{prefix}.* {what}; r21d_keras {__version__} reads format {FORMAT}. Go on with the "
        "version that began the run, or start from its weights, --init_from=RUN, in another "
        "--model_dir."
    )
