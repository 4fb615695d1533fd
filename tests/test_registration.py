"""Keras finds our layers in a file by name, in a process that has only imported the package."""

import os
import subprocess
import sys

import numpy as np
import pytest

from r21d_keras import VideoResNet, merge_batch_norm

SHAPE = (4, 16, 16, 3)
ANSWER = """
import numpy as np
model = keras.models.load_model({file!r})
np.save({answer!r}, model.predict(np.ones((1, 4, 16, 16, 3), "float32"), verbose=0))
"""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A file with each kind of layer of ours, and what its network answers."""
    model = VideoResNet("r2plus1d_10", 3, SHAPE, width_multiplier=0.125)
    file = tmp_path_factory.mktemp("saved") / "model.keras"
    merged = merge_batch_norm(VideoResNet("mc3_10", 3, SHAPE, width_multiplier=0.125))
    both = type(model)(model.inputs, [model.outputs[0], merged(model.inputs[0])])
    both.save(file)
    kinds = {type(layer).__name__ for part in (model, merged) for layer in part.layers}
    assert kinds >= {"Conv2Plus1D", "FoldedConv3D", "FusedConv3D"}
    return file, both.predict(np.ones((1, *SHAPE), "float32"), verbose=0)


@pytest.mark.parametrize(
    "imports",
    [
        "import keras, r21d_keras",
        "import r21d_keras, keras",
        "import r21d_keras.folding, keras",  # whose import of Keras ours is amid
    ],
)
def test_a_process_that_imports_the_package_loads_the_file(saved, imports, tmp_path):
    file, expected = saved
    answer = str(tmp_path / "answer.npy")
    done = subprocess.run(
        [sys.executable, "-c", imports + ANSWER.format(file=str(file), answer=answer)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_array_equal(np.load(answer), np.stack(expected))
