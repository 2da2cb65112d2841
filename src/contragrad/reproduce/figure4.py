"""Figure 4: what the architectures are, over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.text import Text

from contragrad.evolution.genome import Genome
from contragrad.evolution.shapes import Problem
from contragrad.jobs.recipes import best
from contragrad.legible import legible
from contragrad.networks.architectures import HAND_ENGINEERED
from contragrad.pictures import draw
from contragrad.reproduce import experiment, remarks
from contragrad.reproduce.definition_file import read_figure
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.provenance import Content, told
from contragrad.reproduce.setups import Setup
from contragrad.watch.events import Watcher

FIGURE4 = read_figure("figure4")

TITLES = {
    "hand-engineered-a": "(a) hand-engineered, the reference of reduced data",
    "hand-engineered-b": "(b) hand-engineered",
}
"""What stands above those of the paper, its letter first."""


def architectures(setups: Sequence[Setup], watch: Watcher) -> dict[str, Genome]:
    """The hand-engineered networks and the last population of each seed, by name.

    Source: figure 4, appendix A.
    """
    drawn = {name: genome for name, genome in HAND_ENGINEERED.items() if name.startswith("hand-engineered")}
    for setup in setups:
        found = experiment.searched(setup, FIGURE4.experiment, watch)
        ranked = best(found.evolved, len(found.evolved))
        drawn |= {
            f"seed-{setup.seed}-evolved-{rank}": member.trial.genome
            for rank, member in enumerate(ranked, start=1)
        }
    return drawn


def pictures(drawn: Mapping[str, Genome], problem: Problem, folder: Path) -> None:
    """Writes the drawings into the folder, as SVG."""
    for name, genome in drawn.items():
        draw.architecture(genome, problem, folder / _file(name), title=_title(name))


def content(of: Sequence[Ground], drawn: Mapping[str, Genome], *, identity: str) -> Content:
    """The figure as plain JSON: what is drawn, by name."""
    return {
        "figure": FIGURE4.name,
        "identity": identity,
        **told(FIGURE4, of),
        "architectures": {name: str(genome) for name, genome in drawn.items()},
    }


def files(shown: Content) -> list[str]:
    """The drawings that belong to it."""
    return [_file(name) for name in shown["architectures"]]


def as_text(shown: Content) -> Text:
    """What is drawn, for people."""
    found = [
        remarks.heading(shown, shown["figure"]),
        *remarks.of_scale(shown),
        *(f"{_file(name)}: {genome}" for name, genome in shown["architectures"].items()),
        *remarks.lines(shown),
    ]
    return Text(legible("\n".join(found), lines=True))


def _title(name: str) -> str:
    """What stands above a drawing: the paper's letter, or the tables' row and seed."""
    match name.split("-"):
        case ["seed", seed, "evolved", rank]:
            return f"NE {rank}, seed {seed}"
        case _:
            return TITLES.get(name, name)


def _file(name: str) -> str:
    return f"figure4-{name}.svg"
