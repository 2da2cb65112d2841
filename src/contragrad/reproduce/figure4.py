"""Figure 4: what the architectures are, over seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from contragrad.evolution.genome import Genome
from contragrad.evolution.shapes import Problem
from contragrad.jobs.recipes import best
from contragrad.pictures import draw
from contragrad.reference import HAND_ENGINEERED
from contragrad.reproduce import experiment
from contragrad.reproduce.definition_file import read_figure
from contragrad.reproduce.experiment import Setup
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


def pictures(drawn: Mapping[str, Genome], problem: Problem, folder: Path) -> list[Path]:
    """Writes the drawings into the folder, as SVG."""
    paths = {name: folder / f"figure4-{name}.svg" for name in drawn}
    for name, genome in drawn.items():
        draw.architecture(genome, problem, paths[name], title=name)
    return list(paths.values())
