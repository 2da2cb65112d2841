"""What workers on Ray need, and what is refused before there is a cluster; none is started here."""

import errno
import fcntl
import hashlib
import importlib.util
import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

import pytest

pytest.importorskip("ray", reason="the extra ray is not installed")

import ray

from contragrad.data.dataset import Splits
from contragrad.engine.executors import Event, Finished, Progressed
from contragrad.engine.ray_cluster import WithoutRay, connected
from contragrad.engine.ray_files import CACHE, KEPT_FOR, Cache, Parcel
from contragrad.engine.ray_node import Foreman, Job, Message, Sight
from contragrad.errors import UserError
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import Trial
from contragrad.jobs import entry, run, tasks
from contragrad.jobs.material import make_material
from contragrad.jobs.refine import FullTraining
from contragrad.run_folder.workspace import Workspace
from contragrad.settings import config_file
from contragrad.settings.choices import Objective, Source
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import nobody
from performers import CALLS

GENOME = "conv(4,3) pool(max,2) fc(4)"
TRIAL = Trial(parse(GENOME), 1, 0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Workspace, Splits]]:
    """A run folder whose search may begin."""
    config = config_file.read(
        None,
        ["--device=cpu", "--data.source=digits", "--data.train_per_class=20", "--reference.epochs=1"],
    )
    dataset, workspace = entry.entered(config, tmp_path_factory.mktemp("made") / "run", nobody)
    with run.opened(workspace, dataset, nobody) as (_, splits):
        run.make_shared(workspace, splits, nobody)
        yield workspace, splits


def training(objective: Objective, *sources: Source) -> FullTraining:
    return FullTraining(
        name="own", architecture=GENOME, objective=objective, epochs=2, seed=0, sources=sources or None
    )


@pytest.mark.parametrize(
    "task",
    [
        TRIAL,
        training("gm", "reference", "another-seed", "key"),
        training("fixed-adversarial+gm", "reference", "plain"),
        training("fixed-adversarial", "another-seed"),
        training("ensemble-adversarial"),
        training("cross-entropy"),
    ],
    ids=lambda task: getattr(task, "objective", "trial"),
)
def test_a_task_reads_and_makes_what_is_said_of_it(
    task: Trial | FullTraining, made: tuple[Workspace, Splits], tmp_path: Path
) -> None:
    workspace, splits = made
    if isinstance(task, FullTraining):
        make_material(workspace, splits, [task], nobody)
    reads, makes = tasks.reads(task, workspace), tasks.makes(task, workspace)
    for name in reads:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(workspace.folder / name, tmp_path / name)
    result = tasks.prepare(workspace, tmp_path)(task, lambda message: None)
    assert result == {} if isinstance(task, FullTraining) else "clean_accuracy" in result
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")}
    assert found - set(makes) == set(reads)
    # A training leaves the weights and its curve.
    assert len(found) == len(reads) + 2 * isinstance(task, FullTraining)


def parcel(content: bytes) -> Parcel:
    return Parcel(hashlib.sha256(content).hexdigest(), (content[:3], content[3:]))  # type: ignore[arg-type]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The chunks that were fetched from an object store, which is none."""
    chunks: list[bytes] = []

    def get(chunk: bytes) -> bytes:
        chunks.append(chunk)
        return chunk

    monkeypatch.setattr(ray, "get", get)
    return chunks


def test_a_node_is_sent_a_file_once(fetched: list[bytes], tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "file", tmp_path / "other" / "file"
    cache = Cache(tmp_path)
    for target in (one, other, one):
        cache.place(parcel(b"content"), target)
    assert one.read_bytes() == other.read_bytes() == b"content"
    assert fetched == [b"con", b"tent"]
    cache.place(parcel(b"another"), one)
    assert (one.read_bytes(), other.read_bytes()) == (b"another", b"content")


def test_a_damaged_file_is_fetched_again(fetched: list[bytes], tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.place(parcel(b"content"), tmp_path / "one" / "file")
    [kept] = tmp_path.glob("*.file")
    kept.write_bytes(b"contenx")
    cache.place(parcel(b"content"), tmp_path / "other" / "file")
    assert (tmp_path / "other" / "file").read_bytes() == b"content"
    assert len(fetched) == 4


def test_what_was_not_used_for_long_is_removed(fetched: list[bytes], tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.place(parcel(b"content"), tmp_path / "one" / "file")
    [old] = tmp_path.glob("*.file")
    os.utime(old, (0, time.time() - KEPT_FOR - 1))
    (tmp_path / f".{old.name}.1.tmp").touch()
    cache.place(parcel(b"another"), tmp_path / "other" / "file")
    [kept] = tmp_path.glob("*.file")
    assert kept.read_bytes() == b"another"
    assert {path.name for path in tmp_path.iterdir()} == {"one", "other", "lock", kept.name}


def test_the_folder_of_a_worker_that_is_gone_is_removed(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    gone, lock = cache.claim()
    (gone / "file").touch()
    there, held = cache.claim()
    assert gone.exists()
    lock.close()
    orphan = tmp_path / "worker-killed-before-it-had-a-lock"
    orphan.mkdir()
    with held, cache.claim()[1]:
        assert not gone.exists()
        assert not orphan.exists()
        assert there.exists()
        assert len(list(tmp_path.glob("worker-*"))) == 4


def test_a_new_folder_is_not_swept_before_it_is_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache, lock_file = Cache(tmp_path), fcntl.flock
    others: list[threading.Thread] = []

    def flock(file: IO[bytes], operation: int) -> None:
        if operation == fcntl.LOCK_EX and Path(file.name).suffix == ".worker" and not others:
            others.append(threading.Thread(target=lambda: cache.claim()[1].close()))
            others[0].start()
            others[0].join(0.5)
        lock_file(file, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    folder, held = cache.claim()
    others[0].join()
    with held:
        assert folder.exists()


@pytest.fixture
def foreman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Foreman]:
    """One who does not see the run folder."""
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    foreman = Foreman(pickle.dumps(CALLS), (), 1, Sight(tmp_path, "mark", "not this"))
    with foreman._lock:
        yield foreman


def test_a_full_disk_of_a_node_is_named(
    foreman: Foreman, fetched: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Job("task", b"", reads=("read",))
    assert list(foreman.perform(job, {})) == [("lacking", ("read",))]

    def full(file: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    begun, (kind, (what, where, remedy)) = foreman.perform(job, {"read": parcel(b"content")})
    assert begun == ("begun", None)
    assert kind == "user error"
    assert os.strerror(errno.ENOSPC) in what
    assert str(tmp_path / "cache") in where
    assert os.uname().nodename in where
    assert CACHE in remedy
    assert not list(tmp_path.glob("cache/*.file")) + list(tmp_path.glob("cache/.*"))


def test_a_checkpoint_may_be_removed_while_it_is_looked_at(
    foreman: Foreman, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = foreman._folder / "checkpoint"
    result = Finished("task", {"made": "network"}, 1.0)
    events: list[Event] = [Progressed("task", {"epoch": 1}), Progressed("task", {"epoch": 2}), result]

    class Workers:
        def offer(self, key: str, task: object) -> None:
            pass

        def wait(self) -> list[Event]:
            event = events.pop(0)
            checkpoint.unlink(missing_ok=True)
            if isinstance(event, Progressed):
                checkpoint.write_text(str(event.message["epoch"]))
            return [event]

    read = Path.read_bytes

    def read_late(path: Path) -> bytes:
        if path == checkpoint and checkpoint.read_text() == "2":
            checkpoint.unlink()
        return read(path)

    monkeypatch.setattr(foreman, "_workers", Workers())
    monkeypatch.setattr(Path, "read_bytes", read_late)
    said: list[Message] = list(foreman.perform(Job("task", b"", makes=("checkpoint",)), {}))
    *others, (kind, finished) = said
    assert others == [
        ("begun", None),
        ("file", ("checkpoint", b"1")),
        ("progress", {"epoch": 1}),
        ("progress", {"epoch": 2}),
        ("kept", ()),
    ]
    assert (kind, finished.result) == ("result", result.result)


def test_results_stay_on_standard_output_and_what_ray_tells_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with redirect_stdout(cast(IO[str], WithoutRay(sys.stdout))):
        print("a result", flush=True)
        told = threading.Thread(target=print, args=("a loss",), name="ray_listen_error_messages")
        told.start()
        told.join()
    assert capsys.readouterr() == ("a result\n", "a loss\n")


def test_a_folder_is_known_by_its_content_not_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("this")
    assert Sight(tmp_path, "mark", "this").holds()
    assert not Sight(tmp_path, "mark", "that").holds()
    assert not Sight(tmp_path / "nowhere", "mark", "this").holds()


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "127.0.0.1:1", "127.0.0.1:70000", "nonsense"])
def test_an_address_of_no_cluster_is_refused_soon(address: str) -> None:
    with pytest.raises(UserError, match="Ray cluster") as caught, connected(address, 1):
        pass
    assert caught.value.where == f"address: {address}"


def test_that_ray_is_missing_is_told_before_the_data_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    config = replace(StudyConfig(), executor="ray", data=replace(StudyConfig().data, path="nowhere"))
    monkeypatch.setattr("contragrad.extras.find_spec", lambda name: None if name == "ray" else importlib.util)
    with pytest.raises(UserError) as caught:
        entry.open_data(config, Path("run"))
    assert "contragrad[ray]" in caught.value.remedy
