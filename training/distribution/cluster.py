"""Which processes train together, and which of them this one is: from TF_CONFIG, or from SLURM."""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field

import tensorflow as tf

from ..options import ConfigError

JOBS = ("chief", "worker")
"""Kinds of tasks that train, in the order in which they are numbered."""

# TensorFlow's own choice for SLURM, 8888, is taken where two jobs share a node. Numbers that Linux
# gives to outgoing connections begin at 32768.
FIRST_PORT, PORTS = 20000, 10000


@dataclass(frozen=True)
class Cluster:
    """The processes of a run; `index` is this one's place in `addresses`, and 0 the chief's.

    resolver: the same for TensorFlow.
    """

    addresses: tuple[str, ...]
    index: int
    resolver: tf.distribute.cluster_resolver.ClusterResolver = field(compare=False, repr=False)

    def __len__(self) -> int:
        """Number of processes."""
        return len(self.addresses)

    @property
    def address(self) -> str:
        """Where this process listens."""
        return self.addresses[self.index]


def find_cluster() -> Cluster:
    """The cluster that TF_CONFIG describes, or else the tasks of this step of SLURM.

    Nothing is connected yet.

    Raises:
        ConfigError: if there is neither, or it cannot be used; the message says what was expected.
    """
    if os.environ.get("TF_CONFIG"):
        return _of_config(os.environ["TF_CONFIG"])
    if "SLURM_STEP_NODELIST" in os.environ:
        return _of_slurm()
    raise ConfigError(
        "strategy='multi_worker_mirrored' needs TF_CONFIG in the environment of each process, or "
        f"`srun` to start them. {_EXPECTED}"
    )


def processes_named() -> int:
    """How many processes the environment says that there are; 1 where it says nothing."""
    try:
        jobs = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
        count = sum(len(jobs.get(job, ())) for job in JOBS)
        return count or int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))
    except (ValueError, TypeError, AttributeError):  # told where it matters
        return 1


_EXPECTED = (
    'TF_CONFIG is, for example, {"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}, with another index in each process.'
)


def _of_config(text: str) -> Cluster:
    def wrong(what: str) -> ConfigError:
        return ConfigError(f"TF_CONFIG: {what}. {_EXPECTED}")

    try:
        config = json.loads(text)
        jobs, task = dict(config["cluster"]), config["task"]
        job, index = task["type"], int(task["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise wrong(f"cannot be read ({type(error).__name__}: {error})") from None
    if others := sorted(set(jobs) - set(JOBS)):
        raise wrong(
            f"tasks of type {', '.join(others)} do not train; expected {' and '.join(JOBS)}"
        )
    if not all(_is_list_of_addresses(addresses) for addresses in jobs.values()):
        raise wrong("expected a list of addresses, host:port, for each type of task")
    if len(jobs.get("chief", ())) > 1:
        raise wrong(f"{len(jobs['chief'])} chiefs; expected at most one")
    if not 0 <= index < len(jobs.get(job, ())):
        count = len(jobs.get(job, ()))
        raise wrong(f"this is task {index} of type {job!r}, of which the cluster has {count}")
    addresses = tuple(address for name in JOBS for address in jobs.get(name, ()))
    if len({*addresses}) < len(addresses):
        raise wrong("two tasks have the same address")
    before = len(jobs.get("chief", ())) if job == "worker" else 0
    return Cluster(addresses, before + index, _resolver(jobs, job, index))


def _is_list_of_addresses(addresses) -> bool:
    return isinstance(addresses, list) and all(
        isinstance(address, str)
        and (found := re.fullmatch(r"\S+:(\d{1,5})", address))
        and 0 < int(found[1]) < 65536
        for address in addresses
    )


def _of_slurm() -> Cluster:
    """One worker a task of the step."""
    try:
        known = tf.distribute.cluster_resolver.SlurmClusterResolver(
            port_base=FIRST_PORT + int(os.environ.get("SLURM_JOB_ID", 0)) % PORTS,
            **_gpus_of_slurm(),
        )
        addresses = known.cluster_spec().as_dict()["worker"]
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"The tasks that SLURM has started cannot be told: {error}. {_SRUN}"
        ) from None
    addresses.sort(key=_as_slurm_sorts)
    index, node = known.task_id, os.environ.get("SLURMD_NODENAME")
    if node and addresses[index].rpartition(":")[0] != node:
        raise ConfigError(
            f"SLURM: task {index} is on {node}; expected it on {addresses[index]}, as `srun "
            f"--distribution=block` lays tasks. {_SRUN}"
        )
    return Cluster(tuple(addresses), index, _resolver({"worker": addresses}, "worker", index))


_SRUN = f"Start them with `srun --distribution=block`, or set TF_CONFIG. {_EXPECTED}"


def _as_slurm_sorts(address: str) -> list:
    """Numbers in names by their value; TensorFlow has n10 before n9, and tasks on wrong nodes."""
    return [
        (part.isdigit(), int(part) if part.isdigit() else part) for part in _NUMBER.split(address)
    ]


_NUMBER = re.compile(r"(\d+)")


def _gpus_of_slurm() -> dict:
    """How TensorFlow is to share the GPUs of a node among its tasks.

    Where each task has its own already, or is alone, or there are none, it is told of one GPU for
    each task and does not touch them: it cannot count with none.
    """
    tasks = re.sub(r"\(x\d+\)", "", os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1"))  # "2(x3),1"
    most = max(map(int, _NUMBER.findall(tasks)), default=1)
    bound = {"SLURM_GPUS_PER_TASK", "SLURM_NTASKS_PER_GPU"} & set(os.environ)
    if most > 1 and not bound and shutil.which("nvidia-smi"):
        return {}
    return {"gpus_per_node": most, "gpus_per_task": 1, "auto_set_gpu": False}


def _resolver(jobs: Mapping[str, list[str]], job: str, index: int):
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(jobs),
        task_type=job,
        task_id=index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
