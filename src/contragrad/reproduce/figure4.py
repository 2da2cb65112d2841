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
from contragrad.reproduce import experiment, provenance
from contragrad.reproduce.definition_file import read_figure
from contragrad.reproduce.experiment import Setup
from contragrad.reproduce.grounds import Ground
from contragrad.reproduce.provenance import Content, told
from contragrad.watch.events import Watcher

FIGURE4 = read_figure("figure4")


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
        draw.architecture(genome, problem, folder / _file(name), title=name)


def content(of: Sequence[Ground], drawn: Mapping[str, Genome], *, identity: str) -> Content:
    """The figure as plain JSON: what is drawn, by name."""
    return {
        "figure": FIGURE4.name,
        "identity": identity,
        **told(FIGURE4, of),
        "architectures": {name: str(genome) for name, genome in drawn.items()},
    }


def as_text(shown: Content) -> Text:
    """What is drawn, for people."""
    found = [
        f"{shown['figure']}, scale {shown['scale']}: {shown['title']}",
        *(f"{_file(name)}: {genome}" for name, genome in shown["architectures"].items()),
        *provenance.lines(shown),
    ]
    return Text(legible("\n".join(found), lines=True))


def _file(name: str) -> str:
    return f"figure4-{name}.svg"
