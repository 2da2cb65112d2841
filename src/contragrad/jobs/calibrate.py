"""Which λ a data set wants: initial candidates trained with each, measured as their fitness is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from rich.table import Table

from contragrad.engine import executors, study
from contragrad.engine.memo import Memo
from contragrad.errors import UserError
from contragrad.evolution import search
from contragrad.evolution.trial import Measured, Outcome, Trial, outcome_to_json
from contragrad.fingerprint import Plain
from contragrad.jobs import entry, run, workers
from contragrad.jobs.material import make_sources
from contragrad.networks.objectives import OBJECTIVES
from contragrad.report import outcome_text, percent
from contragrad.run_folder.contents import material
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.config import StudyConfig
from contragrad.watch.announcing import Announcing
from contragrad.watch.events import Begun, Ended, Said, Stage, Watcher, epoch_of


@dataclass(frozen=True, slots=True)
class Tried:
    """A weight λ, and how each initial candidate came out with it."""

    weight: float
    outcomes: tuple[Outcome, ...]

    @property
    def fitness(self) -> float:
        """The candidates' mean fitness, one that could not be measured counting 0."""
        return mean(max(0.0, outcome.fitness) for outcome in self.outcomes)


def calibrate(
    config: StudyConfig, folder: Path, weights: Sequence[float], watch: Watcher
) -> tuple[Tried, ...]:
    """Evaluates a study's initial candidates with each weight, as far as its memo has not got them.

    Whole, whatever `search.rungs` says: a candidate that a search stopped early is evaluated anew.

    The test images are not looked at, unless the fitness is measured on them.

    Raises:
        UserError: for whatever in the configuration or the data is wrong, or if the objective has no λ.

    Source: section 3.1: λ "is carefully adjusted depending on the characteristics of a dataset".
    Deviates: the paper does not say how.
    """
    if OBJECTIVES[config.training.objective].penalty is None:
        weighed = ", ".join(name for name, parts in OBJECTIVES.items() if parts.penalty is not None)
        raise UserError(
            f"λ has no part in {config.training.objective}", where="training.objective", remedy=weighed
        )
    weighted = [
        replace(config, training=replace(config.training, gm_weight=float(weight))) for weight in weights
    ]
    dataset, workspace = entry.entered(config, folder, watch)
    with run.opened(workspace, dataset, watch) as (memo, splits):
        run.make_shared(workspace, splits, watch)
        tried = []
        for each in weighted:
            own = replace(workspace, config=each)
            # Surrogates are trained with the weight too.
            make_sources(own, splits, watch)
            material(own, each.training.objective)
            tried.append(_tried(own, memo, watch))
        return tuple(tried)


def _tried(workspace: Workspace, memo: Memo, watch: Watcher) -> Tried:
    config = workspace.config
    weight = config.training.gm_weight
    initial = search.start(config.search, workspace.problem, config.seed).initial
    trials = [Trial(genome, search.epochs(config.search, 1)) for genome in initial]
    watch(Stage(f"λ = {weight:g}: {len(trials)} candidates, {trials[0].epochs} epochs each"))

    def on_event(event: study.Event) -> None:
        match event:
            case executors.Progressed(key, message):
                watch(epoch_of(key, key[:6], message))
            case executors.Finished(key, _, seconds):
                watch(Ended(key, seconds))
            case executors.GivenUp(key):
                watch(Ended(key))

    def announce(key: str, trial: Trial) -> None:
        watch(Begun(key, key[:6], trial.epochs, trial))

    with workers.executor_of(workspace) as executor:
        announcing = Announcing(executor, announce)
        found = study.outcomes(
            trials, memo=memo, executor=announcing, key_of=workspace.evaluation_name, on_event=on_event
        )
    for outcome in found:
        watch(Said(outcome_text(outcome)))
    return Tried(weight, tuple(found))


def as_json(tried: Sequence[Tried]) -> Plain:
    """The weights for scripts."""
    return [
        {
            "gm_weight": entry.weight,
            "fitness": entry.fitness,
            "outcomes": [outcome_to_json(outcome) for outcome in entry.outcomes],
        }
        for entry in tried
    ]


def as_table(tried: Sequence[Tried]) -> Table:
    """The weights for people: means over the candidates that could be measured, the best in bold."""
    best = max(tried, key=lambda each: each.fitness)
    shown = Table(title="means over the initial candidates", title_justify="left")
    for column in ("λ", "fitness", "clean accuracy", "adversarial accuracy"):
        shown.add_column(column, justify="right")
    for each in tried:
        measured = [outcome for outcome in each.outcomes if isinstance(outcome, Measured)]
        accuracies = [
            percent(mean(values)) if values else "–"
            for values in (
                [outcome.clean_accuracy for outcome in measured],
                [outcome.adversarial_accuracy for outcome in measured],
            )
        ]
        style = "bold" if each is best else None
        shown.add_row(f"{each.weight:g}", percent(each.fitness), *accuracies, style=style)
    return shown
