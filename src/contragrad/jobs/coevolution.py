"""Studies one after another, each against what an attacker could make of the one before.

After a round a surrogate of its best network's architecture, trained by the recipe itself, joins the sources,
and the next begins with the candidates that stand. A round is a study like any other, in its own folder.
"""

import os
import shutil
from dataclasses import replace
from functools import partial
from math import isinf
from pathlib import Path

from contragrad import evaluate
from contragrad.data.dataset import Dataset
from contragrad.errors import UserError
from contragrad.evolution.search import State
from contragrad.jobs import entry, run, workers
from contragrad.jobs.recipes import best
from contragrad.networks.objectives import OBJECTIVES
from contragrad.run_folder.workspace import CONFIGURATION, TABLE, Workspace
from contragrad.settings import config_file
from contragrad.settings.choices import surrogate_of
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import Said, Watcher


def coevolve(config: StudyConfig, rounds: int, out: Path, watch: Watcher) -> tuple[evaluate.Row, ...]:
    """Runs the rounds that are not there yet, and returns the last one's table.

    Test images are looked at in the last round alone, unless the fitness is measured on them.

    Args:
        config: the first round's settings.
        rounds: how many there are, 1 or more.
        out: the folder that holds theirs, `round-1` and so on.
        watch: who is told.

    Raises:
        UserError: for whatever in the settings or the data is wrong; if a round found no network that could
            be trained, or one before the last was measured on the test images.
    """
    if rounds > 1:
        config = following(*search_rounds(config, rounds - 1, out, watch))
    entry.require_deployable(config)
    return run.complete(*_entered(config, rounds, out, watch), watch)


def search_rounds(config: StudyConfig, rounds: int, out: Path, watch: Watcher) -> tuple[StudyConfig, State]:
    """Runs the searches of the rounds; gives the last one's settings, and where it ended.

    Raises:
        UserError: as `coevolve`.
    """
    for number in range(1, rounds + 1):
        workspace, dataset = _entered(config, number, out, watch)
        if (table := workspace.folder / TABLE).exists():
            raise UserError(
                f"{number} rounds were planned before the test images were looked at",
                where=str(table),
                remedy=f"--rounds {number}, or another --out",
            )
        with (
            run.opened(workspace, dataset, watch) as (memo, splits),
            workers.executor_of(workspace) as executor,
        ):
            make = partial(run.make_shared, workspace, splits, watch)
            final = run.evolve_unknown(workspace, memo, executor, watch, make)
        if number < rounds:
            config = following(config, final)
    return config, final


def _entered(config: StudyConfig, number: int, out: Path, watch: Watcher) -> tuple[Workspace, Dataset]:
    _require_sources(config)
    if (out / CONFIGURATION).exists():
        raise UserError(
            "this is a study's own folder",
            where=str(out),
            remedy="another --out: rounds lie in it side by side",
        )
    if (out / f"round-{number + 1}").exists():
        _require_generations(config, out / f"round-{number}" / CONFIGURATION)
    dataset, workspace = entry.entered(config, out / f"round-{number}", watch)
    _adopt(workspace, out / f"round-{number - 1}")
    watch(Said(f"round {number}, against {', '.join(config.training.sources)}"))
    return workspace, dataset


def following(config: StudyConfig, final: State) -> StudyConfig:
    """The settings of the round after the one that ended so.

    Raises:
        UserError: if none of its networks could be trained.
    """
    (winner,) = best(final.population, 1)
    if isinf(winner.outcome.fitness):
        raise UserError(
            f"no candidate could be trained: {winner.outcome}", where="search", remedy="wider search.limits"
        )
    sources = config.training.sources
    keys = sources[-1:] if sources[-1] == "key" else ()
    joined = (*sources[: len(sources) - len(keys)], surrogate_of(str(winner.trial.genome)), *keys)
    standing = tuple(str(member.trial.genome) for member in final.population)
    return replace(
        config,
        training=replace(config.training, sources=joined),
        search=replace(config.search, initial=standing),
    )


def _require_sources(config: StudyConfig) -> None:
    if not OBJECTIVES[config.training.objective].takes_sources:
        raise UserError(
            f"{config.training.objective} is trained against no source that could join",
            where="training.objective",
            remedy=", ".join(name for name, parts in OBJECTIVES.items() if parts.takes_sources),
        )


def _require_generations(config: StudyConfig, study_file: Path) -> None:
    """A round that another follows from stays as long as it was, or the next would follow from nothing."""
    had = config_file.read(study_file).search.generations
    if config.search.generations != had:
        raise UserError(
            f"a later round follows from {had} generations of this one",
            where=f"search.generations, {study_file}",
            remedy=f"{had}, or another --out",
        )


def _adopt(workspace: Workspace, before: Path) -> None:
    """Takes over what the round before has made and this one names likewise: splits, networks, examples."""
    there = workspace.artefacts.folder
    there.mkdir(exist_ok=True)
    for made in (before / "artefacts").glob("*.safetensors"):
        own = there / made.name
        if own.exists() or made.name.startswith("checkpoint-"):
            continue
        try:
            os.link(made, own)
        except OSError:  # another file system, or one without links
            shutil.copy2(made, own)
