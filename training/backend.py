"""Which backend Keras is going to take, known without importing it."""

import json
import os
import pathlib


def asked_backend() -> tuple[str, str]:
    """The backend's name, and what asks for it: as keras/src/backend/config.py finds it."""
    if name := os.environ.get("KERAS_BACKEND"):
        return name, f"KERAS_BACKEND={name}"
    home = os.environ.get("KERAS_HOME") or pathlib.Path.home() / ".keras"
    path = pathlib.Path(home, "keras.json")
    try:
        name = json.loads(path.read_text("utf-8")).get("backend", "tensorflow")
    except (OSError, ValueError, AttributeError):  # none, or one that Keras passes over too
        name = "tensorflow"
    return name, f'"backend": "{name}" in {path}'
