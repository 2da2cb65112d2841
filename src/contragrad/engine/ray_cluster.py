"""The Ray cluster as its driver has it: joined or started, its room, and what went wrong in it."""

import contextlib
import logging
import math
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before ray is there: it would report home

import ray
from ray.exceptions import ActorUnavailableError, NodeDiedError, RayError

from contragrad.errors import UserError
from contragrad.legible import first_line

SAME = ("python", "torch", "contragrad")
"""What must be the same in driver and workers, for results to be."""

REACHING = 10.0
"""Seconds after which a head that does not answer is none."""


@contextlib.contextmanager
def connected(address: str, workers: int) -> Iterator[None]:
    """A block in which this process is a driver of the cluster; one that it is already is left as it is.

    Args:
        address: `local` starts a cluster of this machine, which ends with the block; `auto` joins the one
            that runs here, `HOST:PORT` the one with that head, of which this machine is a node.
        workers: how many a cluster that is started here must have room for.

    Raises:
        UserError: if there is no such cluster.
    """
    if ray.is_initialized():
        yield
        return
    require_reachable(address)
    local: dict[str, Any] = {
        "num_cpus": max(workers, os.cpu_count() or 1),
        "include_dashboard": False,
        "object_store_memory": 128 * 2**20,  # workers see the run folder, and are sent nothing large
        "_node_ip_address": "127.0.0.1",
    }
    with contextlib.redirect_stdout(cast(IO[str], WithoutRay(sys.stdout))):
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **(local if address == "local" else {}),
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise UserError(
                f"there is no Ray cluster to join: {first_line(error)}",
                where=f"address: {address}",
                remedy="`ray start --head` on one machine, `ray start --address` on the others and on this;"
                " RAY_AUTH_MODE=token for all of them if it spoke of token authentication",
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@dataclass(frozen=True, slots=True)
class WithoutRay:
    """Standard output without what threads of Ray's tell there of lost workers: that is no result."""

    stream: IO[str]

    def write(self, text: str) -> int:
        """Writes the text, or says it on standard error."""
        of_ray = threading.current_thread().name.startswith("ray_")
        return (sys.stderr if of_ray else self.stream).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def require_reachable(address: str) -> None:
    """Checks that somebody answers there, which Ray itself would try for minutes.

    Raises:
        UserError: if the address is none, or nobody answers.
    """
    if address in ("local", "auto"):
        return
    host, _, port = address.rpartition(":")
    where = f"address: {address}"
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(
            "this is no address of a Ray cluster",
            where=where,
            remedy="local, auto, or HOST:PORT of its head; a driver is on a node of its cluster",
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHING).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"there is no Ray cluster to join: {error}", where=where, remedy="`ray start --head` there"
        ) from error


def room_of(threads: int, gpus: float) -> int:
    """Workers that would fit if nobody else used the cluster.

    Args:
        threads: CPUs of a worker.
        gpus: its GPUs.
    """

    def fit(resources: dict[str, float]) -> int:
        most = resources.get("GPU", 0.0) / gpus + 1e-9 if gpus else math.inf
        return int(min(resources.get("CPU", 0.0) // threads, most))

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return sum(fit(node["Resources"]) for node in nodes if node["Alive"])


def require_room(threads: int, gpus: float, patience: float) -> int:
    """Workers that would fit, as soon as any would.

    Args:
        threads: CPUs of a worker.
        gpus: its GPUs.
        patience: seconds that nodes have to join.

    Raises:
        UserError: if no node has room for a worker by then.
    """
    end = time.monotonic() + patience
    while (room := room_of(threads, gpus)) == 0 and time.monotonic() < end:
        time.sleep(1.0)
    if room == 0:
        also = f" and {gpus:g} GPUs" if gpus else ""
        raise UserError(
            f"no node of the Ray cluster has {threads} CPUs{also} for a worker",
            where="worker_gpus" if gpus else "address",
            remedy="`ray status` says what there is; another node, or fewer GPUs for a worker",
        )
    return room


def require_same(ours: Mapping[str, str], theirs: Mapping[str, str], address: str) -> None:
    """Checks that a node has the driver's versions.

    Args:
        ours: the driver's provenance.
        theirs: the node's.
        address: the node's.

    Raises:
        UserError: if results might differ there.
    """
    for name in SAME:
        if theirs[name] != ours[name]:
            raise UserError(
                f"a node runs {name} {theirs[name]}, and the driver {ours[name]}",
                where=f"node {address}",
                remedy="the same versions on every node: results are the same only where they are",
            )


def is_of_node(error: RayError) -> bool:
    """Whether the node is gone or out of reach, not the process alone."""
    told = ("its node has died", "the actor's node was")
    return isinstance(error, ActorUnavailableError | NodeDiedError) or any(
        text in str(error) for text in told
    )


def cause_of(error: RayError) -> str:
    """What Ray says of it, without what it advises."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(" Some common causes")[0] if lines else type(error).__name__
