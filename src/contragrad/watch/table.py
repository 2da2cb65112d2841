"""A scene as people watch it on a terminal: the candidates, what is in training, how long it still takes."""

from dataclasses import dataclass
from typing import Literal

from rich.console import Group, JustifyMethod, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from contragrad.evolution.genome import Genome
from contragrad.evolution.search import State
from contragrad.evolution.spectrum import spectrum
from contragrad.evolution.trial import Measured, Outcome
from contragrad.legible import legible
from contragrad.report import percent
from contragrad.watch.events import best_fitness, evaluations
from contragrad.watch.remaining import in_words, seconds_left
from contragrad.watch.scene import Running, Scene

SPECTRUM = ("conv", "pool", "stride", "sum", "cat")
"""Headings of a spectrum's five counts."""


@dataclass(frozen=True, slots=True)
class Screen:
    """What can be drawn on.

    Args:
        width: columns.
        height: lines; two thirds of them are drawn on, the others keep what was told last.
        unicode: whether it shows more than ASCII.
    """

    width: int
    height: int
    unicode: bool = True

    @property
    def lines(self) -> int:
        """Lines that are drawn on at most."""
        return max(2 * self.height // 3, 4)

    @property
    def bar(self) -> int:
        """Columns of a bar."""
        return min(max(self.width - 66, 6), 30)

    @property
    def genome_headings(self) -> tuple[str, ...]:
        """Above what `genome` gives."""
        return SPECTRUM[: 5 * (self.width >= 76)] + ("genome",) * (self.width >= 110)

    def genome(self, genome: Genome) -> tuple[str | Text, ...]:
        """As much of a genome as there is room for: its spectrum, and its text."""
        shown: list[str | Text] = [str(count) for count in spectrum(genome)]
        shown.append(self.text(str(genome)))
        return tuple(shown[: len(self.genome_headings)])

    @property
    def overflow(self) -> Literal["ellipsis", "crop"]:
        """What becomes of text that has no room."""
        return "ellipsis" if self.unicode else "crop"

    def text(self, content: str, style: str = "") -> Text:
        """Text that stays in one line, cut where there is no room."""
        return Text(legible(content), style=style, no_wrap=True, overflow=self.overflow)


def drawn(scene: Scene, now: float, screen: Screen) -> RenderableType:
    """What is drawn of a scene, now by its own clock."""
    if not scene.stage:
        return Group()
    parts: list[RenderableType] = [_headline(scene, now, screen)]
    room = screen.lines - 1
    if scene.running:
        shown = scene.running[: max(room - 1, 1)]
        parts.append(_trainings(shown, screen))
        room -= len(shown) + 1
    if scene.search is not None and scene.search.population and room > 1:
        parts.insert(1, _candidates(scene.search, screen, room - 1))
    return Group(*parts)


def _headline(scene: Scene, now: float, screen: Screen) -> Text:
    """One line: how long the stage still takes, and where it is; a narrow terminal shows its beginning."""
    left = seconds_left(scene, now)
    words = [
        in_words(left) if left is not None else "",
        scene.left if scene.search is None else _place(scene.search),
        "" if scene.running else f"for {now - scene.since:.0f} s: {scene.stage}",
    ]
    return screen.text("; ".join(filter(None, words)) or scene.stage, style="bold")


def _place(state: State) -> str:
    settings = state.settings
    generation = min(state.generation, settings.generations)
    where = f"generation {generation}/{settings.generations}" if generation else "initial candidates"
    best = f"; best fitness {percent(best_fitness(state))}" if state.population else ""
    return f"{where}; evaluation {state.step}/{evaluations(state)}{best}"


def _candidates(state: State, screen: Screen, room: int) -> Table:
    """The population by slot, the one whose children are made marked; the best, if not all have room."""
    table = _grid(screen, "candidate", "fitness", "clean", "adversarial", *screen.genome_headings)
    members = sorted(enumerate(state.population), key=lambda each: -each[1].outcome.fitness)
    for slot, member in sorted(members[:room], key=lambda each: each[0]):
        turn = state.generation > 0 and slot == state.slot and not state.finished
        genome = member.trial.genome
        table.add_row(
            f"> {slot + 1}" if turn else f"{slot + 1}",
            *_accuracies(member.outcome),
            *screen.genome(genome),
        )
    return table


def _trainings(running: tuple[Running, ...], screen: Screen) -> Table:
    """What runs: with its epochs and losses if it is training, and its spectrum if a search asked for it."""
    if not any(each.epochs for each in running):
        return _works(running, screen)
    losses = tuple(dict.fromkeys(name for each in running for name, _ in each.losses))
    headings = screen.genome_headings if any(each.trial for each in running) else ()
    table = _grid(screen, "in training", "", "epoch", *(name.replace("_", "-") for name in losses), *headings)
    table.columns[0].justify = "left"
    for each in running:
        known = dict(each.losses)
        table.add_row(
            screen.text(each.text),
            ProgressBar(each.epochs, each.epoch, screen.bar) if each.epochs else "",
            f"{each.epoch}/{each.epochs}" if each.epochs else "",
            *(f"{known[name]:.3f}" if name in known else "" for name in losses),
            *(screen.genome(each.trial.genome) if each.trial else [""] * len(headings)),
        )
    return table


def _works(running: tuple[Running, ...], screen: Screen) -> Table:
    table = _grid(screen, "at work")
    table.columns[0].justify = "left"
    for each in running:
        table.add_row(screen.text(each.text))
    return table


def _grid(screen: Screen, *headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for heading in headings:
        justify: JustifyMethod = "left" if heading == "genome" else "right"
        table.add_column(heading, justify=justify, no_wrap=True, overflow=screen.overflow)
    return table


def _accuracies(outcome: Outcome) -> tuple[str, str, str]:
    match outcome:
        case Measured(clean, adversarial):
            return percent(outcome.fitness), percent(clean), percent(adversarial)
        case _:
            return "none", "", ""
