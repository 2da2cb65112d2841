"""The studies behind the tables, opened: what is known, who does what is not, and what searches find."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial

from torch import nn

from contragrad.data.dataset import Splits
from contragrad.engine.executors import Executor
from contragrad.engine.memo import Memo
from contragrad.evolution.search import Member
from contragrad.jobs import entry, run, workers
from contragrad.jobs.coevolution import search_rounds
from contragrad.jobs.recipes import Found, Search
from contragrad.reproduce.definition import DataName, Experiment
from contragrad.reproduce.setups import EVOLVED_ON, Setup
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import StudyConfig
from contragrad.watch.events import Said, Watcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An open run folder.

    Args:
        workspace: the names of all in it.
        splits: its data.
        memo: what is known.
        executor: does what is not, once the reference was asked for.
        reference: gives the reference, after making it and all that evaluations share, if it has to be: who
            finds something unknown asks for it.
    """

    workspace: Workspace
    splits: Splits
    memo: Memo
    executor: Executor
    reference: Callable[[], nn.Module]


@contextmanager
def opened(
    setup: Setup,
    experiment: Experiment,
    data: DataName | None,
    watch: Watcher,
    *,
    epsilon: Fraction | None = None,
) -> Iterator[Place]:
    """A study's run folder, made if it is not there, with workers, until the block ends.

    Raises:
        UserError: for whatever in the settings or the data is wrong.
    """
    config = setup.config(experiment, data, epsilon)
    folder = setup.folder(experiment, data, epsilon)
    watch(Said(f"{experiment}, {data or EVOLVED_ON}, seed {setup.seed}: {folder}"))
    dataset, workspace = entry.entered(config, folder, watch)
    with run.opened(workspace, dataset, watch) as (memo, splits), workers.executor_of(workspace) as executor:
        # Once, but a failure is met again by who asks next.
        reference = cache(partial(run.make_shared, workspace, splits, watch))
        yield Place(workspace=workspace, splits=splits, memo=memo, executor=executor, reference=reference)


ROUNDS = 3
"""Of co-evolution, two of which are against surrogates."""


def searched(setup: Setup, experiment: Experiment, watch: Watcher, *others: Search) -> Found:
    """What the experiment's search finds, and the other searches that are asked for beside it."""
    with opened(setup, experiment, None, watch) as place:
        workspace = place.workspace
        found = Found(_population(place, workspace, watch))
        if "random" in others:
            settings = replace(workspace.config.search, variation="random")
            other = replace(workspace, config=replace(workspace.config, search=settings))
            found = replace(found, random=_population(place, other, watch))
    if "coevolved" in others:
        out = setup.folder(experiment, None)
        out = out.with_name(f"{out.name}-coevolved")
        config, final = search_rounds(in_rounds(setup.config(experiment, None)), ROUNDS, out, watch)
        found = replace(found, coevolved=final.population, joined=config.training.sources)
    return found


def _population(place: Place, workspace: Workspace, watch: Watcher) -> Sequence[Member]:
    """Where the search of the workspace's settings ends."""
    return run.evolve_unknown(workspace, place.memo, place.executor, watch, place.reference).population


def in_rounds(config: StudyConfig) -> StudyConfig:
    """The settings of a round of co-evolution, all of which have as many evaluations as the one search.

    They train for orthogonal gradients, as the networks that are made of what they find.
    """
    search = config.search
    a_generation = search.population * search.children
    evaluations = search.population + search.generations * a_generation
    generations = max(1, round((evaluations / ROUNDS - search.population) / a_generation))
    return replace(
        config,
        search=replace(search, generations=generations),
        training=replace(config.training, objective="orthogonal"),
    )
