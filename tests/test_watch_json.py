"""A run for scripts, and many watchers as one."""

import io
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from contragrad import evaluate, extras
from contragrad.cli import main
from contragrad.engine.memo import DictMemo
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.fingerprint import Plain
from contragrad.jobs import run
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import (
    Begun,
    Ended,
    Epoch,
    Event,
    Idle,
    Opened,
    Planned,
    Results,
    Said,
    Stage,
    Watcher,
    Working,
)
from contragrad.watch.jsonlines import json_lines
from contragrad.watch.watching import together, watching
from watched import CONFIG, ROWS, TOTAL, rehearse

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


def written(*events: Event) -> list[dict[str, Any]]:
    file = io.StringIO()
    watch = json_lines(file, lambda: NOON)
    for event in events:
        watch(event)
    return [json.loads(line) for line in file.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("event", "content"),
    [
        (Opened(Path("runs/x"), CONFIG), {"event": "opened", "folder": "runs/x"}),
        (
            Stage("training", (Planned("k", "a [x]", 20),)),
            {
                "event": "stage",
                "text": "training",
                "trainings": [{"key": "k", "name": "a [x]", "epochs": 20}],
            },
        ),
        (
            Epoch("key", "a", 2, 20, (("cross_entropy", 0.5),)),
            {"event": "epoch", "key": "key", "name": "a", "epoch": 2, "epochs": 20, "cross_entropy": 0.5},
        ),
        (Begun("key", "a", 20), {"event": "begun", "key": "key", "name": "a", "epochs": 20}),
        (Working("key", "x"), {"event": "working", "key": "key", "text": "x"}),
        (Ended("key", 1.5), {"event": "ended", "key": "key", "seconds": 1.5, "text": ""}),
        (Said("λ\n"), {"event": "said", "text": "λ\n"}),
        (Idle(), {"event": "idle"}),
        (Results(ROWS), {"event": "table"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_event_is_an_object_of_its_own_kind(event: Event, content: dict[str, Plain]) -> None:
    (found,) = written(event)
    assert found["time"] == "2026-01-02T12:00:00.000+00:00"
    assert {key: found[key] for key in content} == content


def test_a_study_can_be_followed_by_its_lines(tmp_path: Path) -> None:
    events: list[Event] = []
    final = rehearse(tmp_path, events.append)
    found = written(*events)
    assert found[0]["settings"]["search.generations"] == 3
    told = [each for each in found if each["event"] == "evaluation"]
    assert [each["evaluation"] for each in told] == list(range(1, TOTAL + 1))
    assert {each["evaluations"] for each in told} == {TOTAL}
    assert [each["best_fitness"] for each in told] == sorted(each["best_fitness"] for each in told)
    assert told[-1]["best_fitness"] == max(member.outcome.fitness for member in final.population)
    assert any("replaces" in each["placement"] for each in told)
    for kind in ("begun", "epoch"):
        assert {each["genome"] for each in told} <= {
            each["genome"] for each in found if each["event"] == kind
        }


def test_the_last_line_is_the_table(tmp_path: Path) -> None:
    events: list[Event] = []
    rehearse(tmp_path, events.append)
    evaluate.write(ROWS, tmp_path / "table.json")
    assert written(*events)[-1]["table"] == json.loads((tmp_path / "table.json").read_text())


# The command.


def working(*got: Any) -> tuple[Row, ...]:
    """Stands for `run.create` and `run.resume`."""
    watch: Watcher = got[-1]
    watch(Opened(Path("here"), StudyConfig()))
    watch(Stage("working"))
    watch(Results(ROWS))
    return ROWS


@pytest.fixture
def worked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "create", working)
    monkeypatch.setattr(run, "resume", working)


@pytest.mark.usefixtures("worked")
@pytest.mark.parametrize("words", [["evolve"], ["demo"], ["resume", "here"]], ids=" ".join)
def test_json_is_all_there_is_on_standard_output(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["opened", "stage", "table"]
    assert "working" in err
    assert main(words) == 0
    assert "run folder" in capsys.readouterr().out


@pytest.mark.usefixtures("worked")
@pytest.mark.parametrize("words", [["evolve"], ["demo"], ["resume", "here"]], ids=" ".join)
@pytest.mark.parametrize(
    ("option", "package"), [(["--tensorboard"], "tensorboard"), (["--mlflow", "x"], "mlflow")]
)
def test_a_missing_package_is_told_before_anything_is_done(
    words: list[str],
    option: list[str],
    package: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    assert main([*words, *option]) == 2
    out, err = capsys.readouterr()
    assert f"pip install 'contragrad[{package}]'" in err
    assert "working" not in err
    assert not out


# Many watchers.


def test_everybody_is_told_everything_in_order() -> None:
    heard: list[tuple[str, Event]] = []

    def listener(name: str) -> Watcher:
        return lambda event: heard.append((name, event))

    watch = together(listener("console"), {"a": listener("a"), "b": listener("b")})
    for event in (Said("1"), Said("2")):
        watch(event)
    assert heard == [(name, Said(text)) for text in "12" for name in ("console", "a", "b")]


def test_a_watcher_that_fails_is_left_out_and_told_once() -> None:
    shown: list[Event] = []
    heard: list[Event] = []
    tries: list[Event] = []

    def fails(event: Event) -> None:
        tries.append(event)
        raise OSError(28, "No space left on device")

    watch = together(shown.append, {"--tensorboard": fails, "--json": heard.append})
    for event in (Said("1"), Said("2")):
        watch(event)
    left_out = Said("--tensorboard is left out from here on: [Errno 28] No space left on device")
    assert shown == [Said("1"), left_out, Said("2")]
    assert heard == [Said("1"), Said("2")]
    assert len(tries) == 1


def test_ctrl_c_is_no_failure_of_a_watcher() -> None:
    def interrupted(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        together(lambda event: None, {"a": interrupted})(Said("1"))


def test_a_reader_that_goes_away_does_not_stop_the_study(tmp_path: Path) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    page = io.StringIO()
    with watching(Console(file=page, width=200), json_to=Gone()) as watch:
        assert rehearse(tmp_path, watch, DictMemo()).finished
    assert page.getvalue().count("--json is left out from here on: [Errno 32] Broken pipe") == 1
    assert f"[{TOTAL}/{TOTAL}]" in page.getvalue()


def test_a_pipe_that_is_closed_does_not_fail_again_at_the_end() -> None:
    code = (
        "import sys; from contragrad.watch.jsonlines import json_lines\n"
        "from contragrad.watch.events import Said\n"
        "try: json_lines(sys.stdout)(Said('x'))\nexcept BrokenPipeError: sys.exit(7)"
    )
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (7, "")


def test_an_error_of_the_study_is_not_hidden() -> None:
    with pytest.raises(UserError), watching(Console(file=io.StringIO()), json_to=sys.stdout):
        raise UserError("it was wrong")
