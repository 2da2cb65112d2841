"""What the search's shortcuts save: plain Algorithm 1 beside racing, over seeds.

    python benchmarks/efficiency.py --out runs/efficiency --json
    python benchmarks/efficiency.py --json --out runs/longer --generations 8 --data CIFAR10.npz

The same small study for each variant and seed, of reduced Fashion-MNIST unless an npz file is given; one
study runs in each worker process. Fitness is measured on the validation images:

- best, mean: the last population's, as the search measured it;
- retrained: of the best genome, trained anew from the start for plain Algorithm 1's epochs with three other
  streams of random numbers, the mean: what the architecture is worth, apart from the luck that selected it
  and from how long the search trained it;
- epochs, seconds: those that evaluations took, duplicates answered by the memo not counted; the seconds
  hold the looks at the rungs too;
- reached_at: epochs trained when the best fitness first reached plain's final one with the same seed; none
  if it never did. Plain's own is the one to compare with.

`short` is plain Algorithm 1 with fewer epochs for every trial: what is saved without any shortcut. The seeds
vary the search; data, reference and adversarial examples are the same. Differences are paired by seed. Every
study has a memo of its own in the folder, and goes on from it; seconds are those of whatever else the machine
did then.
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

from contragrad.engine import study
from contragrad.engine.evaluations import remembered
from contragrad.engine.executors import Finished, InProcess
from contragrad.engine.memo import Record, SqliteMemo
from contragrad.engine.memory import keep_freed_memory
from contragrad.engine.work import Work
from contragrad.evolution import search
from contragrad.evolution.trial import Outcome, Stopped, Trial
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.search import Limits, SearchSettings

# More validation images than the demo holds out, so that luck decides less.
DEMO = ("--data.validation_fraction=0.5",)
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "short": {"epochs": 3},
    "racing": {"rungs": (0.25, 0.5)},
    "racing-early": {"rungs": (0.125, 0.25, 0.5), "rung_slack": 0.02},
    "racing-sharp": {"rungs": (0.125, 0.25, 0.5)},
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


RETRAININGS = 3


def trained_epochs(trial: Trial, outcome: Outcome) -> int:
    """The epochs that an evaluation took; all of them for one that diverged on the way, which is too many."""
    return outcome.epoch if isinstance(outcome, Stopped) else trial.epochs


def play(workspace: Workspace, settings: SearchSettings, seed: int, path: Path, epochs_anew: int) -> Course:
    """One study, from its memo or from its beginning, and its winner trained anew."""
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
    executor = InProcess(Work(setup="contragrad.jobs.tasks:prepare", argument=own))
    with SqliteMemo(path) as memo:
        final = study.run(
            search.start(settings, own.problem, seed),
            memo=memo,
            executor=executor,
            key_of=own.evaluation_name,
            on_event=note,
        )
        winner = max(final.population, key=lambda member: member.outcome.fitness)
        retrained = []
        for replicate in range(1, 1 + RETRAININGS):
            anew = Trial(winner.trial.genome, epochs_anew, replicate)
            name = own.evaluation_name(anew)
            record = memo.get(name)
            if record is None:
                found = study.run_tasks([(name, anew)], executor=executor)[name]
                record = memo.put(Record(key=name, task="anew", outcome=found, seconds=0.0, provenance={}))
            retrained.append(remembered(record).fitness)
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
    return Course(
        epochs=tuple(epochs),
        best=tuple(best),
        mean=statistics.mean(member.outcome.fitness for member in final.population),
        retrained=statistics.mean(retrained),
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
    parser.add_argument("--data", type=Path, help="npz file of images")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="with plain")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    images = () if chosen.data is None else ("--data.source=npz", f"--data.path={chosen.data.resolve()}")
    workspace = prepared(chosen.out / "demo", (*DEMO, *images))
    variants = {name: VARIANTS[name] for name in VARIANTS if name in {"plain", *chosen.variants}}
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
                play,
                workspace,
                replace(plain, **changes),
                seed,
                chosen.out / f"{name}-{seed}.db",
                plain.epochs,
            )
            for seed in range(chosen.seeds)
            for name, changes in variants.items()
        }
        courses = {key: future.result() for key, future in waiting.items()}
    rows = [
        row(name, seed, courses[name, seed], courses["plain", seed])
        for name in variants
        for seed in range(chosen.seeds)
    ]
    summary = {name: means([row for row in rows if row["variant"] == name]) for name in variants}
    publish("efficiency", rows, summary, as_json=chosen.json)


def row(name: str, seed: int, course: Course, plain: Course) -> dict[str, Any]:
    """One study's figures beside those of plain Algorithm 1 with the same seed."""
    reached = zip(course.epochs, course.best, strict=True)
    return {
        "variant": name,
        "seed": seed,
        "best": course.best[-1],
        "mean": course.mean,
        "retrained": course.retrained,
        "best_minus_plain": course.best[-1] - plain.best[-1],
        "retrained_minus_plain": course.retrained - plain.retrained,
        "epochs": course.epochs[-1],
        "epochs_over_plain": course.epochs[-1] / plain.epochs[-1],
        "seconds_over_plain": course.seconds / plain.seconds,
        "reached_at": next((spent for spent, best in reached if best >= plain.best[-1]), None),
        "stopped": course.stopped,
        "duplicates": course.duplicates,
    }


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over the seeds, and the extremes of the differences from plain."""
    names = ("best", "mean", "retrained", "best_minus_plain", "retrained_minus_plain", "epochs_over_plain")
    found: dict[str, Any] = {name: statistics.mean(row[name] for row in rows) for name in names}
    for name in ("best_minus_plain", "retrained_minus_plain"):
        values = [row[name] for row in rows]
        found[f"{name}_range"] = [min(values), max(values)]
    return found | {"reached_at": [row["reached_at"] for row in rows]}


if __name__ == "__main__":
    main()
