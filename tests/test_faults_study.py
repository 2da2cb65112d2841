"""What a real study survives: damaged artefacts, odd images and weights, clocks that jump."""

import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from contragrad.engine import evaluations
from contragrad.engine.memo import SqliteMemo
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.fingerprint import file_fingerprint
from contragrad.jobs import entry, full_trainings, recipes, refine, run
from contragrad.jobs.recipes import UNDEFENDED
from contragrad.networks.training import DivergedError
from contragrad.run_folder.history import load
from contragrad.run_folder.notes import looks_of
from contragrad.watch.events import Ended, Event, Stage, nobody
from contragrad.watch.jsonlines import json_lines
from small_study import config_of, without_workers

Alone = tuple[Path, tuple[Row, ...]]


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        without_workers(patch)
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Alone:
    """A study that nothing disturbed, and its table."""
    place = tmp_path_factory.mktemp("alone")
    return place / "run", run.create(config_of(place), place / "run", nobody)


# Damaged artefacts.


def flipped(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


def cut_header(content: bytes) -> bytes:
    return content[:20]


def emptied(content: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("damage", [flipped, cut_header, emptied])
def test_every_artefact_that_is_damaged_is_found_and_made_again(
    damage: Callable[[bytes], bytes], alone: Alone, tmp_path: Path
) -> None:
    folder, rows = tmp_path / "run", alone[1]
    shutil.copytree(alone[0], folder)
    # Of a curve, which is lost, the training would have to be made again.
    for path in (folder / "artefacts").glob("curve-*"):
        path.write_bytes(damage(path.read_bytes()))
    paths = sorted(path for path in (folder / "artefacts").iterdir() if not path.name.startswith("curve-"))
    kinds = {path.name.partition("-")[0] for path in paths}
    assert kinds == {"splits", "network", "directions", "adversarial"}
    before = {path: file_fingerprint(path) for path in paths}
    for path in paths:
        path.write_bytes(damage(path.read_bytes()))
    with SqliteMemo(folder / "study.db") as memo:
        memo._connection.execute("delete from evaluation where rowid > 1")
    assert run.resume(folder, (), nobody) == rows
    assert {path: file_fingerprint(path) for path in paths} == before


def test_an_artefact_under_anothers_name_is_found_and_made_again(alone: Alone, tmp_path: Path) -> None:
    folder, rows = tmp_path / "run", alone[1]
    shutil.copytree(alone[0], folder)
    evolved, reference = (folder / row.weights for row in (rows[-1], rows[0]))
    before = file_fingerprint(evolved)
    shutil.copy(reference, evolved)
    assert run.resume(folder, (), nobody) == rows
    assert file_fingerprint(evolved) == before


# Odd numbers.


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_given_weights_that_are_not_finite_are_named_and_nothing_is_written(
    odd: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "odd_nets.py").write_text(
        "from torch import nn\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    weight = torch.zeros(10, 64)
    weight[3, 5] = odd
    save_file({"1.weight": weight, "1.bias": torch.zeros(10)}, tmp_path / "odd.safetensors")
    given = {"reference__factory": "odd_nets:make", "reference__weights": str(tmp_path / "odd.safetensors")}
    with pytest.raises(UserError, match=r"1\.weight have numbers that are not finite") as caught:
        run.create(config_of(tmp_path, **given), tmp_path / "run", nobody)
    assert "odd.safetensors" in caught.value.where
    assert not (tmp_path / "run").exists()


def test_a_reference_whose_training_diverges_is_named_and_leaves_no_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverge(*arguments: Any, **more: Any) -> None:
        raise DivergedError("the loss was not finite in epoch 1")

    monkeypatch.setattr(refine, "train_epoch", diverge)
    with pytest.raises(UserError, match="diverged") as caught:
        run.create(config_of(tmp_path), tmp_path / "run", nobody)
    assert caught.value.where == "reference"
    assert caught.value.remedy
    assert not list((tmp_path / "run" / "artefacts").glob("network-*"))


def test_images_of_one_shade_have_a_table_of_numbers(tmp_path: Path) -> None:
    labels = np.arange(40) % 4
    images = np.full((40, 8, 8), 77, np.uint8)
    data = tmp_path / "shade.npz"
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    rows = run.create(config_of(tmp_path, data__path=str(data)), tmp_path / "run", nobody)
    assert len(rows) == 5
    for row in rows:
        # The images say nothing of their classes; what was made of them by their labels may.
        assert row.clean_accuracy == 1 / 4
        assert 0 <= row.adversarial_accuracy <= 1
    text = (tmp_path / "run" / "table.json").read_text()
    json.loads(text, parse_constant=pytest.fail)


def test_a_study_that_ended_before_tables_had_an_ordinary_network_gets_its_row_by_no_second_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def older(*ended: Any) -> dict[str, recipes.Recipe]:
        return {name: each for name, each in recipes.main_job_of(*ended).items() if name != UNDEFENDED}

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(full_trainings, "main_job_of", older)
        rows = run.create(config_of(tmp_path), folder, nobody)
    assert UNDEFENDED not in {row.name for row in rows}
    assert run.resume(folder, (), nobody)[:-1] == rows
    with SqliteMemo(folder / "study.db") as memo:
        assert len(looks_of(memo)) == 1


def test_directions_are_made_for_an_objective_that_takes_them_alone(tmp_path: Path) -> None:
    made = {}
    for objective in ("gm", "fast-adversarial"):
        config = config_of(tmp_path, training__objective=objective)
        folder = tmp_path / objective
        dataset, workspace = entry.entered(config, folder, nobody)
        with run.opened(workspace, dataset, nobody) as (_, splits):
            run.make_shared(workspace, splits, nobody)
            made[objective] = len(list((folder / "artefacts").glob("directions-*")))
    assert made == {"gm": 1, "fast-adversarial": 0}


def test_test_images_of_one_class_are_told(alone: Alone, tmp_path: Path) -> None:
    with np.load(alone[0].parent / "digits.npz") as whole:
        arrays = dict(whole)
    arrays["x_test"], arrays["y_test"] = arrays["x_train"][:8], np.full(8, 3)
    data = tmp_path / "lonely.npz"
    np.savez(data, **arrays)
    told: list[Event] = []
    entry.entered(config_of(tmp_path, data__path=str(data)), tmp_path / "run", told.append)
    assert any("without test images" in str(event) or "no test image" in str(event) for event in told)


# Clocks.


class Jumping:
    """A clock that jumps a day back and forth with each look at it."""

    looks = 0

    @classmethod
    def now(cls, zone: Any = None) -> datetime:
        cls.looks += 1
        return datetime(2026, 11, 26, 12, tzinfo=zone or UTC) + timedelta(
            days=(-1) ** cls.looks, minutes=cls.looks
        )


def test_a_clock_that_jumps_a_day_changes_times_of_day_and_nothing_else(
    alone: Alone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluations, "datetime", Jumping)
    monkeypatch.setattr("time.time", lambda: Jumping.now().timestamp())
    lines = io.StringIO()
    told: list[Event] = []
    shown = json_lines(lines, lambda: Jumping.now(UTC))

    def watch(event: Event) -> None:
        told.append(event)
        shown(event)

    folder = tmp_path / "run"
    assert run.create(config_of(tmp_path), folder, watch) == alone[1]
    assert load(folder).state == load(alone[0]).state
    seconds = [event.seconds for event in told if isinstance(event, Ended)]
    assert seconds
    assert all(each is None or 0 <= each < 600 for each in seconds)
    with SqliteMemo(folder / "study.db", read_only=True) as memo:
        records = memo.records()
    assert all(0 <= record.seconds < 600 for record in records)
    times = [datetime.fromisoformat(record.provenance["finished"]) for record in records]
    assert times != sorted(times), "the clock did not jump"
    events = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [event["event"] for event in events if event["event"] == "stage"] == [
        "stage" for event in told if isinstance(event, Stage)
    ]
    numbers = [event["evaluation"] for event in events if event["event"] == "evaluation"]
    assert numbers == list(range(1, len(numbers) + 1))
    moments = [datetime.fromisoformat(event["time"]) for event in events]
    assert moments != sorted(moments), "the clock did not jump"


def test_nothing_is_measured_by_the_time_of_day() -> None:
    """`time.time` and the date are for people and for others' files; durations are of the monotonic clock."""
    source = Path(run.__file__).parent
    allowed = {
        "engine/evaluations.py",  # provenance
        "results.py",  # a run folder's name
        "page/write.py",  # when the page was written
        "watch/jsonlines.py",  # the time of each line
        "watch/mlflow.py",  # MLflow asks for it
        "engine/ray_files.py",  # which of the files on a node are old
    }
    users = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if "time.time(" in (text := path.read_text()) or "datetime.now(" in text
    }
    assert users <= allowed
