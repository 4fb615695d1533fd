"""What several test files use: two CPU devices, real clips, small encoded videos."""

import os
import pathlib

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NUM_CPUS = 2  # logical devices, for strategies with two replicas
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def pytest_configure(config):
    """Two logical CPUs, which have to be asked for before TensorFlow starts its first device.

    Importing keras imports TensorFlow anyway; with another backend nothing is done.
    """
    if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
        return
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * NUM_CPUS
    tf.config.set_logical_device_configuration(cpu, devices)


@pytest.fixture(scope="session")
def test_data() -> pathlib.Path:
    """The folder of real clips and lists: R21D_TEST_DATA, else ../shared/data."""
    folder = pathlib.Path(os.environ.get("R21D_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; name that of the real clips in R21D_TEST_DATA")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory) -> pathlib.Path:
    """A folder of its own for what is made on first use, for this process and its children."""
    home = tmp_path_factory.mktemp("r21d_home")
    os.environ["R21D_HOME"] = str(home)
    return home


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
