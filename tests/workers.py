"""Real processes that train together on loopback.

As a script it is one of them: it trains with the options of its first argument, JSON, and leaves
the weights and logs of its last epoch in the .npz file that the second one names. With a third one
it asks, on its own, to stop after so many epochs.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

from tests.waits import code_of

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_ports(count):
    """Numbers of ports that nobody listens at, one after the other."""
    for first in range(21000 + os.getpid() % 997 * 8, 32000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return list(range(first, first + count))
    raise OSError("no free ports")


def tf_configs(count):
    """For each of `count` workers, what its environment needs."""
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(count)]}
    tasks = [{"type": "worker", "index": index} for index in range(count)]
    return [{"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})} for task in tasks]


def slurm_variables(count):
    """As `tf_configs`, but as `srun` on one node sets it."""
    return [
        {
            "SLURM_JOB_ID": str(free_ports(count)[0] - 20000),
            "SLURM_STEP_NODELIST": "localhost",
            "SLURM_STEP_NUM_TASKS": str(count),
            "SLURM_STEP_TASKS_PER_NODE": str(count),
            "SLURM_PROCID": str(index),
        }
        for index in range(count)
    ]


def start(arguments, variables, log):
    """A Python process with these arguments; what it says goes to the file `log`."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    environment = {**os.environ, **variables, "PYTHONPATH": path, "PYTHONFAULTHANDLER": "1"}
    with open(log, "w", encoding="utf-8") as file:
        command = [sys.executable, *arguments]
        return subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)


def command_line(options):
    """`r21d train` with these options."""
    flags = [
        f"--{'' if value is not False else 'no'}{name}" + f"={value}" * (type(value) is not bool)
        for name, value in options.items()
    ]
    return ["-m", "r21d_keras.training.cli", "train", "--recipe=demo", *flags]


@contextlib.contextmanager
def running(commands, environments, folder):
    """The processes, one a command; those that are left when it is over are killed."""
    processes = []
    try:
        for index, (command, variables) in enumerate(zip(commands, environments, strict=True)):
            processes.append(start(command, variables, folder / f"log.{index}"))
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def train_together(options, environments, folder, stop_after=None):
    """Trains to the end; what each worker has found, and the folder of the run.

    `stop_after`: epochs after which the last worker, and no other, asks to stop.
    """
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    environments = [{**variables, "TMPDIR": str(folder / "tmp")} for variables in environments]
    options = {**options, "strategy": "multi_worker_mirrored", "model_dir": str(folder / "run")}
    commands = [
        [__file__, json.dumps(options), str(folder / f"{index}.npz")]
        for index in range(len(environments))
    ]
    if stop_after:
        commands[-1].append(str(stop_after))
    with running(commands, environments, folder) as processes:
        codes = [code_of(process) for process in processes]
    logs = "\n".join(path.read_text("utf-8") for path in sorted(folder.glob("log.*")))
    assert codes == [0] * len(codes), logs
    return [found(folder / f"{index}.npz") for index in range(len(codes))], folder / "run"


def found(path):
    """Weights, and logs by name, of what `_main` has left."""
    import numpy as np

    with np.load(path) as arrays:
        weights = [arrays[name] for name in sorted(arrays.files) if name != "logs"]
        return weights, json.loads(str(arrays["logs"]))


def _main(options, path, stop_after=0):
    import keras
    import numpy as np

    from r21d_keras.training.recipes import resolve
    from r21d_keras.training.train import train

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch + 1 == int(stop_after)
            self.logs = {name: float(value) for name, value in logs.items()}

        def on_train_end(self, logs=None):
            weights = {f"{i:03d}": weight for i, weight in enumerate(self.model.get_weights())}
            np.savez(path, **weights, logs=json.dumps(self.logs))

    train(resolve("demo", overrides=json.loads(options)), [Keep()])


if __name__ == "__main__":
    _main(*sys.argv[1:])
