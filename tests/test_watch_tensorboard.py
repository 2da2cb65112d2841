"""Event files as TensorBoard reads them: each step once, whatever was interrupted."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contragrad.engine.memo import DictMemo
from contragrad.engine.study import Told
from contragrad.evolution.trial import Measured
from contragrad.run_folder.history import placement
from contragrad.watch.events import Ended, Epoch, Event, Opened
from contragrad.watch.scalars import scalars
from watched import CONFIG, TOTAL, KilledError, Rehearsal, rehearse

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.summary.writer import event_file_writer

from contragrad.watch.tensorboard import LONGEST, tensorboard


@pytest.fixture(autouse=True, scope="module")
def later() -> Iterator[None]:
    """Files are named by the second, and read by name; sessions are further apart than here."""
    seconds = itertools.count(1_800_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(event_file_writer, "time", SimpleNamespace(time=lambda: next(seconds)))
        yield


Curves = dict[str, list[tuple[int, float]]]


def curves(folder: Path) -> Curves:
    """Every curve of a folder, as the library that TensorBoard reads with has it."""
    read = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    read.Reload()
    return {tag: [(each.step, each.value) for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def watched(folder: Path, memo: DictMemo, waits: int | None = None, *, generations: int = 3) -> list[Event]:
    """A session of a study, killed after so many epochs, with its event files; what was told."""
    told: list[Event] = []
    files = tensorboard()

    def watch(event: Event) -> None:
        told.append(event)
        files(event)

    config = replace(CONFIG, search=replace(CONFIG.search, generations=generations))
    with suppress(KilledError):
        rehearse(folder, watch, memo, Rehearsal(slots=2, waits=waits), config)
    return told


def test_a_search_as_curves(tmp_path: Path) -> None:
    told = [each for each in watched(tmp_path, DictMemo()) if isinstance(each, Told)]
    found = curves(tmp_path / "tensorboard" / "search")
    steps = list(range(1, TOTAL + 1))
    assert [step for step, _ in found["fitness/best"]] == steps
    assert [step for step, _ in found["fitness/mean"]] == steps
    for name in ("fitness/best", "fitness/mean", "candidate/1"):
        expected = [pytest.approx(scalars(each)[name]) for each in told]
        assert [value for _, value in found[name]] == expected
    assert [step for step, _ in found["candidate/3"]] == steps[2:]
    measured = [each.after.step for each in told if isinstance(each.outcome, Measured)]
    assert 0 < len(measured) < TOTAL
    assert [step for step, _ in found["child/adversarial_accuracy"]] == measured
    replaced = [each.after.step for each in told if "replaces" in placement(each)]
    assert replaced
    assert [step for step, value in found["child/replaces"] if value] == replaced


def test_each_child_has_its_curve(tmp_path: Path) -> None:
    told = watched(tmp_path, DictMemo())
    keys = {each.key for each in told if isinstance(each, Epoch)}
    folders = list((tmp_path / "tensorboard" / "children").iterdir())
    assert {folder.name for folder in folders} == {key[:12] for key in keys}
    for folder in folders:
        assert curves(folder) == {"cross_entropy": [(1, 1.0), (2, 0.5)]}


@settings(max_examples=4, deadline=None)
@given(waits=st.lists(st.integers(0, 9), max_size=4))
def test_kills_and_resumes_leave_each_step_once(
    whole: dict[str, Curves], waits: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder, memo = tmp_path_factory.mktemp("run"), DictMemo()
    for count in waits:
        watched(folder, memo, count)
    watched(folder, memo)
    assert everything(folder) == whole


def test_a_study_that_is_lengthened_has_the_curves_of_the_longer_one(
    whole: dict[str, Curves], tmp_path: Path
) -> None:
    memo = DictMemo()
    watched(tmp_path, memo, generations=1)
    watched(tmp_path, memo)
    assert everything(tmp_path) == whole


def everything(folder: Path) -> dict[str, Curves]:
    root = folder / "tensorboard"
    parts = {path.parent for path in root.rglob("events.out.*")}
    return {str(part.relative_to(root)): curves(part) for part in parts}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Curves]:
    folder = tmp_path_factory.mktemp("whole")
    watched(folder, DictMemo())
    return everything(folder)


def test_a_full_training_that_goes_on_from_a_checkpoint_keeps_the_epochs_before_it(tmp_path: Path) -> None:
    for epochs in (range(1, 8), range(6, 11)):
        watch = tensorboard()
        watch(Opened(tmp_path, CONFIG))
        for epoch in epochs:
            watch(Epoch("key", "NE+GM 1", epoch, 10, (("cross_entropy", 100 * len(epochs) + epoch),)))
        if epochs[-1] == 10:
            watch(Ended("key"))
    found = curves(tmp_path / "tensorboard" / "networks" / "NE+GM 1")
    assert found == {
        "cross_entropy": [(n, 700 + n) for n in range(1, 6)] + [(n, 500 + n) for n in range(6, 11)]
    }


def test_a_training_whose_worker_died_has_each_epoch_once(tmp_path: Path) -> None:
    watch = tensorboard()
    watch(Opened(tmp_path, CONFIG))
    for place, epoch in enumerate((1, 2, 3, 1, 2)):
        watch(Epoch("key", "a", epoch, 10, (("cross_entropy", float(place)),)))
    assert curves(tmp_path / "tensorboard" / "networks" / "a") == {"cross_entropy": [(1, 3.0), (2, 4.0)]}


def test_surrogates_with_long_genomes_have_folders_of_their_own(tmp_path: Path) -> None:
    files = tensorboard()
    files(Opened(tmp_path, CONFIG))
    genome = " ".join(["conv(128,3)"] * 25)
    for key, hidden in (("a" * 20, 64), ("b" * 20, 128)):
        files(Epoch(key, f"surrogate {genome} fc({hidden})", 1, 2, (("cross_entropy", hidden),)))
    files(Epoch("c" * 20, "surrogate conv(4,3) fc(8)", 1, 2, (("cross_entropy", 1.0),)))
    folder = tmp_path / "tensorboard" / "networks"
    cut = genome[: LONGEST // 4 - len("surrogate ")]
    expected = {"surrogate conv(4,3) fc(8)", *(f"surrogate {cut}... {letter * 12}" for letter in "ab")}
    assert {path.name for path in folder.iterdir()} == expected
    assert curves(folder / f"surrogate {cut}... {'b' * 12}") == {"cross_entropy": [(1, 128)]}


def test_what_was_told_is_on_disk_at_once(tmp_path: Path) -> None:
    """Whoever kills the driver loses nothing, for nothing is closed."""
    watch = tensorboard()
    watch(Opened(tmp_path, CONFIG))
    watch(Epoch("key", "reference", 1, 10, (("cross_entropy", 2.0),)))
    assert curves(tmp_path / "tensorboard" / "networks" / "reference") == {"cross_entropy": [(1, 2.0)]}
