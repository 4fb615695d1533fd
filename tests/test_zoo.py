"""Every row from its authors' file to logits, by the public builder, beside networks in torch."""

import dataclasses
import gc
import shutil
import zipfile

import keras
import numpy as np
import pytest

from r21d_keras import get_variant, zoo
from r21d_keras.zoo.weights import WEIGHTS
from tests import published_files
from tests.published_files import WRITERS, arrays_of, body_of, clips_of, format_of, seeded_network

FRAMES = 4  # enough for all that is done in time; R2D takes its own number
# Rows with a body in common lie side by side: it is drawn once, and so is the network in torch.
ROWS = sorted(WEIGHTS, key=lambda row: (str(body_of(row)), row.name))


@pytest.fixture(scope="session")
def torch_reference():
    pytest.importorskip("torch", reason="torch is not installed on this stack")
    from tests import torch_reference

    return torch_reference


class References:
    """The network in torch of the last row; the next takes it over if but the head differs."""

    def __init__(self, reference):
        self.reference, self.body, self.module = reference, None, None

    def of(self, row):
        import torch

        if body_of(row) != self.body:
            self.body, self.module = body_of(row), None  # not two at once
            variant, (frames, _, _, channels) = get_variant(row.variant), row.input_shape
            self.module = self.reference.assemble(variant, row.convention, 1, frames, channels)
        arrays = {key: torch.from_numpy(array) for key, array in arrays_of(row).items()}
        self.module.fc = torch.nn.Linear(self.module.fc.in_features, row.num_classes)
        missing, unexpected = self.module.load_state_dict(arrays, strict=False)
        assert not unexpected and all(key.endswith("num_batches_tracked") for key in missing)
        return self.module


@pytest.fixture(scope="module")
def references(torch_reference):
    return References(torch_reference)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    """Folder, address and requests of a mirror."""
    folder = tmp_path_factory.mktemp("mirror")
    with published_files.served(folder) as (url, requests):
        yield folder, url, requests


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """A folder with a cache, which takes up to 1 GB: removed at once, as are the models."""
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    yield tmp_path
    shutil.rmtree(tmp_path)
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row, references, mirror, scratch, monkeypatch):
    folder, url, requests = mirror
    requests.clear()
    published = published_files.publish(row, folder)
    published_files.list_rows(monkeypatch, published)
    monkeypatch.setenv("R21D_MIRROR", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    shape = (row.input_shape[0] if row.variant.startswith("r2d") else FRAMES, 24, 32)
    clips = clips_of((*shape, row.input_shape[3]))
    builder = getattr(zoo, row.variant)
    model = builder(row.tag, classifier_activation=None, input_shape=clips.shape[1:])
    assert requests.count(f"GET /{row.file_name}") == 1
    expected = references.reference.logits(references.of(row), clips)
    assert expected.shape == (1, row.num_classes)
    assert_close(model(clips), expected)
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == row.num_params
    (folder / row.file_name).unlink()


@pytest.mark.parametrize("key", WRITERS, ids=lambda key: "".join(key))
def test_each_format_without_torch(key, scratch, monkeypatch):
    """The smallest row of each, at the smallest depth that it can have; a folder as mirror."""
    row = min((row for row in WEIGHTS if format_of(row) == key), key=lambda row: row.num_params)
    depth = 50 if row.naming == "gluoncv_v2" else 10  # v2 has bottlenecks alone
    small = dataclasses.replace(row, variant=f"{row.variant.rpartition('_')[0]}_{depth}")
    published_files.list_rows(monkeypatch, published_files.publish(small, scratch))
    monkeypatch.setenv("R21D_MIRROR", str(scratch))
    shape = (FRAMES, 24, 32, 3)
    builder = getattr(zoo, small.variant)
    model = builder(row.tag, classifier_activation=None, input_shape=shape)
    assert_close(model(clips_of(shape)), np.asarray(seeded_network(small, shape)(clips_of(shape))))


@pytest.mark.parametrize("name", ["r2plus1d_18", "r3d_18", "mc3_18"])
def test_torchvisions_recordings(name, torch_reference, test_data, scratch):
    """Their procedure: seed 0, 50 classes, eval, then torch.rand(1, 3, 4, 112, 112)."""
    import torch

    torch.manual_seed(0)
    module = getattr(torch_reference.tv, name)(num_classes=50)
    clip = torch.rand(1, 3, 4, 112, 112).permute(0, 2, 3, 4, 1).numpy()
    torch.save(module.state_dict(), scratch / "mine.pth")
    recorded = test_data / "torchvision_expect" / f"ModelTester.test_{name}_expect.pkl"
    with zipfile.ZipFile(recorded) as archive:
        expected = np.frombuffer(archive.read("archive/data/0"), "<f4")
    model = getattr(zoo, name)(
        scratch / "mine.pth", input_shape=clip.shape[1:], classifier_activation=None
    )
    np.testing.assert_allclose(model(clip)[0], expected, atol=1e-5)


def assert_close(logits, expected):
    """Within 1e-4 of the largest."""
    error = np.abs(np.asarray(logits) - expected).max() / np.abs(expected).max()
    assert error < 1e-4, f"relative error {error:.1e}"
