"""What several test files use: two CPU devices, real clips, small videos, a small run."""

import ctypes
import gc
import os
import pathlib
import sys

import numpy as np
import pytest
from hypothesis import settings

from tests.http_server import running

settings.register_profile("any machine", deadline=None)  # no test is about time
settings.load_profile("any machine")

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIBC = ctypes.CDLL(None)
NUM_CPUS = 2  # logical devices, for strategies with two replicas
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

SMALL_RUN = {  # over the recipe "demo"
    "dataset": "folder",
    "width_multiplier": 0.125,
    "clip_frames": 4,
    "resize_height": 36,
    "resize_width": 40,
    "epochs": 2,
    "clips_per_epoch": 4,
    "global_batch_size": 4,
    "num_cpu_replicas": 1,
}


def pytest_configure(config):
    """Two logical CPUs, and memory that is given back once it is free.

    Both have to be asked for before TensorFlow starts its first device. TensorFlow's allocator for
    CPUs with oneDNN keeps all that it ever had (mkl_cpu_allocator.h): 10 GB after a few hundred
    models of all sizes. Processes that tests start run as those of users do.

    Importing keras imports TensorFlow anyway; with another backend nothing is done.
    """
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * NUM_CPUS
    tf.config.set_logical_device_configuration(cpu, devices)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_ONEDNN_USE_SYSTEM_ALLOCATOR", "1")
        tf.zeros(())  # starts them


def data_folder() -> pathlib.Path:
    """Where the real clips and lists lie, if they do: R21D_TEST_DATA, else ../shared/data."""
    return pathlib.Path(os.environ.get("R21D_TEST_DATA") or ROOT.parent / "shared" / "data")


def pytest_report_header(config):
    """Says whether the tests on real clips run, which need data that is not in the project."""
    if data_folder().is_dir():
        return f"real clips: {data_folder()}"
    return f"real clips: none, their tests are skipped; no folder {data_folder()} (R21D_TEST_DATA)"


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """The folder of real clips and lists."""
    if not data_folder().is_dir():
        pytest.skip(f"no folder {data_folder()}; name that of the real clips in R21D_TEST_DATA")
    return data_folder()


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory) -> pathlib.Path:
    """A folder of its own for what is made on first use, for this process and its children."""
    home = tmp_path_factory.mktemp("r21d_home")
    os.environ["R21D_HOME"] = str(home)
    return home


@pytest.fixture(scope="module", autouse=True)
def forget_models():
    """Frees what Keras keeps of a test file's models: hundreds of them fill several GB."""
    yield
    if "keras" in sys.modules:
        sys.modules["keras"].backend.clear_session()
        gc.collect()  # Keras 2.15 does not
        if hasattr(LIBC, "malloc_trim"):  # glibc, which keeps what is free for later
            LIBC.malloc_trim(0)


@pytest.fixture(autouse=True)
def seeded():
    """The weights of a test's networks are the same, whichever tests ran before it."""
    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(scope="session")
def tiny_videos(tmp_path_factory) -> pathlib.Path:
    """A folder of class folders, `bright` and `dark`, each with 5 videos of 12 frames, 64x48."""
    root = tmp_path_factory.mktemp("tiny_videos")
    draw = np.random.default_rng(0)
    for name, low in (("bright", 128), ("dark", 0)):
        (root / name).mkdir()
        for number in range(5):
            frames = draw.integers(low, low + 128, (12, 3, 4, 3), np.uint8)
            frames = frames.repeat(16, axis=1).repeat(16, axis=2)
            encode(root / name / f"{name}_{number}.mp4", frames)
    return root


@pytest.fixture(scope="session")
def motion_videos(tmp_path_factory):
    """Two real video files of each of the eight motions: <folder>/{train,test}/<class>/*.mp4."""
    from r21d_keras.training.data import motion

    folder = tmp_path_factory.mktemp("motion_videos")
    for seed, subset in enumerate(("train", "test")):
        motion.write_videos(folder / subset, 1, seed)
    return folder


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory, motion_videos):
    """A function that writes a run as training leaves it, with random weights, and says where."""
    import keras

    from r21d_keras.training import model_dir
    from r21d_keras.training.data import motion
    from r21d_keras.training.recipes import resolve

    all_classes = tuple(sorted(motion.CLASSES))  # as a folder of class folders lists them

    def write(classes=all_classes, **options):
        folder = model_dir.ModelDir(tmp_path_factory.mktemp("run"))
        options = {
            **SMALL_RUN,
            "videos": str(motion_videos),
            "eval_clips": 2,
            "model_dir": str(folder.root),
            **options,
        }
        config = resolve("demo", overrides=options)
        folder.write_run(config, classes)
        keras.utils.set_random_seed(1)
        model = model_dir.build_model(config, len(classes))
        kernel = model.layers[-1].weights[0]
        kernel.assign(kernel * 20.0)  # so that probabilities differ visibly
        for which in ("best", "final"):
            model_dir.save_weights(model, folder.weights(which))
        return folder.root

    return write


@pytest.fixture
def log(caplog, monkeypatch):
    """caplog for what training logs through absl, however other tests have left its logger."""
    from absl import logging

    monkeypatch.setattr(logging.get_absl_logger(), "propagate", True)
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.INFO)
    yield caplog
    logging.set_verbosity(verbosity)


@pytest.fixture
def make_config(request, tmp_path, tiny_videos):
    """A function that configures a small run on `tiny_videos`; OPTIONS of a test file go first."""
    from r21d_keras.training.recipes import resolve

    options_of_file = getattr(request.module, "OPTIONS", {})

    def make(name="run", **options):
        places = {"videos": str(tiny_videos), "model_dir": str(tmp_path / name)}
        return resolve("demo", overrides={**SMALL_RUN, **options_of_file, **places, **options})

    return make


@pytest.fixture(scope="session")
def encode_video():
    """The function `encode`."""
    return encode


def encode(path, frames, codec="mpeg4", rate=15, pix_fmt="yuv420p", options=None, **fields):
    """Writes uint8 RGB frames (T, H, W, 3); `fields` are set on the codec, such as max_b_frames."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        for name, value in fields.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


@pytest.fixture
def server(monkeypatch):
    """A real HTTP server on loopback: tests/http_server.py."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running() as server:
        yield server


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty R21D_HOME, online, without a mirror; the folder itself is not made."""
    monkeypatch.setenv("R21D_HOME", str(tmp_path / "home"))
    for name in ("R21D_OFFLINE", "R21D_MIRROR"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


@pytest.fixture
def published_row(tmp_path, monkeypatch):
    """A function that makes a row, with these fields, all that is published; its file is there."""
    from r21d_keras.zoo import weights
    from tests import cached_rows

    def publish(**fields):
        row = cached_rows.row_of(labels=None, **fields)
        (tmp_path / row.file_name).write_bytes(cached_rows.checkpoint())
        monkeypatch.setattr(weights, "WEIGHTS", (row,))
        for name, value in (("MIRROR", tmp_path), ("HOME", tmp_path / "home"), ("OFFLINE", "1")):
            monkeypatch.setenv(f"R21D_{name}", str(value))
        return row

    return publish
