"""Ray clusters for tests: nodes at loopback addresses of their own, and the processes that run on each."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_worker_niceness", "0")  # by 15, as Ray has it, workers starve beside other tests

from ray.cluster_utils import Cluster

from contragrad.engine.ray_cluster import connected
from contragrad.engine.ray_files import CACHE

STORE = 80 * 2**20
"""Bytes of a node's object store, about the least that Ray takes."""

HEAD = "127.0.0.2"
"""Ray takes 127.0.0.1 for the machine's outer address."""


@contextmanager
def cluster_of(nodes: int, cache: Path) -> Iterator[Cluster]:
    """A cluster whose head is this driver's and has no room, with so many nodes for one worker each.

    Args:
        nodes: how many.
        cache: where they keep what they are sent.
    """
    os.environ[CACHE] = str(cache)
    head = {
        "num_cpus": 0,
        "include_dashboard": False,
        "object_store_memory": STORE,
        "node_ip_address": HEAD,
    }
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for place in range(nodes):
            join(cluster, f"127.0.0.{3 + place}")
        with connected(str(cluster.address), 0):
            yield cluster
    finally:
        del os.environ[CACHE]
        cluster.shutdown()  # type: ignore[no-untyped-call]


def join(cluster: Cluster, address: str, *, num_cpus: int = 1, num_gpus: int = 0) -> Any:
    """Adds a node, with room for one worker if nothing else is said; its GPUs need not be there."""
    return cluster.add_node(
        num_cpus=num_cpus, num_gpus=num_gpus, object_store_memory=STORE, node_ip_address=address
    )


def kill_node(cluster: Cluster, node: Any) -> None:
    """Kills all that runs on a node, as if the machine were gone."""
    cluster.remove_node(node, allow_graceful=False)


def node_of(cluster: Cluster, pid: int) -> Any:
    """The node that a process runs on."""
    return next(node for node in cluster.worker_nodes if pid in descendants(raylet(node)))


def raylet(node: Any) -> int:
    """The process that a node consists of."""
    return int(node.all_processes["raylet"][0].process.pid)


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    try:
        own = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return set()
    return set(own).union(*map(descendants, own))


def parent(pid: int) -> int:
    """The process that started a process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
