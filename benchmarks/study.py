"""The same small study by a straight script and by contragrad: time, and the fitness both end with.

    python benchmarks/study.py --json

Reduced Fashion-MNIST, the demo's reference and examples, both made beforehand. Then, in turn for each seed:

- A: `naive.py`, sequential, with PyTorch's own threads;
- B: contragrad's loop with its defaults, one worker for each core.

naive_over_contragrad is the ratio of the seconds, summed over the seeds; fitness is the best candidate's,
on the validation images.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import naive
import torch
from prepared import prepared
from timing import options, publish

from contragrad.engine import study
from contragrad.engine.executors import Processes
from contragrad.engine.memo import SqliteMemo
from contragrad.engine.work import Work
from contragrad.evolution import search
from contragrad.evolution.genome import Genome
from contragrad.jobs.workers import worker_count
from contragrad.run_folder.contents import context, load_reference, load_splits
from contragrad.run_folder.workspace import Workspace
from contragrad.settings.search import SearchSettings


def straight(workspace: Workspace, settings: SearchSettings, seed: int) -> float:
    """The best fitness of A."""
    shared = context(workspace)
    reference = load_reference(workspace, load_splits(workspace))
    normal = shared.normalisation
    mean, deviation = (torch.tensor(part).view(1, -1, 1, 1) for part in (normal.mean, normal.deviation))

    def evaluate(genome: Genome) -> float:
        network = naive.Network(genome, shared.problem, mean, deviation)
        naive.train(network, reference, shared.train, settings.epochs, shared.training.gm_weight)
        images = (shared.fitness.images, shared.adversarial)
        return min(naive.accuracy(network, part, shared.fitness.labels) for part in images)

    torch.manual_seed(seed)
    found = naive.evolve(settings, shared.problem, seed, evaluate)
    return max(candidate.fitness for candidate in found)


def by_contragrad(workspace: Workspace, settings: SearchSettings, seed: int, memo: SqliteMemo) -> float:
    """The best fitness of B."""
    work = Work(setup="contragrad.jobs.tasks:prepare", argument=workspace)
    executor = Processes(work, workers=worker_count(workspace), threads=1)
    try:
        final = study.run(
            search.start(settings, workspace.problem, seed),
            memo=memo,
            executor=executor,
            key_of=workspace.evaluation_name,
        )
    finally:
        executor.close()
    return max(member.outcome.fitness for member in final.population)


def main() -> None:
    """Prints the figures."""
    parser = options(__doc__, repeats=1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--generations", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    chosen = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as parent:
        workspace = prepared(Path(parent) / "run", ())
        settings = replace(workspace.config.search, generations=chosen.generations, epochs=chosen.epochs)
        for seed in range(chosen.seeds):
            begun = time.perf_counter()
            one = straight(workspace, settings, seed)
            turned = time.perf_counter()
            # A memo of its own for each seed: nothing is known beforehand.
            with SqliteMemo(Path(parent) / f"{seed}.db") as memo:
                two = by_contragrad(workspace, settings, seed, memo)
            ended = time.perf_counter()
            rows.append(
                {
                    "seed": seed,
                    "naive s": turned - begun,
                    "contragrad s": ended - turned,
                    "naive fitness": one,
                    "contragrad fitness": two,
                }
            )
    total = {name: sum(row[f"{name} s"] for row in rows) for name in ("naive", "contragrad")}
    summary = {"naive_over_contragrad": total["naive"] / total["contragrad"]}
    publish("study", rows, summary, as_json=chosen.json)


if __name__ == "__main__":
    main()
