"""A run as plain lines, and on a terminal: lines above a table that is drawn anew and cleared."""

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from contragrad.engine.study import Told
from contragrad.evolution.genome import parse
from contragrad.evolution.search import Member, State, ask, start, tell
from contragrad.evolution.trial import Infeasible, Measured, Outcome, Trial
from contragrad.settings.choices import Variation
from contragrad.watch import lines as plain
from contragrad.watch import live as drawing
from contragrad.watch.events import (
    Ended,
    Epoch,
    Event,
    Idle,
    Planned,
    Said,
    Searching,
    Stage,
    Watcher,
    Working,
)
from contragrad.watch.lines import lines
from contragrad.watch.live import display, live
from contragrad.watch.scene import Scene, advance
from contragrad.watch.table import Screen, drawn
from strategies import CIFAR, small_settings
from watched import rehearse


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(plain, "time", found)
    monkeypatch.setattr(drawing, "time", found)
    return found


def work(watch: Watcher, clock: Clock) -> None:
    """Something of everything that can be told, with text that looks like markup."""
    watch(Stage("training [bold]", (Planned("a", "a", 20), Planned("b", "b [/b]", 20)), workers=2))
    watch(Epoch("a", "a", 1, 20))
    clock.now += 65
    watch(Epoch("a", "a", 2, 20))
    watch(Epoch("b", "b [/b]", 1, 20))
    watch(Ended("a"))
    clock.now += 20
    watch(Epoch("b", "b [/b]", 5, 20))
    watch(Ended("b", 20.0, "trained b [/]"))
    watch(Stage("next :smile:"))
    clock.now += 20
    watch(Working("c", "at work on [c]"))
    watch(Ended("c"))
    watch(Said("the end"))


LINES = """\
  0:00  training [bold]
  1:05  running: 2 networks left; a epoch 2/20
  1:25  running: 1 network left; b [/b] epoch 5/20
  1:25  trained b [/]
  1:25  next :smile:
  1:45  running: at work on [c]
  1:45  the end
"""


def test_on_no_terminal_a_run_is_plain_lines(clock: Clock) -> None:
    file = io.StringIO()
    with display(Console(file=file, force_terminal=False, width=80)) as watch:
        work(watch, clock)
    assert file.getvalue() == LINES


@pytest.mark.parametrize("term", ["dumb", "unknown"])
def test_on_a_dumb_terminal_too(term: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    file = io.StringIO()
    with display(Console(file=file, force_terminal=True, color_system=None, width=80)) as watch:
        work(watch, clock)
    assert file.getvalue() == LINES


def test_a_line_is_as_long_as_it_is(clock: Clock) -> None:
    file = io.StringIO()
    with lines(Console(file=file, width=80)) as watch:
        watch(Said("word " * 60))
    assert len(file.getvalue().splitlines()) == 1


def test_a_new_stage_forgets_what_was_left(clock: Clock) -> None:
    file = io.StringIO()
    with lines(Console(file=file, width=80)) as watch:
        watch(Stage("one", (Planned("a", "a", 20),)))
        watch(Epoch("a", "a", 1, 20))
        watch(Stage("next"))
        clock.now += 60
        watch(Epoch("c", "c", 1, 20))
    assert file.getvalue().splitlines()[-1] == "  1:00  running: c epoch 1/20"


@pytest.mark.parametrize(("variation", "kind"), [("mutation", "evolving"), ("random", "random search")])
def test_a_search_is_called_what_it_is(variation: Variation, kind: str, clock: Clock) -> None:
    file = io.StringIO()
    with lines(Console(file=file, width=80)) as watch:
        watch(Searching(start(small_settings(variation=variation), CIFAR, 0), 1))
    assert file.getvalue()[8:].startswith(f"{kind}: ")


def test_a_search_is_told_line_by_line(clock: Clock, tmp_path: Path) -> None:
    file = io.StringIO()
    with lines(Console(file=file, width=80)) as watch:
        rehearse(tmp_path, watch)
    said = [line[8:] for line in file.getvalue().splitlines()]
    assert said[1] == "evolving: 3 candidates, 3 generations, 2 children each, 21 evaluations"
    told = [line for line in said if line.startswith("[")]
    assert [line.split("]")[0] for line in told] == [f"[{step}/21" for step in range(1, 22)]
    assert "; initial candidate 1; best fitness " in told[0]
    assert "; generation 3, candidate 3: " in told[-1]


def test_an_evaluation_in_a_line(clock: Clock) -> None:
    settings = small_settings(population=1)
    before = start(settings, CIFAR, 0)
    file = io.StringIO()
    with lines(Console(file=file, width=80)) as watch:
        watch(told(before, Measured(0.75, 0.5)))
        watch(told(before, Infeasible("too large [x]")))
    assert file.getvalue() == (
        "  0:00  [1/5] fitness 50.0 % (clean 75.0 %, adversarial 50.0 %); initial candidate 1; "
        "best fitness 50.0 %\n"
        "  0:00  [1/5] infeasible: too large [x]; initial candidate 1; best fitness 0.0 %\n"
    )


# On a terminal.


def test_an_idle_run_draws_nothing_so_that_others_can_print(clock: Clock) -> None:
    with terminal() as (console, written):
        with live(console) as watch:
            watch(Stage("working"))
            watch(Epoch("a", "a", 1, 20))
            watch(Idle())
            before = written()
            watch(Idle())
            assert "working" not in written()[len(before) :]
            watch(Stage("going on"))
        assert "going on" in written()[len(before) :]
    assert shown(searching(Stage("s"), Epoch("a", "a", 1, 20), Idle())) == []


@contextmanager
def terminal(width: int = 80, height: int = 24) -> Iterator[tuple[Console, Callable[[], str]]]:
    file = io.StringIO()
    yield (
        Console(file=file, force_terminal=True, color_system=None, width=width, height=height),
        file.getvalue,
    )


def test_on_a_terminal_lines_stay_and_the_table_is_cleared(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    with terminal() as (console, written):
        with display(console) as watch:
            work(watch, clock)
        text = written()
    assert "\x1b[?25l" in text, "the cursor is hidden while a table is drawn"
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    for line in LINES.splitlines():
        assert line in text or "running:" in line
    assert "running:" not in text


def test_the_cursor_is_back_when_the_work_fails(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")

    def fail(console: Console) -> None:
        with display(console) as watch:
            watch(Stage("working"))
            raise KeyboardInterrupt

    with terminal() as (console, written):
        with pytest.raises(KeyboardInterrupt):
            fail(console)
        assert written().rindex("\x1b[?25h") > written().rindex("\x1b[?25l")


def test_standard_output_is_left_alone_while_the_table_is_drawn(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with terminal() as (console, written):
        with live(console) as watch:
            watch(Stage("working"))
            print("data")
        assert capsys.readouterr().out == "data\n"
        assert "data" not in written()


def test_no_line_is_lost_however_the_table_grows_and_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "FRAMES", 2000.0)
    with terminal(height=30) as (console, written):
        with live(console) as watch:
            watch(Stage("working"))
            for number in range(150):
                for key in range(number % 7):
                    watch(Epoch(str(key), f"child {key}", 1, 20))
                watch(Said(f"line {number}"))
                for key in range(number % 5):
                    watch(Ended(str(key)))
        screen = left_on_screen(written())
    assert [row.split("line ")[1] for row in screen if "line " in row] == [str(n) for n in range(150)]
    assert len(screen) == 151


def left_on_screen(written: str) -> list[str]:
    """What a terminal with room for everything shows in the end."""
    rows, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if part == "\n":
            row += 1
            rows += [""] * (row == len(rows))
        elif part == "\x1b[2K":
            rows[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif part[0] not in "\x1b\r":
            rows[row] += part
    return [each.rstrip() for each in rows if each.strip()]


def test_a_long_line_is_broken_between_words_on_a_terminal(clock: Clock) -> None:
    with terminal(width=40) as (console, written):
        with live(console) as watch:
            watch(Said("an outcome with many words that has no room in a line"))
        text = written()
    assert "  0:00  an outcome with many words that" in text
    assert "\n        has no room in a line" in text


# The table.


def shown(scene: Scene, now: float = 0.0, **screen: int | bool) -> list[str]:
    """The lines that are drawn, without colours."""
    there = Screen(**{"width": 80, "height": 24, **screen})  # type: ignore[arg-type]
    file = io.StringIO()
    console = Console(file=file, width=there.width, height=there.height, color_system=None)
    console.print(drawn(scene, now, there))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def told(before: State, outcome: Outcome) -> Told:
    trial = ask(before)
    return Told(trial, outcome, before, tell(before, trial, outcome))


def searching(*events: Event) -> Scene:
    scene = Scene()
    for now, event in enumerate(events):
        scene = advance(scene, event, float(now))
    return scene


GENOMES = (
    parse("conv(8,3) conv(8,3) sum(1,2) pool(max,2) fc(4)"),
    parse("conv(8,3) strided(8,3) conv(8,3) cat(2,3) fc(4)"),
)


def two_candidates() -> Scene:
    settings = small_settings(population=2, children=2, generations=4)
    state = start(settings, CIFAR, 0)
    members = (
        Member(Trial(GENOMES[0], 20), Measured(0.875, 0.625)),
        Member(Trial(GENOMES[1], 20), Infeasible("diverged [x]")),
    )
    for _ in members:
        state = tell(state, Trial(state.initial[len(state.population)], 20), Measured(0.5, 0.5))
    state = replace(state, population=members, slot=1, generation=2, step=7)
    return searching(
        Searching(state, 2),
        Epoch("ab12cd34", "ab12cd", 5, 20, (("cross_entropy", 1.25),), Trial(GENOMES[1], 20)),
        Epoch("ef56ab78", "ef56ab", 20, 20, (("cross_entropy", 0.5),), Trial(GENOMES[0], 20)),
    )


AT_80 = """\
generation 2/4; evaluation 7/18; best fitness 62.5 %
candidate  fitness   clean  adversarial  conv  pool  stride  sum  cat
        1   62.5 %  87.5 %       62.5 %     2     1       0    1    0
      > 2     none                          2     0       1    0    1
in training                  epoch  cross-entropy  conv  pool  stride  sum  cat
ab12cd       ━━━╸             5/20          1.250     2     0       1    0    1
ef56ab       ━━━━━━━━━━━━━━  20/20          0.500     2     1       0    1    0
"""


def test_the_table_at_80_columns() -> None:
    assert "\n".join(shown(two_candidates())) + "\n" == AT_80


def test_a_wide_terminal_shows_genomes() -> None:
    text = shown(two_candidates(), width=160)
    assert [line.endswith(str(GENOMES[0])) for line in text] == [
        False,
        False,
        True,
        False,
        False,
        False,
        True,
    ]
    assert [line.endswith(str(GENOMES[1])) for line in text] == [
        False,
        False,
        False,
        True,
        False,
        True,
        False,
    ]
    assert all(len(line) <= 160 for line in text)


@pytest.mark.parametrize("width", [40, 60, 80, 110, 160])
@pytest.mark.parametrize("height", [6, 10, 24, 50])
def test_the_table_keeps_to_its_share_of_the_terminal(width: int, height: int) -> None:
    settings = small_settings(population=12, children=2, generations=4, minimum_distance=0.0)
    state = start(settings, CIFAR, 0)
    for slot in range(12):
        state = tell(state, ask(state), Measured(slot / 12, slot / 12))
    scene = searching(
        Searching(state, 9), *(Epoch(str(key), f"child {key}", 1, 20) for key in range(9)), Said("x")
    )
    text = shown(scene, width=width, height=height)
    assert len(text) <= max(2 * height // 3, 4)
    assert all(len(line) <= width for line in text)
    assert text[0].startswith("generation 1/4")
    assert any("child 0" in line for line in text)


def test_the_best_candidates_are_shown_where_not_all_have_room() -> None:
    settings = small_settings(population=12, children=2, generations=4, minimum_distance=0.0)
    state = start(settings, CIFAR, 0)
    for slot in range(12):
        state = tell(state, ask(state), Measured(1.0, (slot * 5 % 12) / 12))
    text = shown(searching(Searching(state, 1)), height=12)
    slots = [int(line.replace(">", " ").split()[0]) for line in text[2:]]
    assert slots == sorted(slots)
    best = sorted(range(12), key=lambda slot: -(slot * 5 % 12))[: len(slots)]
    assert {slot - 1 for slot in slots} == set(best)


@pytest.mark.parametrize("width", [40, 60, 80, 160])
def test_a_terminal_without_unicode_gets_none(width: int) -> None:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding="ascii")
    Console(file=file, width=width, color_system=None).print(
        drawn(two_candidates(), 0.0, Screen(width, 24, unicode=False))
    )
    file.flush()
    assert b"ab12cd" in raw.getvalue()


def test_trainings_in_full_have_their_names_and_how_long_it_takes() -> None:
    plan = (Planned("a", "hand-engineered+GM", 40), Planned("b", "NE+GM 1 [x]", 40))
    scene = advance(Scene(), Stage("training 2 networks in full, at most 40 epochs each", plan, 2), 0.0)
    assert shown(scene, 5.0) == [
        "2 networks left; for 5 s: training 2 networks in full, at most 40 epochs each"
    ]
    for now, epoch in ((10.0, 1), (70.0, 2)):
        scene = advance(scene, Epoch("a", "hand-engineered+GM", epoch, 40, (("cross_entropy", 0.5),)), now)
    first, _, row = shown(scene, 70.0)
    assert first == "about 40 min left; 2 networks left"
    assert row.split()[0] == "hand-engineered+GM"
    assert row.split()[-2:] == ["2/40", "0.500"]


def test_work_without_epochs_has_no_bar() -> None:
    scene = searching(Stage("attacking"), Working("white box", "white box: pgd on target [x]"))
    assert shown(scene) == ["attacking", "at work", "white box: pgd on target [x]"]
