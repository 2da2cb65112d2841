"""The command as it is typed: help, exit codes, what is printed where; tables as text."""

import io
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

import contragrad
from contragrad import evaluate
from contragrad.cli import COMMANDS, EXIT_USER_ERROR, main
from contragrad.errors import UserError
from contragrad.evaluate import Row
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member
from contragrad.evolution.trial import Infeasible, Measured, Trial
from contragrad.jobs import calibrate, run
from contragrad.report import accuracy_table, outcome_text, percent, population_table
from contragrad.reproduce import command
from contragrad.run_folder.workspace import CONFIGURATION, TABLE
from contragrad.settings import checks, config_file
from contragrad.settings.config import DataSettings, StudyConfig
from contragrad.settings.search import SearchSettings
from contragrad.studies import shipped
from contragrad.watch import watching
from contragrad.watch.events import Stage, nobody

ROWS = (
    Row(
        name="reference",
        clean_accuracy=0.875,
        adversarial_accuracy=0,
        clean_interval=(0.853, 0.894),
        adversarial_interval=(0, 0.004),
        parameters=1_234_567,
        images=1000,
        architecture="conv(4,3) fc(4)",
    ),
    Row(
        name="hand-engineered+GM",
        clean_accuracy=1,
        adversarial_accuracy=1,
        clean_interval=(0.996, 1),
        adversarial_interval=(0.996, 1),
        parameters=2_000_000,
        images=1000,
        architecture="conv(8,3) fc(4)",
    ),
)


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """As wide as a terminal is at least, or as a pipe is for rich."""
    monkeypatch.setenv("COLUMNS", "80")


def exits(words: Sequence[str | Path]) -> int:
    """The exit code, whether the command returns it or argparse exits with it."""
    try:
        return main([str(word) for word in words])
    except SystemExit as left:
        return int(left.code or 0)


# Help and wrong words.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--help"], ("demo", "evolve", "resume", "show", "--version")),
        (["demo", "--help"], ("--out",)),
        (["evolve", "--help"], ("--config", "--out", *(f"--{key} " for key in checks.kinds()))),
        (["evolve", "-h", "--seed", "1"], ("--search.limits.flops",)),
        (["resume", "--help"], ("run folder",)),
        (["show", "--help"], ("--json",)),
    ],
)
def test_help_names_everything(
    words: list[str], said: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits(words) == 0
    out, err = capsys.readouterr()
    assert not err
    for word in said:
        assert word in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits(["--version"]) == 0
    assert capsys.readouterr().out == f"contragrad {contragrad.__version__}\n"


def test_the_installed_command_is_this_one() -> None:
    (script,) = (entry for entry in entry_points(group="console_scripts") if entry.name == "contragrad")
    assert script.load() is main


def test_the_command_answers_without_loading_torch() -> None:
    code = "import sys; from contragrad.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    check = "assert 'torch' not in sys.modules and 'jsonargparse' not in sys.modules"
    subprocess.run([sys.executable, "-c", code + check], check=True, stdout=subprocess.DEVNULL)


def test_a_table_that_is_not_there_is_refused_without_loading_torch() -> None:
    code = "import sys; from contragrad.cli import main\nassert main(['reproduce', 'table8'])\n"
    found = subprocess.run(
        [sys.executable, "-c", code + "assert 'torch' not in sys.modules"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "there is no table8" in found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "COMMAND"),
        (["evolv"], "evolv"),
        (["--seed", "1", "evolve"], "COMMAND"),
        (["show"], "run"),
        (["resume"], "run"),
        (["show", "somewhere", "--jsn"], "--jsn"),
        (["show", "somewhere", "elsewhere"], "elsewhere"),
        (["show", "somewhere", "--js"], "--js"),
        (["demo", "--ou", "x"], "'ou'"),
        (["evolve", "--conf", "x"], "'conf'"),
        (["evolve", "--search.generatons", "3"], "search.generations"),
        (["evolve", "--seed"], "--seed"),
        (["evolve", "study.yaml"], "study.yaml"),
        (["evolve", "--config", "missing.yaml"], "missing.yaml"),
        (["evolve", "--config=missing.yaml"], "missing.yaml"),
        (["evolve", "--config", "one.yaml", "--config=two.yaml"], "one.yaml, two.yaml"),
        (["resume", "no [red]where"], "no [red]where"),
        (["show", "no [/where]"], "no [/where]"),
        (["resume", ""], "an empty path"),
    ],
)
def test_wrong_words_are_named_and_exit_with_2(
    words: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert exits(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert said in err
    assert not list(tmp_path.iterdir())


# What a study is made of. A real one takes long, and is run by test_run.py.


class Called:
    """Stands for `run.create` or `run.resume`: remembers what it got, and returns the table."""

    def __init__(self) -> None:
        self.got: Any = None

    def __call__(self, *got: Any) -> tuple[Row, ...]:
        *self.got, watch = got
        watch(Stage("working"))
        return ROWS


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Called:
    found = Called()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run, "create", found)
    monkeypatch.setattr(run, "resume", found)
    return found


def test_seeds_have_no_order_and_each_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[int]] = []

    def reproduce(what: str, setup: object, seeds: Sequence[int], *more: object, **beside: object) -> None:
        asked.append(seeds)

    monkeypatch.setattr("contragrad.reproduce.command.reproduce", reproduce)
    for seeds in ("2 0 1", "0 1 2", "1 1 0 2"):
        assert main(["reproduce", "table4", "--seeds", *seeds.split()]) == 0
    assert asked == [[0, 1, 2]] * 3


@pytest.mark.parametrize(
    "line",
    [
        "evolve --out=",
        "reproduce table4 --data=",
        "data import x --out=",
        "data check |",
        "resume |",
        "audit |",
        "audit model.onnx --data=",
        "audit model.onnx --reference-weights=",
    ],
)
def test_an_empty_path_is_refused_and_not_taken_for_the_folder_one_is_in(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([word.replace("|", "") for word in line.split()])
    assert caught.value.code == 2
    assert "an empty path" in capsys.readouterr().err


def test_options_override_the_study_file_wherever_they_stand(called: Called, tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("seed: 3\nworkers: 5\n")
    words = ["evolve", "--seed=4", "--config", "study.yaml", "--search.generations", "6", "--out", "here"]
    assert exits(words) == 0
    assert called.got == [StudyConfig(seed=4, workers=5, search=SearchSettings(generations=6)), Path("here")]


def test_the_folder_is_named_by_the_time_if_nobody_names_it(called: Called) -> None:
    assert exits(["evolve"]) == 0
    assert called.got[0] == StudyConfig()
    assert re.fullmatch(r"runs/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", called.got[1].as_posix())


def test_the_demo_is_the_shipped_study(called: Called) -> None:
    assert exits(["demo", "--workers", "1"]) == 0
    assert called.got == [
        replace(config_file.read(shipped.study("demo")), workers=1),
        Path("runs/demo"),
    ]


def test_resume_hands_its_options_on(called: Called) -> None:
    assert exits(["resume", "there", "--workers", "2"]) == 0
    assert called.got == [Path("there"), ["--workers", "2"]]


@pytest.mark.parametrize("name", ["plain", "with space", "[red]x", "[/x]", "ü", "a" * 100, ":smile:"])
def test_the_table_goes_to_stdout_with_the_folder_as_it_is_and_progress_to_stderr(
    name: str, called: Called, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exits(["evolve", "--out", name]) == 0
    out, err = capsys.readouterr()
    assert out.endswith(f"\nrun folder: {name}\n")
    assert "87.5 % [85.3, 89.4]" in out
    assert "working" in err
    assert "working" not in out


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (
            UserError("it was wrong", where="here", remedy="that"),
            2,
            "contragrad: it was wrong\n  at: here\n  try: that\n",
        ),
        (KeyboardInterrupt(), 130, "contragrad: interrupted\n"),
    ],
)
def test_errors_are_told_without_a_traceback(
    raised: BaseException,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fails(*_: object) -> None:
        raise raised

    monkeypatch.setattr(run, "create", fails)
    assert exits(["evolve", "--out", "x"]) == code
    out, err = capsys.readouterr()
    assert not out
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("words", "way_on"),
    [
        (("calibrate",), "; the same command goes on from here"),
        (("reproduce", "table4"), "; the same command goes on from here"),
        (("evolve",), "; `contragrad resume {}` goes on from here"),
        (("demo",), "; `contragrad resume {}` goes on from here"),
        (
            ("evolve", "--seed", "1", "--memo", "all.db", "--address=auto", "--executor", "ray"),
            "; `contragrad resume {} --memo all.db --address=auto --executor ray` goes on from here",
        ),
        (
            ("demo", "--tensorboard", "--mlflow", "https://me:secret@example.org/logs?all=1&of=them"),
            "; `contragrad resume {} --tensorboard --mlflow 'https://example.org/logs?all=1&of=them'` goes "
            "on from here",
        ),
    ],
)
def test_who_interrupts_is_told_the_command_that_goes_on(
    words: tuple[str, ...],
    way_on: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "create", interrupted)
    monkeypatch.setattr(watching, "watching", lambda *_, **__: nullcontext(nobody))
    monkeypatch.setattr(calibrate, "calibrate", interrupted)
    monkeypatch.setattr(command, "reproduce", interrupted)
    (tmp_path / CONFIGURATION).touch()
    assert exits([*words, "--out", str(tmp_path)]) == 130
    assert f"contragrad: interrupted{way_on.format(tmp_path)}\n" in capsys.readouterr().err


# Showing a run.


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run folder as it is before the first evaluation has ended."""
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)
    labels = np.arange(40) % 4
    np.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    folder = tmp_path / "run [x]"
    (folder / "artefacts").mkdir(parents=True)
    settings = DataSettings(source="npz", path=str(tmp_path / "data.npz"))
    config_file.write(StudyConfig(data=settings), folder / CONFIGURATION)
    return folder


def test_a_folder_that_holds_studies_is_told_from_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (10, 2, 1, 3, 4, 5):
        (tmp_path / f"round-{number}").mkdir()
        (tmp_path / f"round-{number}" / "study.yaml").touch()
    assert main(["show", str(tmp_path)]) == EXIT_USER_ERROR
    named = ", ".join(str(tmp_path / f"round-{number}") for number in range(1, 6))
    assert f"try: a study in it: {named} and 1 more" in capsys.readouterr().err


def test_a_command_that_makes_studies_says_where_their_settings_are_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for each in (each for each in COMMANDS if each.takes_settings and not each.own_help):
        with pytest.raises(SystemExit):
            main([each.name, "--help"])
        assert "contragrad evolve --help lists them" in " ".join(capsys.readouterr().out.split())


def test_show_on_a_folder_without_a_table(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits(["show", begun, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "finished": False,
        "test_looks": 0,
        "evaluated_elsewhere": 0,
        "history": [],
        "table": [],
    }
    assert exits(["show", begun]) == 0
    out, err = capsys.readouterr()
    assert "0 of 404 evaluations" in out
    assert "adversarial accuracy" not in out
    assert not err


def test_show_on_a_folder_with_a_table(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.write(ROWS, begun / TABLE)
    assert exits(["show", begun, "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    assert [row["name"] for row in table] == ["reference", "hand-engineered+GM"]
    assert table[0]["clean_interval"] == [0.853, 0.894]
    assert exits(["show", begun]) == 0
    assert "87.5 % [85.3, 89.4]" in capsys.readouterr().out


def test_show_needs_no_data(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (begun.parent / "data.npz").unlink()
    assert exits(["show", begun]) == 0
    assert "0 of 404 evaluations" in capsys.readouterr().out
    assert sorted(path.name for path in begun.iterdir()) == ["artefacts", "study.yaml"]


# Tables.


def printed(table: Table, width: int = 80) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(table)
    return file.getvalue()


DRAWN = """\
transfer
┏━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┓
┃ network   ┃      clean accuracy ┃ adversarial accuracy ┃ parameters ┃
┡━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━┩
│ reference │ 87.5 % [85.3, 89.4] │     0.0 % [0.0, 0.4] │  1,234,567 │
└───────────┴─────────────────────┴──────────────────────┴────────────┘
               test images: 1,000; 95 % Wilson intervals
"""


def test_the_accuracy_table_as_text() -> None:
    assert [line.rstrip() for line in printed(accuracy_table(ROWS[:1], "transfer")).splitlines()] == (
        DRAWN.splitlines()
    )


@pytest.mark.parametrize("width", [50, 80, 200])
def test_a_narrow_terminal_loses_no_digit_of_the_accuracy_table(width: int) -> None:
    text = printed(accuracy_table(ROWS, "transfer"), width)
    columns = zip(*(line.split("│")[1:-1] for line in text.splitlines() if "│" in line), strict=True)
    found = ["".join("".join(column).split()) for column in columns]
    assert found == [
        "referencehand-engineered+GM",
        "87.5%[85.3,89.4]100.0%[99.6,100.0]",
        "0.0%[0.0,0.4]100.0%[99.6,100.0]",
        "1,234,5672,000,000",
    ]


def test_percentages_have_one_decimal() -> None:
    assert [percent(share) for share in (0, 0.8749, 0.875, 1)] == ["0.0 %", "87.5 %", "87.5 %", "100.0 %"]


def test_outcomes_in_words() -> None:
    assert outcome_text(Measured(0.75, 0.5)) == "fitness 50.0 % (clean 75.0 %, adversarial 50.0 %)"
    assert outcome_text(Infeasible("too large [x]")) == "infeasible: too large [x]"


def test_the_population_table_shows_each_candidate() -> None:
    genome = parse("conv(8,3) pool(max,2) fc(4)")
    members = (
        Member(Trial(genome, 3), Measured(0.75, 0.5)),
        Member(Trial(genome, 3), Infeasible("too large [red]")),
    )
    text = printed(population_table(members), 200)
    assert "│ 1    │ fitness 50.0 %" in text
    assert "│ 2    │ infeasible: too large [red]" in text
    assert text.count("conv(8,3) pool(max,2) fc(4)") == 2
