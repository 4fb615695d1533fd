"""What lies beside the versions of a model: TensorFlow Serving's configuration, and how to start.

Each file is written once and is its owner's from then on: later versions leave it as it is.
"""

import os
import re
from pathlib import Path

from r21d_keras.zoo.durable import put_text

from ..config import ConfigError
from ..remote.folders import folder_at
from ..remote.urls import is_remote
from .guide import guide
from .limits import BATCH
from .names import BATCHING, COMPOSE, MODELS, README, SIGNATURES
from .servable import Servable
from .warmup import MOST_REQUESTS

BATCH_SIZES = (1, 2, 4, BATCH)
"""Of which batches a server makes one size or the next, and which it is warmed up for."""
# tensorflow_serving/servables/tensorflow/session_bundle_config.proto: of max_batch_size.
_USUAL_LARGEST = 1000


def batch_sizes(out: str | os.PathLike, servable: Servable) -> tuple[int, ...]:
    """The batch sizes of batching_parameters.txt in `out`; BATCH_SIZES where there is none.

    Raises:
        ConfigError: sizes that the network does not answer, that TensorFlow Serving does not take,
            or too many.
    """
    text = folder_at(out).text(BATCHING)
    if text is None:
        return BATCH_SIZES
    lines = re.sub(r"#.*", "", text)
    found = re.findall(r"\ballowed_batch_sizes\s*:\s*(\d+|\[[\d\s,]*\])", lines)
    sizes = tuple(int(number) for value in found for number in re.findall(r"\d+", value))
    largest = re.search(r"\bmax_batch_size\s*:?\s*\{\s*value\s*:\s*(\d+)", lines)
    largest = int(largest[1]) if largest else _USUAL_LARGEST
    most = servable.limits.max_frames_in_all // servable.clip_frames
    num_requests = len(sizes) * len(SIGNATURES[servable.stream])
    if not sizes or not all(1 <= size <= most for size in sizes) or num_requests > MOST_REQUESTS:
        raise ConfigError(
            f"{BATCHING} in {os.fspath(out)} has allowed_batch_sizes {list(sizes)}; expected one "
            f"or more, from 1 to {most} clips of {servable.clip_frames} frames, {MOST_REQUESTS} "
            "requests in all for the signatures to be warmed up. Change or remove the file."
        )
    if list(sizes) != sorted(set(sizes)) or sizes[-1] != largest:
        raise ConfigError(
            f"{BATCHING} in {os.fspath(out)} has allowed_batch_sizes {list(sizes)} and "
            f"max_batch_size {largest}; TensorFlow Serving takes sizes that grow up to "
            "max_batch_size alone, which is 1000 where it is not given. Change the file."
        )
    return sizes


def deploy(out: str | os.PathLike, servable: Servable, sizes: tuple[int, ...]) -> None:
    """Writes those of the files that are not there.

    Raises:
        RemoteError: a server that does not take them.
    """
    name = servable.variant
    texts = {
        BATCHING: batching_parameters(sizes),
        MODELS: _MODELS_CONFIG.replace("NAME", name),
        COMPOSE: _COMPOSE_YML.replace("NAME", name),
        README: guide(servable),
    }
    folder = folder_at(out)
    for file, size in zip(texts, folder.sizes(texts), strict=True):
        if size is None:
            _write(out, file, texts[file])


def _write(out: str | os.PathLike, file: str, text: str) -> None:
    if not is_remote(out):
        put_text(Path(out) / file, text)
        return
    from ..remote.copies import sent

    with sent(os.fspath(out)) as folder:
        (folder / file).write_text(text, "utf-8")


def batching_parameters(sizes: tuple[int, ...]) -> str:
    """The text of batching_parameters.txt for these batch sizes."""
    allowed = "\n".join(f"allowed_batch_sizes: {size}" for size in sizes)
    return f"""\
# How TensorFlow Serving puts requests together, with --enable_batching. The sizes below are those
# that new versions are warmed up for; the last is max_batch_size.
max_batch_size {{ value: {sizes[-1]} }}
batch_timeout_micros {{ value: 5000 }}  # what a request waits for others at most
max_enqueued_batches {{ value: 100 }}  # then UNAVAILABLE, and clients try again
num_batch_threads {{ value: 2 }}
{allowed}
"""


_MODELS_CONFIG = """\
model_config_list {
  config {
    name: "NAME"
    base_path: "/models/NAME"
    model_platform: "tensorflow"
    model_version_policy { latest { num_versions: 1 } }
  }
}
"""
_COMPOSE_YML = """\
# docker compose up. gRPC on port 8500, REST on port 8501.
services:
  serving:
    image: tensorflow/serving:${TF_SERVING_TAG:-latest}
    ports:
      - "8500:8500"
      - "8501:8501"
    volumes:
      - .:/models/NAME:ro
    command:
      - --model_config_file=/models/NAME/models.config
      # To put requests together; the README beside this file says when not to.
      # - --enable_batching
      # - --batching_parameters_file=/models/NAME/batching_parameters.txt
"""
