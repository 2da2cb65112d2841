"""Two drivers on one run folder, and workers without memory."""

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from contragrad.engine.executors import TRIES, Finished, GivenUp, Processes, Progressed
from contragrad.engine.lock import lock_folder
from contragrad.errors import UserError
from contragrad.files import new_folder
from contragrad.jobs import entry, run
from contragrad.reproduce import experiment
from contragrad.reproduce.definition import Experiment
from contragrad.watch.events import nobody
from elsewhere import in_another_process
from hungry import take_too_much, take_too_much_once
from performers import CALLS, Call
from reproductions import hold_all
from small_study import config_of, without_workers
from test_run import call_here


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_workers(patch)
        yield


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a study that has ended."""
    place = tmp_path_factory.mktemp("ended")
    run.create(config_of(place), place / "run", nobody)
    return place / "run"


def first_driver(folder: Path) -> subprocess.Popen[str]:
    process = in_another_process("keep_lock", folder)
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    return process


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_who_would_write_beside_another_driver_is_told_which_and_writes_nothing(ended: Path) -> None:
    with first_driver(ended) as process:
        before = contents(ended)
        for words in (("resume", ended), ("audit", ended, "--budget", "1")):
            done = call_here(*words)
            assert done.returncode == 2, done.stderr
            assert f'"pid": {process.pid}' in done.stderr
            assert json.dumps(socket.gethostname()) in done.stderr
            assert contents(ended) == before
        # These read what is whole, and write whole files of their own beside it.
        for words in (("show", ended), ("export", ended), ("report", ended)):
            assert call_here(*words).returncode == 0
        process.kill()
    assert call_here("resume", ended).returncode == 0


def test_a_table_is_not_made_in_a_folder_that_another_driver_works_on(tmp_path: Path) -> None:
    setup = hold_all(tmp_path / "data")
    name: Experiment = "reduced-data"
    config, folder = setup.config(name, None), setup.folder(name, None)
    entry.entered(config, folder, nobody)
    with first_driver(folder) as process:
        with (
            pytest.raises(UserError, match=f'"pid": {process.pid}'),
            experiment.opened(setup, name, None, nobody),
        ):
            pass
        process.kill()


def test_of_drivers_that_begin_at_the_same_moment_one_goes_on_and_the_others_name_it(tmp_path: Path) -> None:
    gate, done = threading.Barrier(4), threading.Barrier(4)
    won: list[int] = []
    refused: list[UserError] = []

    def begin(number: int) -> None:
        gate.wait()
        try:
            with lock_folder(tmp_path):
                won.append(number)
                done.wait()
        except UserError as error:
            refused.append(error)
            done.wait()

    for _ in range(20):
        won.clear()
        refused.clear()
        threads = [threading.Thread(target=begin, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert all('"pid": ' in error.what for error in refused)


def begin_second(path: Path) -> None:
    """Makes the folder while somebody else has just made it."""
    with new_folder(path) as mine:
        (mine / "study.yaml").write_text("mine")
        path.mkdir()
        (path / "study.yaml").write_text("theirs")


def test_a_run_folder_that_two_begin_is_the_firsts(tmp_path: Path) -> None:
    path = tmp_path / "run"
    with pytest.raises(UserError, match="somebody else has made the folder just now"):
        begin_second(path)
    assert (path / "study.yaml").read_text() == "theirs"
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


# Memory.


def end(executor: Processes) -> Finished | GivenUp:
    """What the task comes to."""
    while True:
        for event in executor.wait():
            assert not isinstance(event, Progressed)
            return event


def test_a_task_whose_worker_has_no_memory_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    with closing(Processes(CALLS, workers=1, threads=1)) as executor:
        executor.offer("always", Call(take_too_much, "numpy"))
        assert end(executor) == GivenUp("always", f"{TRIES} workers died, the last for lack of memory")
        executor.offer("once", Call(take_too_much_once, tmp_path / "begun"))
        found = end(executor)
        assert isinstance(found, Finished)
        assert found.result == {"survived": True}
