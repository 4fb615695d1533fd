"""For any row of the zoo, the file that its authors' tool wrote, with weights seeded by name.

The published files cannot be fetched in a test; these have their names, shapes and formats.
"""

import collections
import contextlib
import dataclasses
import functools
import hashlib
import http.server
import importlib.util
import pathlib
import threading

import numpy as np

from r21d_keras import VideoResNet
from r21d_keras.zoo import weights
from r21d_keras.zoo.checkpoints.torch_names import load_torch_state
from r21d_keras.zoo.weights import get_weights
from tests import checkpoint_files
from tests.named_checkpoints import NAMED, seeded, torch_shapes
from tests.seeded import seeded_array

SMALL_CLIP = (4, 24, 32, 3)


def write_torch(path, arrays, in_zip):
    """A state dict, by torch itself where it is installed."""
    if importlib.util.find_spec("torch") is None:
        by_hand = {
            True: checkpoint_files.write_torch_zip,
            False: checkpoint_files.write_torch_legacy,
        }
        return by_hand[in_zip](path, arrays)
    import torch

    norms = [key for key in arrays if key.endswith("running_mean")]
    counters = [key.replace("running_mean", "num_batches_tracked") for key in norms]
    arrays = arrays | {key: np.array(1000) for key in counters}
    state = collections.OrderedDict((key, torch.from_numpy(arrays[key])) for key in arrays)
    torch.save(state, path, _use_new_zipfile_serialization=in_zip)


# What wrote the files of a naming and an ending. torchvision's and moabitcoin's are of 2019, before
# torch 1.6 and its zip files; GluonCV's came around then, and here are one of each.
WRITERS = {
    ("torchvision", ".pth"): functools.partial(write_torch, in_zip=False),
    ("gluoncv_v1", ".pth"): functools.partial(write_torch, in_zip=False),
    ("gluoncv_v2", ".pth"): functools.partial(write_torch, in_zip=True),
    ("caffe2", ".pkl"): checkpoint_files.write_caffe2_pickle,
    ("caffe2", ".mdl"): checkpoint_files.write_minidb,
}


def format_of(row):
    """The key of WRITERS of a row."""
    return row.naming, pathlib.Path(row.file_name).suffix


def body_of(row):
    """What two rows have in common if they differ in the classifier alone."""
    frames = row.input_shape[0] if row.variant.startswith("r2d") else None
    return row.variant, row.convention, row.input_shape[3], frames


def arrays_of(row):
    """The row's weights under PyTorch's names: the body's seeded by these, the head's by the row.

    So no two rows have the same head, and one that is taken for another is found out.
    """
    body = _seeded_body(*body_of(row))
    channels = _shapes(*body_of(row))["fc.weight"][1]
    return body | {
        "fc.weight": seeded_array(f"{row.name}.fc.weight", (row.num_classes, channels)),
        "fc.bias": seeded_array(f"{row.name}.fc.bias", (row.num_classes,)),
    }


def publish(row, folder):
    """Writes the row's file into `folder`; returns the row with this file's hash for its own."""
    arrays = NAMED[row.naming](arrays_of(row))
    path = pathlib.Path(folder) / row.file_name
    WRITERS[format_of(row)](path, arrays)
    return dataclasses.replace(row, file_hash=_hash_like(row.file_hash, path))


def list_rows(patch, *rows):
    """Puts `rows` into the table for a while: instead of those of the same name, else beside."""
    names = {row.name for row in rows}
    others = tuple(row for row in weights.WEIGHTS if row.name not in names)
    patch.setattr(weights, "WEIGHTS", others + rows)


def small_rows():
    """Rows like real ones for smaller networks: RGB, optical flow, and clips of a fixed length."""
    return (
        _small("r2plus1d_18", "kinetics400_16f", "r2plus1d_10", "r2.5d_d10_l16.pkl"),
        _small("r2plus1d_34", "kinetics400_32f_flow", "r2plus1d_10", "r2.5d_d10_l32_of.pkl"),
        _small("r2d_18", "kinetics400_8f", "r2d_10", "r2d_d10_l8.pkl"),
    )


def seeded_network(row, shape=SMALL_CLIP):
    """The network that the row's file is of, filled without that file: clips to logits."""
    model = VideoResNet(
        row.variant, row.num_classes, shape, convention=row.convention, classifier_activation=None
    )
    load_torch_state(model, arrays_of(row))
    return model


def clips_of(shape):
    """(1, *shape) standard normal."""
    return np.random.RandomState(0).standard_normal((1, *shape)).astype("float32")


@contextlib.contextmanager
def served(folder):
    """An HTTP server on this machine for the files of `folder`: its URL, and paths asked for."""
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, code="-", size="-"):
            requests.append(f"{self.command} {self.path}")

        def log_message(self, format, *args):
            """Silent: the tests' output is their own."""

    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", requests
        finally:
            server.shutdown()
            thread.join()


def _small(variant, tag, small_variant, file_name):
    row = get_weights(variant, tag)
    return dataclasses.replace(row, variant=small_variant, file_name=file_name)


def _shapes(variant, convention, channels, frames):
    return torch_shapes(variant, convention, 1, channels, frames)


@functools.lru_cache(maxsize=1)  # the largest has 118 million weights
def _seeded_body(*body):
    shapes = _shapes(*body)
    return seeded({key: shape for key, shape in shapes.items() if not key.startswith("fc.")})


def _hash_like(file_hash, path):
    """The hash of a file in the form of another: its algorithm, and as many digits."""
    if file_hash is None:
        return None
    algorithm, digits = file_hash.split(":")
    with open(path, "rb") as file:
        return f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()[: len(digits)]}"
