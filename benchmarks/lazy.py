"""Lazy GM: what a network loses, and what its training costs, with the GM loss in one step of k only.

    python benchmarks/lazy.py --data ../shared/data --out runs/lazy --json

The same network on reduced Fashion-MNIST and reduced CIFAR-10, for k = 1, 2, 4 and several seeds, measured
on the validation images. Cost is a worker's seconds, two workers side by side; `step` is the work counted
in convolutions, a plain step's being 1: (k + 1) / k for GM's 2. The evaluations are kept in the folder's
lazy.db, and not made again.
"""

import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

from prepared import prepared
from timing import options, publish

from contragrad.engine.executors import Finished, Processes
from contragrad.engine.memo import Record, SqliteMemo
from contragrad.engine.study import remembered, run_tasks
from contragrad.engine.work import Work
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import Measured, Trial
from contragrad.workspace import Workspace

GENOME = "strided(32,3) conv(32,3) strided(64,3) conv(64,3) fc(128)"
EVERY = (1, 2, 4)
DATA = {"fashion-mnist": "fmnist_reduced.npz", "cifar10": "cifar10_reduced.npz"}


def evaluate(workspace: Workspace, trials: list[Trial], memo: SqliteMemo) -> list[Record]:
    """The trials' records, those that the memo has not made now."""
    names = {workspace.evaluation_name(trial): trial for trial in trials}
    missing = [(name, trial) for name, trial in names.items() if memo.get(name) is None]

    def store(event: object) -> None:
        if isinstance(event, Finished):
            task = f"{names[event.key]} gm_every={workspace.config.training.gm_every}"
            memo.put(
                Record(key=event.key, task=task, outcome=event.result, seconds=event.seconds, provenance={})
            )

    if missing:
        work = Work(setup="contragrad.tasks:prepare", argument=workspace)
        executor = Processes(work, workers=2, threads=1)
        try:
            run_tasks(missing, executor=executor, on_event=store)
        finally:
            executor.close()
    return [record for record in map(memo.get, names) if record is not None]


def main() -> None:
    """Prints the figures."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--data", type=Path, required=True, help="folder of the npz files")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with SqliteMemo(chosen.out / "lazy.db") as memo:
        for name, file in DATA.items():
            data = ("--data.source=npz", f"--data.path={chosen.data / file}", "--training.gm_weight=1")
            workspace = prepared(chosen.out / name, data)
            for every in EVERY:
                training = replace(workspace.config.training, gm_every=every)
                own = replace(workspace, config=replace(workspace.config, training=training))
                trials = [Trial(parse(GENOME), chosen.epochs, seed) for seed in range(chosen.seeds)]
                records = evaluate(own, trials, memo)
                rows.append({"data": name, "k": every} | row(records) | {"step": (every + 1) / every})
    summary = {}
    for name in DATA:
        of = {row["k"]: row for row in rows if row["data"] == name}
        summary[name] = {
            f"k={k}": {
                "cost_over_k1": of[k]["seconds"] / of[1]["seconds"],
                "fitness_over_k1": of[k]["fitness"] - of[1]["fitness"],
            }
            for k in EVERY
        }
    publish("lazy", rows, summary, as_json=chosen.json)


def row(records: list[Record]) -> dict[str, float]:
    """Means over the seeds, and the fitness's spread."""
    outcomes = [remembered(record) for record in records]
    measured = [outcome for outcome in outcomes if isinstance(outcome, Measured)]
    fitness = [outcome.fitness for outcome in measured]
    return {
        "seeds": len(measured),
        "clean": statistics.mean(outcome.clean_accuracy for outcome in measured),
        "adversarial": statistics.mean(outcome.adversarial_accuracy for outcome in measured),
        "fitness": statistics.mean(fitness),
        "deviation": statistics.stdev(fitness) if len(fitness) > 1 else 0.0,
        "seconds": statistics.mean(record.seconds for record in records),
    }


if __name__ == "__main__":
    main()
