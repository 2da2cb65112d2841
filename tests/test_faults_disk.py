"""A full disk at every kind of write: it is named, nothing is lost, and with room the end is the same."""

import sqlite3
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import small_study
from contragrad.cli import main
from contragrad.errors import UserError
from contragrad.jobs import run
from contragrad.run_folder.history import load
from contragrad.settings import config_file
from contragrad.watch.events import Epoch, Event, Opened, Searching, Stage, nobody
from elsewhere import fill, small_disk
from small_study import config_of, without_workers
from test_run import call_here


def stage(begins: str) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Stage) and event.text.startswith(begins)


def epoch(name: str, number: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Epoch) and (event.name, event.epoch) == (name, number)


MOMENTS: tuple[tuple[str, Callable[[Event], bool], str], ...] = (
    ("the run folder", stage("reading the data"), "study.yaml"),
    ("the division of the data", lambda event: isinstance(event, Opened), "artefacts"),
    ("the reference's checkpoint", epoch("reference", 1), "artefacts"),
    ("the reference", epoch("reference", 2), "artefacts"),
    ("adversarial examples", stage("crafting"), "artefacts"),
    ("an evaluation", lambda event: isinstance(event, Searching), "study.db"),
    ("a network's checkpoint", epoch("NE+GM 1", 1), "artefacts"),
    ("test images", stage("measuring"), "artefacts"),
)
"""What is not written, when the disk fills, and the path that is named."""

CALLS = (("study.yaml", "note_origin", "study.yaml"), ("table.json", "note_look", "table.json"))
"""What is not written, the function of `run` before it, and the path that is named."""


def test_a_study_whose_disk_fills_at_each_kind_of_write_ends_as_one_that_had_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_workers(monkeypatch)
    config = config_of(tmp_path)
    alone = tmp_path / "alone"
    expected = run.create(config, alone, nobody)
    mount = tmp_path / "disk"
    mount.mkdir()
    with small_disk(mount, 65536) as disk:
        folder = disk / "run"

        def fails(what: str, where: str, full: Callable[[Event], bool]) -> None:
            def watch(event: Event) -> None:
                if full(event) and not (disk / "ballast").exists():
                    fill(disk)

            with pytest.raises(UserError) as caught:
                goes_on(folder, watch)
            assert caught.value.where == str(folder / where), what
            assert "full" in caught.value.what or "No space" in caught.value.what, what
            assert "room" in caught.value.remedy
            (disk / "ballast").unlink()
            unharmed(folder)

        def goes_on(folder: Path, watch: Callable[[Event], None]) -> tuple[Any, ...]:
            if folder.exists():
                return run.resume(folder, (), watch)
            return run.create(config, folder, watch)

        for what, full, where in MOMENTS:
            fails(what, where, full)
        for what, function, where in CALLS:
            real = getattr(run, function)

            def then_full(*arguments: Any, real: Callable[..., Any] = real) -> Any:
                found = real(*arguments)
                fill(disk)
                return found

            with monkeypatch.context() as patch:
                patch.setattr(run, function, then_full)
                fails(what, where, lambda event: False)
        assert goes_on(folder, nobody) == expected
        assert load(folder).state == load(alone).state
        assert load(folder).looks == 1
        assert names(folder) == names(alone)


def unharmed(folder: Path) -> None:
    """What is there is whole, and nothing half-written lies about."""
    assert not [name for name in names(folder.parent) if name.endswith(".tmp")]
    if folder.exists():
        config_file.read(folder / "study.yaml")
    if (folder / "study.db").exists():
        with sqlite3.connect(folder / "study.db") as database:
            assert database.execute("pragma integrity_check").fetchall() == [("ok",)]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a study that has ended."""
    place = tmp_path_factory.mktemp("ended")
    return small_study.ended(config_of(place), place / "run")


WRITERS: dict[str, tuple[tuple[str, ...], str]] = {
    "weights": (("export", "RUN", "--out", "DISK/out.safetensors"), "out.safetensors"),
    "onnx": (("export", "RUN", "--format", "onnx", "--out", "DISK/out.onnx"), "out.onnx"),
    "torch-export": (("export", "RUN", "--format", "torch-export", "--out", "DISK/out.pt2"), "out.pt2"),
    "python": (("export", "RUN", "--format", "python", "--out", "DISK/out.py"), "out.py"),
    "text": (("export", "RUN", "--format", "text", "--out", "DISK/out.txt"), "out.txt"),
    "page": (("report", "RUN", "--out", "DISK/out.html"), "out.html"),
    "data": (("data", "import", "RUN/../digits.npz", "--out", "DISK/out.npz"), "out.npz"),
}
"""Words of a command, and the file that it makes."""


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_on_a_full_disk_is_not_there_by_half(kind: str, ended: Path, tmp_path: Path) -> None:
    words, made = WRITERS[kind]
    with small_disk(tmp_path, 32768) as disk:
        called = [word.replace("RUN", str(ended)).replace("DISK", str(disk)) for word in words]
        ballast = fill(disk)
        if kind != "text":  # the others are begun in the room there is, and cannot be ended
            with ballast.open("r+b") as file:
                file.truncate(ballast.stat().st_size - 4096)
        done = call_here(*called)
        assert done.returncode == 2, done.stderr
        assert "No space" in done.stderr
        assert str(disk / "out") in done.stderr
        assert "try: free room" in done.stderr
        assert [path for path in disk.rglob("*") if path.is_file()] == [ballast]
        ballast.unlink()
        done = call_here(*called)
        assert done.returncode == 0, done.stderr
        assert (disk / made).stat().st_size > 0


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_standard_output_on_a_full_disk_is_named(
    more: tuple[str, ...], ended: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full, redirect_stdout(full):
        assert main(["show", str(ended), *more]) == 2
    said = capfd.readouterr().err
    assert said == (
        "contragrad: standard output cannot be written: No space left on device\n"
        "  try: free room, or another place for it\n"
    )
