"""What the search's shortcuts save: plain Algorithm 1 beside racing, inheritance and both, over seeds.

    python benchmarks/efficiency.py --out runs/efficiency --json

The same small study of reduced Fashion-MNIST for each variant and seed; one study runs in each worker
process. Fitness is measured on the validation images:

- best, mean: the last population's, as the search measured it;
- retrained: of the best genome, trained anew with other random numbers for plain Algorithm 1's epochs, so
  that weights which were trained longer through inheritance do not count;
- epochs, seconds: those that evaluations took, duplicates answered by the memo not counted; the seconds
  hold the looks at the rungs too;
- at_plain: epochs that the variant had trained when its best fitness first reached plain's final one with
  the same seed, over plain's epochs; none if it never did.

Every study has a memo of its own in the folder, and goes on from it.
"""

import statistics
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from prepared import prepared
from timing import options, publish

from contragrad.config import Limits, SearchSettings
from contragrad.engine import study
from contragrad.engine.executors import Finished, InProcess
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.memory import keep_freed_memory
from contragrad.engine.work import Work
from contragrad.evolution import search
from contragrad.evolution.trial import Outcome, Stopped, Trial, outcome_from_json
from contragrad.workspace import Workspace

# More validation images than the demo holds out, so that luck decides less.
DEMO = ("--data.validation_fraction=0.5",)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "racing": {"rungs": (0.25, 0.5)},
    "racing-early": {"rungs": (0.125, 0.25, 0.5), "rung_slack": 0.02},
    "inheritance": {"inherited_epochs": 2},
    "both": {"rungs": (0.5,), "inherited_epochs": 2},
}


@dataclass(frozen=True, slots=True)
class Course:
    """How a study went: the epochs trained and the best fitness after each of its evaluations."""

    epochs: tuple[int, ...]
    best: tuple[float, ...]
    mean: float
    retrained: float
    duplicates: int
    stopped: int
    seconds: float


def trained_epochs(trial: Trial, outcome: Outcome) -> int:
    """The epochs that an evaluation took."""
    return outcome.epoch if isinstance(outcome, Stopped) else trial.epochs


def play(workspace: Workspace, settings: SearchSettings, seed: int, path: Path) -> Course:
    """One study, from its memo or from its beginning."""
    torch.set_num_threads(1)
    keep_freed_memory()
    told: list[study.Told] = []

    def note(event: study.Event) -> None:
        if isinstance(event, study.Told):
            told.append(event)
            best = max(member.outcome.fitness for member in event.after.population)
            print(f"{path.stem} {event.after.step} best {best:.3f}", file=sys.stderr, flush=True)
        elif isinstance(event, Finished):
            print(f"{path.stem} {event.key[:6]} {event.seconds:.1f} s", file=sys.stderr, flush=True)

    own = replace(workspace, config=replace(workspace.config, search=settings))
    executor = InProcess(Work(setup="contragrad.tasks:prepare", argument=own))
    with SqliteMemo(path) as memo:
        final = study.run(
            search.start(settings, own.problem, seed),
            memo=memo,
            executor=executor,
            key_of=own.evaluation_name,
            on_event=note,
        )
        winner = max(final.population, key=lambda member: member.outcome.fitness)
        anew = Trial(winner.trial.genome, settings.epochs, replicate=1)
        found = study.run_tasks([(own.evaluation_name(anew), anew)], executor=executor)
        records = [memo.get(name) for name in {own.evaluation_name(event.trial) for event in told}]
    seen: set[str] = set()
    epochs: list[int] = []
    best: list[float] = []
    for event in told:
        name = own.evaluation_name(event.trial)
        spent = 0 if name in seen else trained_epochs(event.trial, event.outcome)
        seen.add(name)
        epochs.append(spent + (epochs[-1] if epochs else 0))
        best.append(max(member.outcome.fitness for member in event.after.population))
    outcome = outcome_from_json(next(iter(found.values())))
    return Course(
        epochs=tuple(epochs),
        best=tuple(best),
        mean=statistics.mean(member.outcome.fitness for member in final.population),
        retrained=outcome.fitness,
        duplicates=len(told) - len(seen),
        stopped=sum(isinstance(event.outcome, Stopped) for event in told),
        seconds=sum(record.seconds for record in records if record is not None),
    )


def main() -> None:
    """Prints the figures."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--generations", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    workspace = prepared(chosen.out / "demo", DEMO)
    plain = replace(
        workspace.config.search,
        generations=chosen.generations,
        epochs=chosen.epochs,
        channels=(8, 16, 32),
        limits=Limits(blocks=20, parameters=500_000, flops=1_000_000),
    )
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        waiting = {
            (name, seed): pool.submit(
                play, workspace, replace(plain, **VARIANTS[name]), seed, chosen.out / f"{name}-{seed}.db"
            )
            for name in chosen.variants
            for seed in range(chosen.seeds)
        }
        courses = {key: future.result() for key, future in waiting.items()}
    rows = [row(name, seed, course, courses["plain", seed]) for (name, seed), course in courses.items()]
    summary = {name: means([row for row in rows if row["variant"] == name]) for name in chosen.variants}
    publish("efficiency", rows, summary, as_json=chosen.json)


def row(name: str, seed: int, course: Course, plain: Course) -> dict[str, Any]:
    """One study's figures beside those of plain Algorithm 1 with the same seed."""
    there = next(
        (spent for spent, best in zip(course.epochs, course.best, strict=True) if best >= plain.best[-1]),
        None,
    )
    return {
        "variant": name,
        "seed": seed,
        "best": course.best[-1],
        "mean": course.mean,
        "retrained": course.retrained,
        "epochs": course.epochs[-1],
        "epochs_over_plain": course.epochs[-1] / plain.epochs[-1],
        "seconds_over_plain": course.seconds / plain.seconds,
        "at_plain": None if there is None else there / plain.epochs[-1],
        "stopped": course.stopped,
        "duplicates": course.duplicates,
    }


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and the deviation of the fitness."""
    found = {
        name: statistics.mean(row[name] for row in rows)
        for name in ("best", "mean", "retrained", "epochs_over_plain", "seconds_over_plain")
    }
    spread = {
        f"{name}_deviation": statistics.stdev(row[name] for row in rows) if len(rows) > 1 else 0.0
        for name in ("best", "retrained")
    }
    return found | spread


if __name__ == "__main__":
    main()
