"""Which URLs TensorFlow can read here, and what it takes to make it."""

import importlib.metadata
import importlib.util
import os
import threading

from ..options import ConfigError
from .bounded import timeout_s
from .leaving import without_destructors
from .urls import WEB, scheme_of, shown

# tensorflow-io's S3 reads these when it is first used; what the environment says goes before.
# S3_DISABLE_MULTI_PART_DOWNLOAD: else a transfer manager asks for the size before each piece that
# is read, and takes 25 buffers of 50 MB. AWS_*: two tries, as `bounded` makes more; the usual ten
# would take longer than it waits.
_S3 = {
    "S3_DISABLE_MULTI_PART_DOWNLOAD": "1",
    "AWS_RETRY_MODE": "standard",
    "AWS_MAX_ATTEMPTS": "2",
}
_S3_TIMES = ("S3_CONNECT_TIMEOUT_MSEC", "S3_REQUEST_TIMEOUT_MSEC")
_PLUGIN = "tensorflow_io"
WORKS_WITH = (
    "tensorflow-io has it, for TensorFlow 2.15 to 2.17 with Python 3.11: TensorFlow 2.17.1 with "
    "tensorflow-io 0.37.1 (stacks/io.txt), or 2.15.1 with 0.36.0 (stacks/card.txt); "
    "docs/remote_data.md says how to install them"
)
"""On which stacks the schemes are that TensorFlow does not have itself."""
_lock = threading.Lock()


def check_scheme(url: str) -> None:
    """Makes sure that files at `url` can be reached, by loading tensorflow-io where that helps.

    Raises:
        ConfigError: TensorFlow has no such scheme here; the message says which stack has.
    """
    scheme = scheme_of(url)
    if scheme in WEB or is_registered(scheme):
        return
    with _lock:
        if scheme == "s3":
            times = dict.fromkeys(_S3_TIMES, str(int(1000 * timeout_s())))
            for name, value in (_S3 | times).items():
                os.environ.setdefault(name, value)
        problem = _load_plugin()
    # That the import worked says nothing: on later TensorFlows it does, and adds no scheme.
    if not is_registered(scheme):
        raise ConfigError(
            f"{shown(url)}: {_here(problem)} has no {scheme}://. {WORKS_WITH}. Or copy the folder "
            "to this machine, and name it there."
        )
    if scheme == "s3":
        without_destructors()


def is_registered(scheme: str) -> bool:
    """Whether TensorFlow has a file system for a scheme."""
    import tensorflow as tf

    return scheme in tf.io.gfile.get_registered_schemes()


def _load_plugin() -> str:
    """Imports tensorflow-io; what stands in its way, or nothing."""
    if importlib.util.find_spec(_PLUGIN) is None:
        return "without tensorflow-io"
    try:
        import tensorflow_io  # noqa: F401 - for what its import registers
    except Exception as error:  # noqa: BLE001 - anything, when TensorFlow is another than its own
        return f"with a tensorflow-io that cannot be loaded ({type(error).__name__})"
    return f"with tensorflow-io {importlib.metadata.version('tensorflow-io')}, which adds nothing,"


def _here(problem: str) -> str:
    import tensorflow as tf

    return f"TensorFlow {tf.__version__} {problem}"
