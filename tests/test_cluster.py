"""Who trains together: TF_CONFIG, SLURM, and how workers meet."""

import json
import os
import threading

import pytest

from r21d_keras.training.config import TrainConfig
from r21d_keras.training.distribution.cluster import find_cluster
from r21d_keras.training.distribution.lost import WorkerLostError
from r21d_keras.training.distribution.meeting import meet
from r21d_keras.training.distribution.strategy import make_strategy
from r21d_keras.training.options import ConfigError
from tests.workers import free_ports, slurm_variables

TWO = {"worker": ["a:1", "b:2"]}


@pytest.fixture
def environment(monkeypatch):
    """A function that sets variables, after all that could name a cluster are gone."""
    for name in [name for name in os.environ if name.startswith(("TF_CONFIG", "SLURM"))]:
        monkeypatch.delenv(name)

    def put(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


def config(jobs, job, index):
    return json.dumps({"cluster": jobs, "task": {"type": job, "index": index}})


@pytest.mark.parametrize(
    "jobs, job, index, addresses, number",
    [
        (TWO, "worker", 1, ("a:1", "b:2"), 1),
        ({"chief": ["c:3"], **TWO}, "worker", 1, ("c:3", "a:1", "b:2"), 2),
        ({"chief": ["c:3"], **TWO}, "chief", 0, ("c:3", "a:1", "b:2"), 0),
        ({"worker": ["a:1"]}, "worker", "0", ("a:1",), 0),
    ],
)
def test_tf_config_says_who_trains_and_who_this_is(
    environment, jobs, job, index, addresses, number
):
    environment(TF_CONFIG=config(jobs, job, index))
    cluster = find_cluster()
    assert (cluster.addresses, cluster.index) == (addresses, number)
    assert cluster.address == addresses[number] and len(cluster) == len(addresses)
    assert cluster.resolver.cluster_spec().as_dict() == jobs
    assert (cluster.resolver.task_type, cluster.resolver.task_id) == (job, int(index))


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"cluster": {"worker": ["a:1"]}}', "cannot be read .KeyError"),
        (config({**TWO, "ps": ["p:1"]}, "worker", 0), "tasks of type ps do not train"),
        (config(TWO, "worker", 2), "task 2 of type 'worker', of which the cluster has 2"),
        (config(TWO, "worker", -1), "task -1 of type"),
        (config(TWO, "evaluator", 0), "task 0 of type 'evaluator', of which the cluster has 0"),
        (config({"chief": ["c:1", "d:1"]}, "chief", 0), "2 chiefs"),
        (config({"worker": ["a:1", "a:1"]}, "worker", 0), "the same address"),
        (config({"worker": ["a", "b"]}, "worker", 0), "a list of addresses, host:port"),
        (config({"worker": "a:1"}, "worker", 0), "a list of addresses, host:port"),
        (config({"worker": ["a:1", "b:65536"]}, "worker", 0), "a list of addresses, host:port"),
    ],
)
def test_a_wrong_tf_config_is_told_with_an_example(environment, text, message):
    environment(TF_CONFIG=text)
    with pytest.raises(ConfigError, match=f"{message}.*TF_CONFIG is, for example"):
        find_cluster()


def test_without_a_cluster_it_is_said_what_is_needed(environment):
    with pytest.raises(ConfigError, match="needs TF_CONFIG .* or `srun`"):
        find_cluster()


@pytest.mark.parametrize(
    "variables, named",
    [
        ({"TF_CONFIG": config(TWO, "worker", 0)}, 2),
        (slurm_variables(3)[0], 3),
        ({"TF_CONFIG": config({"worker": ["a:1"]}, "worker", 0)}, 1),
        ({"TF_CONFIG": "{"}, 1),
        ({"TF_CONFIG": "[]"}, 1),
        ({}, 1),
    ],
)
def test_processes_that_train_apart_although_they_are_several_are_told(
    environment, variables, named, log
):
    environment(**variables)
    make_strategy(TrainConfig(strategy="one"))
    told = f"names {named} processes, and strategy='one' trains in this one alone" in log.text
    assert told == (named > 1) and ("alone" in log.text) == told


def test_tasks_of_slurm_are_workers(environment):
    environment(**slurm_variables(3)[2])
    cluster = find_cluster()
    assert cluster.index == 2 and len(cluster) == 3
    assert all(address.startswith("localhost:2") for address in cluster.addresses)


def test_nodes_are_in_the_order_of_their_numbers(environment):
    nodes = {"SLURM_STEP_NODELIST": "gpu[9-11]", "SLURM_STEP_TASKS_PER_NODE": "2(x3)"}
    tasks = {"SLURM_STEP_NUM_TASKS": "6", "SLURM_PROCID": "2", "SLURM_JOB_ID": "12345"}
    environment(**nodes, **tasks, SLURMD_NODENAME="gpu10")
    cluster = find_cluster()
    hosts = [f"gpu{number}:{port}" for number in (9, 10, 11) for port in (22345, 22346)]
    assert list(cluster.addresses) == hosts and cluster.address == "gpu10:22345"
    environment(SLURM_PROCID="3", SLURMD_NODENAME="gpu11")
    with pytest.raises(ConfigError, match="task 3 is on gpu11; expected it on gpu10"):
        find_cluster()
    environment(SLURM_STEP_TASKS_PER_NODE="no number")
    with pytest.raises(ConfigError, match="cannot be told"):
        find_cluster()


@pytest.fixture
def clusters(environment):
    """Three of one cluster, whose ports are free."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(3)]
    found = []
    for index in range(3):
        environment(TF_CONFIG=config({"worker": addresses}, "worker", index))
        found.append(find_cluster())
    return found


def met(clusters, timeout_s=30.0):
    """What each of them raises when they meet, or None."""
    found = {}

    def come(cluster):
        try:
            found[cluster.index] = meet(cluster, timeout_s)
        except (ConfigError, WorkerLostError) as error:
            found[cluster.index] = error

    threads = [threading.Thread(target=come, args=(cluster,)) for cluster in clusters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_all_go_on_when_the_last_has_come(clusters):
    assert met(clusters) == {0: None, 1: None, 2: None}
    assert met(clusters[::-1]) == {0: None, 1: None, 2: None}  # the port is free again


def test_all_that_came_name_the_one_that_did_not(clusters):
    for error in met(clusters[:2], 1.0).values():
        assert isinstance(error, WorkerLostError)
        assert f"missing worker 2 ({clusters[2].address})" in str(error) or "another" in str(error)
    (error,) = met(clusters[1:2], 0.5).values()
    assert f"within worker_timeout_s=0.5: missing worker 0 ({clusters[0].address})" in str(error)


def test_workers_of_another_cluster_are_refused(clusters, environment):
    other = ["127.0.0.1:1", *clusters[0].addresses[1:]]
    environment(TF_CONFIG=config({"worker": other}, "worker", 0))
    environment(TF_CONFIG=config({"worker": [clusters[0].address, "b:1"]}, "worker", 1))
    found = met([clusters[0], find_cluster()])
    assert all("do not agree who they are" in str(error) for error in found.values())


def test_one_worker_alone_need_not_wait(environment):
    environment(TF_CONFIG=config({"worker": ["nowhere:1"]}, "worker", 0))
    meet(find_cluster(), 0.1)
