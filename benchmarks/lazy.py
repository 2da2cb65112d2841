"""Lazy GM: what a network loses, and what its training costs, with the GM loss in one step of k only.

    python benchmarks/lazy.py --data ../shared/data --out runs/lazy --json

The same network on reduced Fashion-MNIST and reduced CIFAR-10, for k = 1, 2, 4 and without GM, measured on
the validation images. The seeds vary its first weights and the order of images; data, reference and
adversarial examples are the same. Two trainings run side by side, one thread each, turn by turn through the
variants of a seed; seconds are those of a training and its measurement, their median over the seeds. `step`
is the work counted in convolutions, a plain step's being 1: (k + 1) / k for k. Fitness differences are
paired by seed. The evaluations are kept in the folder's lazy.db, and not made again.
"""

import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from prepared import prepared
from timing import options, publish

from contragrad.engine.evaluations import remembered
from contragrad.engine.memo import Record, SqliteMemo
from contragrad.engine.memory import keep_freed_memory
from contragrad.evolution.genome import parse
from contragrad.evolution.trial import Measured, Trial, outcome_to_json
from contragrad.fitness import evaluate
from contragrad.run_folder.contents import context
from contragrad.run_folder.workspace import Workspace

GENOME = "strided(32,3) conv(32,3) strided(64,3) conv(64,3) fc(128)"
DATA = {"fashion-mnist": "fmnist_reduced.npz", "cifar10": "cifar10_reduced.npz"}
WEIGHT = 1.0
NEVER = 10**9
VARIANTS: dict[str, dict[str, Any]] = {
    "k=1": {"gm_weight": WEIGHT},
    "k=2": {"gm_weight": WEIGHT, "gm_every": 2},
    "k=4": {"gm_weight": WEIGHT, "gm_every": 4},
    "without GM": {"gm_weight": 0.0, "gm_every": NEVER},
}


def trained(workspace: Workspace, trial: Trial) -> Record:
    """The trial's record, evaluated in this process."""
    torch.set_num_threads(1)
    keep_freed_memory()
    shared = context(workspace)
    begun = time.perf_counter()
    outcome = evaluate(trial, shared, lambda message: None)
    seconds = time.perf_counter() - begun
    training = workspace.config.training
    return Record(
        key=workspace.evaluation_name(trial),
        task=f"{trial} gm_weight={training.gm_weight} gm_every={training.gm_every}",
        outcome=outcome_to_json(outcome),
        seconds=seconds,
        provenance={},
    )


def main() -> None:
    """Prints the figures."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--data", type=Path, required=True, help="folder of the npz files")
    parser.add_argument("--out", type=Path, required=True, help="folder for what is made")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12)
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    rows = []
    pool = ProcessPoolExecutor(2, mp_context=get_context("spawn"))
    with SqliteMemo(chosen.out / "lazy.db") as memo, pool:
        for data, file in DATA.items():
            workspace = prepared(
                chosen.out / data, ("--data.source=npz", f"--data.path={chosen.data / file}")
            )
            keys, waiting = {}, []
            for seed in range(chosen.seeds):
                for variant, changes in VARIANTS.items():
                    training = replace(workspace.config.training, **changes)
                    own = replace(workspace, config=replace(workspace.config, training=training))
                    trial = Trial(parse(GENOME), chosen.epochs, seed)
                    keys[variant, seed] = own.evaluation_name(trial)
                    if memo.get(keys[variant, seed]) is None:
                        waiting.append(pool.submit(trained, own, trial))
            for future in waiting:
                memo.put(future.result())
            records = {place: record for place, key in keys.items() if (record := memo.get(key)) is not None}
            rows += [row(data, variant, records, chosen.seeds) for variant in VARIANTS]
    summary = {
        data: {
            found["variant"]: {name: found[name] for name in ("cost_over_k1", "fitness_minus_k1")}
            for found in rows
            if found["data"] == data
        }
        for data in DATA
    }
    publish("lazy", rows, summary, as_json=chosen.json)


def row(data: str, variant: str, records: dict[tuple[str, int], Record], seeds: int) -> dict[str, Any]:
    """A variant's figures over the seeds; a training that diverged is an error, for none should."""

    def outcomes(name: str) -> list[Measured]:
        found = [remembered(records[name, seed]) for seed in range(seeds)]
        measured = [outcome for outcome in found if isinstance(outcome, Measured)]
        assert len(measured) == seeds, found
        return measured

    def seconds(name: str) -> float:
        return statistics.median(records[name, seed].seconds for seed in range(seeds))

    own, first = outcomes(variant), outcomes("k=1")
    differences = [one.fitness - other.fitness for one, other in zip(own, first, strict=True)]
    every = VARIANTS[variant].get("gm_every", 1)
    return {
        "data": data,
        "variant": variant,
        "clean": statistics.mean(outcome.clean_accuracy for outcome in own),
        "adversarial": statistics.mean(outcome.adversarial_accuracy for outcome in own),
        "fitness": statistics.mean(outcome.fitness for outcome in own),
        "fitness_minus_k1": statistics.mean(differences),
        "range": [round(bound, 4) for bound in (min(differences), max(differences))],
        "seconds": seconds(variant),
        "cost_over_k1": seconds(variant) / seconds("k=1"),
        "step": 1.0 if every == NEVER else (every + 1) / every,
    }


if __name__ == "__main__":
    main()
