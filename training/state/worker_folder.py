"""Where each worker keeps its run: the chief in --model_dir, the others for a while."""

import contextlib
import hashlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from ..config import TrainConfig
from ..distribution.workers import Workers
from ..remote.run_copy import run_copy
from ..remote.urls import is_remote
from ..run_folder import ModelDir
from .run_lock import sole_writer


@contextlib.contextmanager
def own_folder(config: TrainConfig, workers: Workers) -> Iterator[ModelDir]:
    """The folder of the run while this lasts; this process is the only one to train in it.

    TensorFlow needs all workers to take part in saving, as some variables are only complete
    together, and one alone may write a file. So all but the chief save to a temporary folder,
    which goes at the end; what a killed worker has left goes when it is started again.

    Raises:
        ConfigError: if the folder cannot be made or written to, or another process trains in it.
        RemoteError: a server that does not give or take the run.
    """
    if workers.is_chief:
        with contextlib.ExitStack() as held:
            if is_remote(config.model_dir):
                copy = held.enter_context(run_copy(config.model_dir))
                folder = ModelDir(copy.root, copy.push)
            else:
                folder = ModelDir(pathlib.Path(config.model_dir))
            held.enter_context(sole_writer(folder.root))
            yield folder
        return
    who = f"{os.path.abspath(config.model_dir)} {workers.name(workers.index)}"
    name = f"r21d_worker_{hashlib.sha256(who.encode()).hexdigest()[:16]}"
    root = pathlib.Path(tempfile.gettempdir()) / name
    with sole_writer(root):
        try:
            _clear(root)
            yield ModelDir(root)
        finally:
            _clear(root)


def _clear(root: pathlib.Path) -> None:
    """Removes all but the lock, which `sole_writer` takes with the folder."""
    for path in root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif not path.name.startswith(".lock"):
            path.unlink()
