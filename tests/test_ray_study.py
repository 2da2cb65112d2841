"""A study on a Ray cluster is that of one process, whoever dies, and whatever workers see of its folder."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")

from ray.cluster_utils import Cluster

from clusters import cluster_of, descendants, kill_node, raylet
from contragrad.engine import ray_executor, ray_node, study
from contragrad.engine.executors import TRIES
from contragrad.engine.memo import DictMemo
from contragrad.engine.ray_executor import RayExecutor
from contragrad.engine.work import Work
from contragrad.evolution import search
from contragrad.evolution.trial import Trial
from contragrad.jobs import run
from contragrad.run_folder.workspace import DATABASE, TABLE
from contragrad.settings import config_file
from contragrad.watch.events import Epoch, Event, nobody
from performers import toy
from strategies import CIFAR, small_settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = config_file.read(
    None,
    [
        *("--device=cpu", "--data.source=digits", "--reference.epochs=1", "--seed=3"),
        *("--search.generations=1", "--search.epochs=2", "--search.channels=[8]", "--search.hidden=16"),
        *("--search.initial_blocks_max=8", "--search.limits.flops=300000"),
        *("--refine.epochs=2", "--refine.checkpoint_every=1"),
    ],
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def cluster(cache: Path) -> Iterator[Cluster]:
    with cluster_of(2, cache) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study in one process of this machine."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run.create(replace(SMALL, workers=1), folder, nobody)
    return folder


def outcomes(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        return dict(database.execute("select key, outcome from evaluation"))


def states(folder: Path) -> dict[str, str]:
    """Where the search stood after each step."""
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        return dict(database.execute("select key, content from meta where key like 'state %'"))


def require_same(folder: Path, whole: Path) -> None:
    """Every outcome, every state, the table and all weights, bit for bit."""
    known = outcomes(folder)
    assert {key: known[key] for key in outcomes(whole)} == outcomes(whole)
    assert states(folder) == states(whole)
    assert len(states(whole)) == 12
    assert (folder / TABLE).read_text() == (whole / TABLE).read_text()
    files = {path.name: path.read_bytes() for path in (whole / "artefacts").iterdir()}
    assert {path.name: path.read_bytes() for path in (folder / "artefacts").iterdir()} == files
    assert sum(name.startswith("network") for name in files) == 6


def workers_of(node: object) -> list[int]:
    """The processes on a node that evaluate."""
    return [pid for pid in descendants(raylet(node)) if b"spawn_main" in command(pid)]


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_the_driver_may_be_killed_and_another_goes_on(cluster: Cluster, whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = [f"--{key}={value}" for key, value in config_file.dotted(SMALL).items() if value is not None]
    words = [*words, "--executor=ray", f"--address={cluster.address}"]
    driver = subprocess.Popen(
        [sys.executable, "-m", "contragrad.cli", "evolve", "--out", str(folder), *words],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert driver.stderr is not None
    said = []
    while "[3/12]" not in (line := driver.stderr.readline()):
        said.append(line)
        assert line, "".join(said)
    assert any(map(workers_of, cluster.worker_nodes))
    driver.kill()
    driver.communicate()
    end = time.monotonic() + 60
    while any(map(workers_of, cluster.worker_nodes)):
        assert time.monotonic() < end, "workers outlive their driver"
        time.sleep(0.1)
    assert 3 <= len(outcomes(folder)) < 12
    run.resume(folder, ["--workers=2"], nobody)
    require_same(folder, whole)


def test_a_deadly_trial_is_given_up_with_its_genome_and_the_reason(cluster: Cluster) -> None:
    state = search.start(small_settings(population=3, children=2, generations=2), CIFAR, 1)
    trials: list[Trial] = []
    expected = state
    while not expected.finished:
        trials.append(search.ask(expected))
        expected = search.tell(expected, trials[-1], toy(trials[-1]))
    deadly = str(trials[1].genome)
    memo = DictMemo()
    work = Work("performers:toys_but", deadly)
    with closing(RayExecutor(work=work, workers=0, threads=1)) as executor:
        end = study.run(state, memo=memo, executor=executor, key_of=repr)
    assert end.finished
    record = memo.get(repr(trials[1]))
    assert record is not None
    assert deadly in record.task
    for said in (f"{TRIES} workers died", "node 127.0.0.", "SIGKILL"):
        assert said in str(record.outcome)


def test_workers_without_sight_that_die_and_a_node_that_is_lost_change_nothing(
    cluster: Cluster, cache: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sight = ray_node.Sight
    monkeypatch.setattr(ray_executor, "Sight", lambda folder, *mark: sight(Path("/nowhere"), *mark))
    losses: list[str] = []
    given_up = RayExecutor._given_up

    def noted(executor: RayExecutor, key: str, how: str) -> Iterator[object]:
        losses.append(how)
        return given_up(executor, key, how)

    monkeypatch.setattr(RayExecutor, "_given_up", noted)

    fates = [lambda: kill_workers(cluster), lambda: kill_node(cluster, busiest(cluster))]

    def watch(event: Event) -> None:
        if fates and isinstance(event, Epoch) and event.trial is not None:
            fates.pop(0)()

    folder = tmp_path / "run"
    run.create(replace(SMALL, executor="ray"), folder, watch)
    assert not fates
    assert any("SIGKILL" in how for how in losses)
    assert any("SIGKILL" not in how for how in losses), losses
    require_same(folder, whole)
    # Splits, directions and examples, each sent once.
    assert len(list(cache.glob("*.file"))) == 3


def kill_workers(cluster: Cluster) -> None:
    pids = [pid for node in cluster.worker_nodes for pid in workers_of(node)]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def busiest(cluster: Cluster) -> object:
    """A node with a worker on it."""
    return next(node for node in cluster.worker_nodes if workers_of(node))
